"""Stands in for systemctl on a made-up machine: what a unit says of its process is done, nothing more.

Users, groups, masks, settings, runtime folders and command lines are the unit's; restarts, protected paths
and the like are not. Standard library alone: it is started as a program, far from the checkout.
"""

from __future__ import annotations

import grp
import os
import pwd
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

PLACES = (Path("/etc/systemd/system"), Path("/lib/systemd/system"))
RUNNING, LOGS = Path("/run/units"), Path("/var/log/units")
SECONDS = 60
Unit = dict[str, list[str]]


def unit_read(name: str) -> Unit:
    """Key -> its values, of the unit's section [Service]; `%i` is what follows the @ of its name."""
    base, _, instance = name.removesuffix(".service").partition("@")
    file = f"{base}@.service" if instance else f"{base}.service"
    path = next((place / file for place in PLACES if (place / file).exists()), None)
    if path is None:
        raise SystemExit(f"Unit {file} could not be found.")
    found: Unit = {}
    section = ""
    for line in path.read_text().splitlines():
        if line.startswith("["):
            section = line
        elif section == "[Service]" and re.match(r"\w+=", line):
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value.replace("%i", instance).replace("%I", instance))
    return found


def settings_read(path: str) -> dict[str, str]:
    """A file of KEY=VALUE lines as systemd takes it; one that begins with - may be missing."""
    file = Path(path.removeprefix("-"))
    if path.startswith("-") and not file.exists():
        return {}
    lines = (line.strip() for line in file.read_text().splitlines())
    pairs = (line.partition("=") for line in lines if line and line[0] not in "#;")
    return {key.strip(): value.strip().strip('"') for key, _, value in pairs}


def environment_of(unit: Unit, user: pwd.struct_passwd) -> dict[str, str]:
    found = {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin",
        "LANG": "C.UTF-8",
        "HOME": user.pw_dir,
        "USER": user.pw_name,
    }
    for line in unit.get("Environment", []):
        pairs = (pair.partition("=") for pair in shlex.split(line))
        found.update({key: value for key, _, value in pairs})
    for path in unit.get("EnvironmentFile", []):
        found.update(settings_read(path))
    return found


def command_of(unit: Unit, line: str) -> list[str]:
    """The line, begun by root and carried out with the unit's rights."""
    user = unit.get("User", ["root"])[0]
    if user == "root":
        return shlex.split(line.lstrip("-+!:"))
    group = unit.get("Group", [grp.getgrgid(pwd.getpwnam(user).pw_gid).gr_name])[0]
    rights = ["setpriv", f"--reuid={user}", f"--regid={group}", "--init-groups"]
    if unit.get("NoNewPrivileges") == ["yes"]:
        rights.append("--no-new-privs")
    return [*rights, "--", *shlex.split(line.lstrip("-+!:"))]


def start(name: str) -> None:
    unit = unit_read(name)
    user = pwd.getpwnam(unit.get("User", ["root"])[0])
    for folder in unit.get("RuntimeDirectory", []):
        path = Path("/run") / folder
        path.mkdir(parents=True, exist_ok=True)
        os.chown(path, user.pw_uid, user.pw_gid)
    environment, folder = environment_of(unit, user), unit.get("WorkingDirectory", ["/"])[0]
    mask = int(unit.get("UMask", ["022"])[0], 8)
    RUNNING.mkdir(exist_ok=True)
    LOGS.mkdir(exist_ok=True)
    for line in unit.get("ExecStartPre", []):
        subprocess.run(command_of(unit, line), env=environment, cwd=folder, check=True)
    with (LOGS / f"{name}.log").open("ab") as log:
        process = subprocess.Popen(
            command_of(unit, unit["ExecStart"][0]),
            env=environment, cwd=folder, umask=mask, stdin=subprocess.DEVNULL, stdout=log,
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    if unit.get("Type") == ["forking"]:
        if process.wait(SECONDS):
            raise SystemExit(f"{name}: {(LOGS / f'{name}.log').read_text()[-2000:]}")
        return
    time.sleep(1)
    if process.poll() is not None:
        raise SystemExit(f"{name}: {(LOGS / f'{name}.log').read_text()[-2000:]}")
    (RUNNING / name).write_text(str(process.pid))


def stop(name: str) -> None:
    """What it runs is ended: by its own line where it has one, else by SIGTERM."""
    unit, place = unit_read(name), RUNNING / name
    if lines := unit.get("ExecStop"):
        subprocess.run(shlex.split(lines[0].lstrip("-")), check=False, capture_output=True)
    if not place.exists():
        return
    pid = int(place.read_text())
    place.unlink()
    os.kill(pid, signal.SIGTERM)
    for _ in range(10 * SECONDS):
        if not Path(f"/proc/{pid}").exists() or "Z" in Path(f"/proc/{pid}/stat").read_text():
            return
        time.sleep(0.1)
    raise SystemExit(f"{name} has not ended.")


def main(words: list[str]) -> None:
    act, *names = [word for word in words if not word.startswith("--")]
    for name in names:
        if act in ("stop", "restart"):
            stop(name)
        if act in ("start", "restart", "enable"):
            start(name)


if __name__ == "__main__":
    main(sys.argv[1:])
