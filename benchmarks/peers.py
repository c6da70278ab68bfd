"""Side by side on one machine: a peer in an environment of its own, turns A B A B, and the limit.

A peer is installed by the benchmark that needs it, into a virtual environment under the user's cache
directory. It sees the packages of this environment first (both sides then run the same torch and
transformers) and adds only what is missing. On a machine without an index a folder that holds the peer
stands in (`--peer-site`). Each side is a process that answers requests, one JSON object a line, so that
start-up and imports stand outside the clock. This module imports the standard library only: the peers
import it too. Where a side has a GPU, moments wait for it and peaks are of its memory.
"""

from __future__ import annotations

import datetime
import itertools
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import sysconfig
import time
import venv
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
Answer = dict[str, Any]
REPLIES = "BENCHMARK_REPLIES"  # the file descriptor on which a side answers


# ---------------------------------------------------------------------- environments


def cache_directory() -> Path:
    """Where peers are installed: shared by all checkouts of one user."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "outerloop" / "peers"


def peer_python(name: str, requirements: Sequence[str], *, site: Path | None = None) -> Path:
    """The interpreter of the peer's environment, made and filled on first use.

    With `site`, a folder that holds the peer, it is this one and nothing is installed.
    """
    if site is not None:
        return Path(sys.executable)
    home = cache_directory() / name
    done, wanted = home / "installed.json", [*requirements, sys.version, sys.prefix]
    python = home / "bin" / "python"
    if done.exists() and json.loads(done.read_text()) == wanted:
        return python
    print(f"Installing {', '.join(requirements)} into {home} ...", file=sys.stderr)
    venv.EnvBuilder(with_pip=True, clear=True).create(home)
    packages = next(home.glob("lib/python*/site-packages"))
    (packages / "outerloop.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    command = [str(python), "-m", "pip", "install", "--quiet", *requirements]
    subprocess.run(command, check=True)
    done.write_text(json.dumps(wanted))
    return python


# --------------------------------------------------------------------------- processes


@dataclass
class Side:
    """One side of a comparison: a running program that answers requests."""

    name: str
    process: subprocess.Popen[str]
    replies: Any

    @classmethod
    def start(
        cls,
        name: str,
        module: str,
        *,
        python: Path | None = None,
        site: Path | None = None,
        threads: int,
        log: Path,
        precision: str = "no",
    ) -> Self:
        """Start `python -m module` from the repository root; what it prints goes to `log`.

        `site` is a folder of packages that it finds first; `precision` is accelerate's mixed precision.
        """
        reading, writing = os.pipe()
        environment = os.environ | {
            REPLIES: str(writing),
            "OMP_NUM_THREADS": str(threads),
            "OUTERLOOP_THREADS": str(threads),
            "HF_HUB_OFFLINE": "1",
            "TOKENIZERS_PARALLELISM": "false",
            "TRL_EXPERIMENTAL_SILENCE": "1",
            "ACCELERATE_MIXED_PRECISION": precision,
        }
        if site is not None:
            environment["PYTHONPATH"] = str(site)
        with log.open("a") as stream:
            process = subprocess.Popen(
                [str(python or sys.executable), "-m", module],
                cwd=ROOT,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=stream,
                stderr=stream,
                text=True,
                pass_fds=[writing],
            )
        os.close(writing)
        return cls(name, process, os.fdopen(reading))

    def ask(self, **request: Any) -> Answer:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        line = self.replies.readline()
        if not line:
            raise SystemExit(f"{self.name} ended without an answer; see its log.")
        answer: Answer = json.loads(line)
        return answer

    def close(self) -> None:
        if self.process.stdin is not None:
            self.process.stdin.close()
        self.process.wait(timeout=60)


def answer_requests(handle: Callable[..., Answer]) -> None:
    """The loop of a side: one request a line on standard input, one answer a line back."""
    with os.fdopen(int(os.environ[REPLIES]), "w", buffering=1) as replies:
        for line in sys.stdin:
            replies.write(json.dumps(handle(**json.loads(line))) + "\n")


# -------------------------------------------------------------------------- time, memory


class Marks:
    """Moments of this process, on the wall and in processor seconds of all its threads.

    Foreign load lengthens the first and hardly the second.
    """

    def __init__(self) -> None:
        self._moments: list[tuple[float, float]] = []

    def note(self) -> None:
        cuda = _cuda()
        if cuda is not None:
            cuda.synchronize()
        self._moments.append((time.perf_counter(), time.process_time()))

    def to_json(self) -> dict[str, list[float]]:
        """Seconds between neighbouring moments: `seconds` on the wall, `cpu_seconds`."""
        names = ("seconds", "cpu_seconds")
        spans = [
            [b - a for a, b in itertools.pairwise(column)]
            for column in zip(*self._moments, strict=True)
        ]
        return dict(zip(names, spans, strict=True))


def _cuda() -> Any:
    """torch.cuda where torch is loaded and sees a GPU, else None."""
    torch = sys.modules.get("torch")
    return torch.cuda if torch is not None and torch.cuda.is_available() else None


def peak_restart() -> None:
    """Let the peak of allocated GPU memory, or of resident memory (Linux), start anew."""
    cuda = _cuda()
    if cuda is not None:
        cuda.empty_cache()
        cuda.reset_peak_memory_stats()
        return
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:  # then the peak is that of the whole process, imports included
        return


def peak_mb() -> float:
    """The most allocated GPU memory, or the largest resident set, since `peak_restart`."""
    cuda = _cuda()
    if cuda is not None:
        return float(cuda.max_memory_allocated() / 2**20)
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


# ------------------------------------------------------------------------ turns, rates


def take_turns(
    sides: Mapping[str, Callable[[], Answer]], *, repeats: int, each_turn: Callable[[], None]
) -> dict[str, list[Answer]]:
    """A B C A B C ...: every repeat runs each side once, so that the machine's moods meet all."""
    answers: dict[str, list[Answer]] = {name: [] for name in sides}
    for number in range(repeats):
        for name, run in sides.items():
            each_turn()
            answers[name].append(run())
            taken = answers[name][-1].get("seconds", 0.0)
            pace = statistics.median(taken if isinstance(taken, list) else [taken])
            told = f"  turn {number + 1}/{repeats}: {name}, {pace:.3f} s"
            print(told, file=sys.stderr, flush=True)
    return answers


class MatmulRate:
    """The machine's rate on large matrix products, in operations per second: fp32, or bf16 on a GPU.

    Asked before every turn; the best figure is taken as what the machine can do, so that a moment of
    foreign load makes no share of the limit look better than it is. On a GPU `bytes_per_second` is that
    of a large copy, bytes read and written.
    """

    def __init__(self, threads: int, size: int = 1536) -> None:
        import torch

        torch.set_num_threads(threads)
        gpu = torch.cuda.is_available()
        self._torch, self._size = torch, 8192 if gpu else size
        sort: dict[str, Any] = {"device": "cuda", "dtype": torch.bfloat16} if gpu else {}
        self._a, self._b = (torch.randn(self._size, self._size, **sort) for _ in range(2))
        self.rates: list[float] = []
        self.bytes_per_second = 0.0

    def measure(self) -> None:
        out = self._torch.empty_like(self._a)
        for _ in range(4):
            seconds = self._timed(lambda: self._torch.mm(self._a, self._b, out=out))
            self.rates.append(2 * self._size**3 / seconds)
        if self._a.is_cuda:
            big = self._torch.empty(2**30, dtype=self._torch.uint8, device="cuda")
            other = self._torch.empty_like(big)
            copies = [2 * 2**30 / self._timed(lambda: other.copy_(big)) for _ in range(4)]
            self.bytes_per_second = max(self.bytes_per_second, *copies)
            del big, other
            self._torch.cuda.empty_cache()

    def _timed(self, call: Callable[[], Any]) -> float:
        """Seconds of one call; on a GPU of ten, by its own clock, as starting one takes time too."""
        if not self._a.is_cuda:
            began = time.perf_counter()
            call()
            return time.perf_counter() - began
        event: Any = self._torch.cuda.Event  # has no types
        first, last = event(enable_timing=True), event(enable_timing=True)
        first.record()
        for _ in range(10):
            call()
        last.record()
        last.synchronize()
        return float(first.elapsed_time(last) / 1e4)

    @property
    def best(self) -> float:
        return max(self.rates)

    def to_json(self) -> dict[str, float]:
        """In GFlop/s (and GB/s); the spread tells how quiet the machine was."""
        found = {
            "best": round(self.best / 1e9, 1),
            "median": round(statistics.median(self.rates) / 1e9, 1),
            "lowest": round(min(self.rates) / 1e9, 1),
        }
        copied = {"copy_gb_per_second": round(self.bytes_per_second / 1e9)}
        return found | copied if self.bytes_per_second else found


def summary(values: Sequence[float]) -> dict[str, float]:
    """Median and range."""
    return {
        "median": round(statistics.median(values), 4),
        "low": round(min(values), 4),
        "high": round(max(values), 4),
    }


def ratio(base: Sequence[float], other: Sequence[float]) -> dict[str, float]:
    """base / other turn by turn: median and range of the ratios of neighbouring turns."""
    return summary([b / o for b, o in zip(base, other, strict=True)])


def shown(figures: Mapping[str, float], digits: int = 2) -> str:
    """`median (low-high)`."""
    return "{median:.{d}f} ({low:.{d}f}-{high:.{d}f})".format(**figures, d=digits)


# ------------------------------------------------------------------------------- results


def versions(
    python: Path | None, packages: Iterable[str], *, site: Path | None = None
) -> dict[str, str]:
    """Versions of packages in this environment, or as the other interpreter sees them."""
    if python is None:
        return {name: metadata.version(name) for name in packages}
    environment = os.environ | ({"PYTHONPATH": str(site)} if site else {})
    code = (
        "import json, sys; from importlib import metadata as m; "
        "print(json.dumps({n: m.version(n) for n in sys.argv[1:]}))"
    )
    done = subprocess.run(
        [str(python), "-c", code, *packages],
        check=True,
        capture_output=True,
        text=True,
        env=environment,
    )
    found: dict[str, str] = json.loads(done.stdout)
    return found


def results_write(name: str, document: Mapping[str, Any], *, path: Path | None = None) -> Path:
    """Write `benchmarks/results/NAME.json`, with where and when it was measured."""
    target = path or RESULTS / f"{name}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    head = {
        "commit": _git("rev-parse", "HEAD"),
        "changed_files": len(_git("status", "--porcelain", "--untracked-files=no").splitlines()),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "hardware": hardware(),
        "python": platform.python_version(),
        "load_average_at_end": round(os.getloadavg()[0], 2),
    }
    target.write_text(json.dumps(head | dict(document), indent=1) + "\n")
    return target


def hardware() -> str:
    """The processor's name, the number of its cores, and the GPU."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(line.split(":", 1)[1].strip() for line in lines if "model name" in line)
    except (OSError, StopIteration):
        model = platform.machine()
    cuda = _cuda()
    card = f"one {cuda.get_device_name(0)}" if cuda is not None else "no GPU"
    return f"{os.cpu_count()} x {model}, {card}"


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)
    return done.stdout.strip() or "unknown"
