"""Machines that are made up on one: each has a hostname, files, users and processes of its own.

Linux namespaces and overlays on tmpfs: whatever root does on one of them stays in memory and is gone with
it, and no file, user, port or process of the real machine is touched. They share one loopback network,
in which each has an address.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.results_file import ROOT

NEEDS = ("unshare", "nsenter", "setpriv", "ip", "curl", "openssl", "git", "bash")
# Folders of the real machine whose changes stay with a made-up one.
OWN = ("/etc", "/opt", "/root", "/srv", "/var", "/usr/local")
PATIENCE = 30
SYSTEMCTL = Path(__file__).with_name("production_systemctl.py")

# Packages are there already. What PostgreSQL's package makes when it is installed is made here, fresh.
APT_GET = """#!/bin/sh
for word; do
  case "$word" in
    -*|install|python3-venv) ;;
    *) dpkg --status "$word" > /dev/null || exit 100 ;;
  esac
  if [ "$word" = postgresql-15 ]; then
    pg_dropcluster 15 main 2> /dev/null
    pg_createcluster --locale C.UTF-8 15 main > /dev/null
  fi
done
"""

SET_UP = """set -eu
hostname {name}
for folder in {own}; do
  mkdir -p {place}/upper$folder {place}/work$folder
  mount -t overlay overlay -o "lowerdir=$folder,upperdir={place}/upper$folder,workdir={place}/work$folder" "$folder"
done
mount -t tmpfs tmpfs /run
install -d -o postgres -g postgres -m 2775 /run/postgresql
{open}
cp {world}/hosts /etc/hosts
# A user of this name belongs to the embedded PostgreSQL of a root who ran it; a fresh machine has none.
sed -i s/^outerloop:/outerloop-embedded:/ /etc/passwd /etc/group /etc/shadow /etc/gshadow
mkdir -p /srv/outerloop
mount --bind {world}/share /srv/outerloop
printf '#!/bin/sh\\nexec {python} -I {systemctl} "$@"\\n' > /usr/local/sbin/systemctl
cp {world}/apt-get /usr/local/sbin/apt-get
chmod 755 /usr/local/sbin/systemctl /usr/local/sbin/apt-get
touch {place}/ready
exec sleep infinity
"""


@dataclass(frozen=True)
class Typed:
    """What came of a block that was typed."""

    status: int
    output: str
    seconds: float


class Machine:
    def __init__(self, name: str, world: Path) -> None:
        self.name, place = name, world / name
        place.mkdir()
        script = SET_UP.format(
            name=name, own=" ".join(own_folders()), place=place, world=world, python=sys.executable,
            systemctl=SYSTEMCTL, open=opening(),
        )  # fmt: skip
        own = ("--mount", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc")
        self.log = place / "set-up.log"
        with self.log.open("wb") as log:
            self.outside = subprocess.Popen(
                ["unshare", *own, "--propagation", "private", "sh", "-c", script],
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + PATIENCE
        while not (place / "ready").exists():
            if self.outside.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"The machine {name} was not made: {self.log.read_text()[-2000:]}")
            time.sleep(0.05)
        self.process = next(children_of(self.outside.pid))

    def command(self, *words: str) -> list[str]:
        """The line that carries out `words` there, as root."""
        enter = ("nsenter", "--target", str(self.process), "--mount", "--uts", "--pid", "--")
        return [*enter, *words]

    def types(self, script: str, *, user: str = "", **environment: str) -> Typed:
        """A shell there, which ends at the first line that fails; beside `environment` it has no settings."""
        words = ["bash", "-euo", "pipefail", "-c", f"cd {shlex.quote(str(ROOT))}; {script}"]
        if user:
            words = ["setpriv", "--reuid", user, "--regid", "outerloop", "--init-groups", *words]
        path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        began = time.monotonic()
        done = subprocess.run(
            self.command(*words),
            env={"PATH": path, "HOME": "/root", "LANG": "C.UTF-8", **environment},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            errors="replace", check=False,
        )  # fmt: skip
        return Typed(done.returncode, done.stdout.strip(), time.monotonic() - began)


def missing() -> str:
    """What this machine lacks, in a sentence; "" where nothing is missing."""
    if os.geteuid() != 0:
        return "Only root can make machines up; nothing outside of them is changed."
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    lacks = [program for program in NEEDS if shutil.which(program, path=path) is None]
    packages = {
        "/usr/lib/postgresql/15/bin/postgres": "postgresql-15",
        "/usr/sbin/pgbouncer": "pgbouncer",
        "/usr/bin/redis-server": "redis-server",
        "/usr/sbin/nginx": "nginx",
    }
    lacks += [name for path, name in packages.items() if not Path(path).exists()]
    return f"Missing here: {', '.join(lacks)}; on Debian 12: apt install." if lacks else ""


def inside() -> bool:
    """Whether this process is where machines are made up; else `go_inside` has to start it again."""
    return os.getpid() == 1


def go_inside() -> int:
    """This program again, in a network and with mounts of its own, which end with it."""
    own = ("--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
    words = [sys.executable, "-m", "benchmarks.production", *sys.argv[1:]]
    return subprocess.run(["unshare", *own, *words], cwd=ROOT, check=False).returncode


def world_make(names: dict[str, str]) -> Path:
    """A folder in memory for everything, and the network; `names` are hosts and their addresses."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    world = Path("/mnt")  # covered, not changed
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(world)], check=True)
    world.chmod(0o755)
    (world / "share").mkdir()
    (world / "apt-get").write_text(APT_GET)
    hosts = {"localhost": "127.0.0.1", **names}
    (world / "hosts").write_text("".join(f"{place} {name}\n" for name, place in hosts.items()))
    subprocess.run(["mount", "--bind", str(world / "hosts"), "/etc/hosts"], check=True)
    return world


def closed_parents() -> list[Path]:
    """Folders above the interpreter that only their owner may enter."""
    place = Path(sys.executable).resolve()
    return [parent for parent in place.parents if not parent.stat().st_mode & 0o001]


def own_folders() -> list[str]:
    tops = {f"/{parent.parts[1]}" for parent in closed_parents()}
    return [*OWN, *sorted(tops - set(OWN))]


def opening() -> str:
    """The line that lets every user of a machine reach the interpreter."""
    folders = " ".join(str(parent) for parent in closed_parents())
    return f"chmod o+x {folders}" if folders else ""


def children_of(parent: int) -> Iterator[int]:
    for place in Path("/proc").glob("[0-9]*/stat"):
        fields = place.read_text().rsplit(")", 1)[1].split()
        if int(fields[1]) == parent:
            yield int(place.parent.name)
