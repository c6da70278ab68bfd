"""One attempt of a run in a folder of its own: the order comes, the program runs, the site is told."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from training.contracts import EXIT_ERROR, EXIT_HELD, EXIT_USER, AttemptError
from training.digests import DigestError
from web.files import file_write

from .objects import fetched, fetched_or_passed_over
from .site import Away, Site, SiteRefused, patient
from .telling import Events, SiteTelling

ENDED_FROM_OUTSIDE = 143
LIFELINE = "OUTERLOOP_LIFELINE"
KILL_SECONDS = 5.0


@dataclass(frozen=True)
class AttemptOrder:
    """`store` is the job's own folder; the run directory lies in it as in any store. `job` is its id. After
    `seconds` (0: never) its time is nearly over. It speaks to the site `every` so many seconds, and bears with
    silence for `patience` seconds where it cannot go on without an answer."""

    site: Site
    store: Path
    run: str
    attempt: int
    job: str
    argv: Sequence[str]
    seconds: float = 0.0
    every: float = 3.0
    patience: float = 3600.0

    @property
    def stored(self) -> str:
        return f"runs/{self.run}"

    @property
    def directory(self) -> Path:
        return self.store / self.stored


@dataclass
class Signals:
    """What signals ask for: to save and end, and whether whoever sent one ends the job himself."""

    why: str = ""
    ended: bool = False
    heard: bool = False

    def listen(self) -> None:
        signal.signal(signal.SIGUSR1, self._time_over)
        signal.signal(signal.SIGTERM, self._ended)

    def _time_over(self, *_: object) -> None:
        self.why = self.why or "the time of the job is nearly over"

    def _ended(self, *_: object) -> None:
        self.why, self.ended = self.why or "the job is to end", True


@dataclass
class Carried:
    """The program at work."""

    order: AttemptOrder
    asked: Signals
    log: BinaryIO
    refused: list[SiteRefused] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def say(self, sentence: str) -> None:
        line = f"outerloop: {sentence}\n".encode()
        for stream in (self.log, sys.stdout.buffer):
            with suppress(OSError):
                stream.write(line)
                stream.flush()


def attempt_carry_out(order: AttemptOrder, asked: Signals) -> int:
    """The program's exit code; 75 where the attempt is not this job's, 143 where it was ended from outside.

    What the folder held goes at the beginning and at the end."""
    folder_make(order.store)
    try:
        order.directory.mkdir(parents=True)
        with (order.directory / "child.log").open("ab", buffering=0) as log:
            carried = Carried(order, asked, log)
            try:
                return _carried_out(carried)
            except SiteRefused as refused:
                carried.say(f"job {order.job} ends: {refused}")
                return EXIT_HELD
            except Away as away:
                carried.say(f"job {order.job} gives up: {away}")
                return EXIT_ERROR
    finally:
        shutil.rmtree(order.store, ignore_errors=True)


def folder_make(folder: Path) -> None:
    """Empty, and nobody else's to look into. Its name can be guessed: what another made there is not used."""
    if folder.is_symlink() or (folder.exists() and folder.stat().st_uid != os.getuid()):
        raise PermissionError(f"{folder} belongs to somebody else; set OUTERLOOP_JOB_SCRATCH.")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700, parents=True)


def _carried_out(carried: Carried) -> int:
    order = carried.order
    telling = patient(partial(_begin, carried), seconds=order.patience, say=carried.say)
    if carried.asked.ended:
        return ENDED_FROM_OUTSIDE
    program = _program_start(order)
    printer = _thread(_printed, carried, program.stdout)
    sender = _thread(_send_on, carried, telling)
    try:
        _follow(carried, telling, program)
    finally:
        carried.over.set()
        _end(program)
        printer.join(KILL_SECONDS)
    sender.join()
    return _report(carried, telling, program.returncode)


def _thread(act: Callable[..., None], *arguments: object) -> threading.Thread:
    thread = threading.Thread(target=act, args=arguments, daemon=True)
    thread.start()
    return thread


def _begin(carried: Carried) -> SiteTelling:
    """Take the attempt, and bring everything that it needs."""
    order, run = carried.order, carried.order.directory
    told = order.site.call("begin", {"job": order.job})
    try:
        fetched(told["inputs"], order.store)
    except DigestError as error:
        _refuse(order, told["begun"], f"An input cannot be used: {error}")
    for sentence in fetched_or_passed_over(told["tree"], order.store):
        carried.say(f"passed over: {sentence}")
    events = "".join(json.dumps(event) + "\n" for event in told["events"]).encode()
    for name, content in (
        ("spec.json", json.dumps(told["spec"])),
        ("fence", str(order.attempt)),
        (f"jobs/{order.attempt}/accelerate.yaml", told["accelerate"]),
        ("events.jsonl", events),
    ):
        file_write(run / name, content, durable=False)
    tree = {artifact["path"]: artifact["sha256"] for artifact in told["tree"]}
    return SiteTelling(
        site=order.site,
        run=run,
        stored=order.stored,
        begun=told["begun"],
        events=Events(run / "events.jsonl", len(events)),
        tree=tree,
    )


def _refuse(order: AttemptOrder, begun: int, sentence: str) -> NoReturn:
    """The program cannot start, and never will: that is how the attempt ends."""
    failure = AttemptError("user", sentence, EXIT_USER)
    end = {"code": EXIT_USER, "failure": failure.to_json(), "manifest": None}
    order.site.call("tell", {"begun": begun, "end": end})
    raise SiteRefused(sentence)


def _program_start(order: AttemptOrder) -> subprocess.Popen[bytes]:
    """It ends with this process, whose end of a pipe it watches."""
    return subprocess.Popen(
        order.argv,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, LIFELINE: "stdin"},
        start_new_session=True,
    )


def _printed(carried: Carried, stream: Any) -> None:
    """What the program prints goes to the log, and on."""
    while piece := os.read(stream.fileno(), 1 << 16):
        carried.log.write(piece)
        with suppress(OSError):
            sys.stdout.buffer.write(piece)
            sys.stdout.buffer.flush()


def _follow(carried: Carried, telling: SiteTelling, program: subprocess.Popen[bytes]) -> None:
    """Until the program ends. Raises `SiteRefused` where it may not go on."""
    order, begun, away = carried.order, time.monotonic(), False
    while program.poll() is None:
        if carried.refused:
            raise carried.refused[0]
        if order.seconds and time.monotonic() - begun > order.seconds:
            carried.asked.why = carried.asked.why or "the time of the job is nearly over"
        _pause(carried)
        try:
            if telling.tell():
                (order.directory / "cancel").touch()
            away = False
        except Away as silence:
            if not away:
                carried.say(f"{silence}; the program goes on, and is told of later")
            away = True
        with suppress(subprocess.TimeoutExpired):
            program.wait(order.every)


def _pause(carried: Carried) -> None:
    asked = carried.asked
    if asked.why and not asked.heard:
        asked.heard = True
        carried.say(f"{asked.why}; a checkpoint is asked for")
        (carried.order.directory / "pause").touch()


def _send_on(carried: Carried, telling: SiteTelling) -> None:
    while not carried.over.wait(carried.order.every):
        try:
            telling.send()
        except SiteRefused as refused:
            carried.refused.append(refused)
            return
        except Away as away:
            carried.say(f"{away}; what the program wrote is sent later")


def _end(program: subprocess.Popen[bytes]) -> None:
    """Nothing of it is left: gently, then for certain."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(program.pid, sign)
        with suppress(subprocess.TimeoutExpired):
            program.wait(KILL_SECONDS)


def _report(carried: Carried, telling: SiteTelling, code: int) -> int:
    """Bring the rest to the store and say how it ended; a job that is ended from outside has no end of its own."""
    run, order = carried.order.directory, carried.order
    outside = carried.asked.ended and not (run / "manifest.json").exists()
    failure, manifest = _told(run / "error.json"), _told(run / "manifest.json")
    end = None if outside else {"code": code, "failure": failure, "manifest": manifest}
    persist: Callable[[Callable[[], object]], object] = partial(
        patient, seconds=order.patience, say=carried.say
    )
    persist(telling.tell)
    while not telling.sent_whole():
        persist(telling.send)
        persist(telling.tell)
    persist(partial(telling.tell, end))
    return ENDED_FROM_OUTSIDE if outside else code % 256


def _told(path: Path) -> Any:
    """What the program left at its end; None where it is not there, or not whole."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return None
