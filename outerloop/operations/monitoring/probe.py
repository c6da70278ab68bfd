"""`python -m outerloop.operations.monitoring.probe [URL]` ends with 0 when the site there is ready.

Standard library only.

For health checks of containers and process managers: it sends a host name that the site accepts and
says that TLS ends before it, as a proxy would.
"""

from __future__ import annotations

import os
import sys
import urllib.error
import urllib.request

DEFAULT = "http://127.0.0.1:8000/health/ready"
SECONDS = 10.0


def probe(url: str, *, host: str = "") -> str:
    """What is wrong, or an empty text when the address answers 200."""
    headers = {"X-Forwarded-Proto": "https", **({"Host": host} if host else {})}
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - the caller's own address
    try:
        with urllib.request.urlopen(request, timeout=SECONDS):  # noqa: S310
            return ""
    except urllib.error.HTTPError as error:
        return f"{url} answered {error.code}: {error.read(2000).decode(errors='replace')}"
    except OSError as error:
        return f"{url} does not answer: {error}"


def accepted_host() -> str:
    """The first of OUTERLOOP_ALLOWED_HOSTS that is a plain name."""
    names = [name.strip() for name in os.environ.get("OUTERLOOP_ALLOWED_HOSTS", "").split(",")]
    return next((name for name in names if name and not name.startswith((".", "*"))), "")


if __name__ == "__main__":
    sys.exit(probe(sys.argv[1] if len(sys.argv) > 1 else DEFAULT, host=accepted_host()) or 0)
