"""`python -m tests.support.chromium` makes sure that there is a Chromium for the browser journeys.

It takes the one on PATH (or the one that OUTERLOOP_CHROMIUM names); as root on a Debian or Ubuntu without one,
it installs the distribution's; else it ends with a sentence that says what to do.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
ADVICE = (
    "The browser journeys need Chromium: install it (Debian, Ubuntu: sudo apt-get install chromium), or set"
    ' OUTERLOOP_CHROMIUM to its path, or leave these tests out with: pytest -m "not browser".'
)


class ChromiumMissing(RuntimeError):
    """There is no Chromium and none can be installed; the message says what to do."""


def chromium_find() -> str | None:
    """The path of a Chromium or Chrome, or None."""
    named = os.environ.get("OUTERLOOP_CHROMIUM")
    if named:
        found = shutil.which(named)
        if found is None:
            raise ChromiumMissing(f"OUTERLOOP_CHROMIUM is {named!r}, which is no program. {ADVICE}")
        return found
    return next((path for name in NAMES if (path := shutil.which(name))), None)


def _apt_install() -> str:
    """Install the distribution's package; raises ChromiumMissing with the end of apt's words."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for arguments in (["update"], ["install", "-y", "--no-install-recommends", "chromium"]):
        done = subprocess.run(
            ["apt-get", "-qq", *arguments],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise ChromiumMissing(f"apt-get {arguments[0]} failed: {done.stderr[-300:]} {ADVICE}")
    found = chromium_find()
    if found is None:
        raise ChromiumMissing(ADVICE)
    return found


def chromium_ensure() -> str:
    """The path of a Chromium, installed if need be and possible; raises ChromiumMissing."""
    found = chromium_find()
    if found is not None:
        return found
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise ChromiumMissing(ADVICE)
    print("Installing Chromium for the browser journeys ...", flush=True)
    return _apt_install()


def main() -> int:
    try:
        print(f"Chromium: {chromium_ensure()}")
    except ChromiumMissing as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
