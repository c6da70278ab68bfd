"""The demo over several seeds and arms: does the gate let better policies through, and nothing else?

    python benchmarks/demo_seeds.py                          all arms, the five counted seeds
    python benchmarks/demo_seeds.py --arms trained --seeds 11 23

Arms: trained (the ordinary demo), shuffled (training labels that carry nothing), a-a (the incumbent
against itself), overoptimised (few labels, no KL control). Each demo is `manage.py demo` in a process of
its own. The arms of one seed share a database and the first policy; seeds run side by side. Results are
written after every demo, so an interrupted benchmark goes on where it stopped; finished demos are not
run again unless --again is given.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "demo_seeds.json"
COUNTED = [11, 23, 37, 41, 59]
ARMS = {
    "trained": [],
    "shuffled": ["--labels", "shuffled"],
    "a-a": ["--candidate", "incumbent"],
    "overoptimised": ["--overoptimise"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=COUNTED)
    parser.add_argument("--arms", nargs="+", choices=list(ARMS), default=list(ARMS))
    parser.add_argument("--jobs", type=int, default=2, help="demos side by side, one thread each")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--again", action="store_true", help="run finished demos again")
    arguments = parser.parse_args()
    document = _document(arguments.results)
    wanted = [(arm, seed) for arm in arguments.arms for seed in arguments.seeds]
    missing = [w for w in wanted if arguments.again or _key(*w) not in document["demos"]]
    lock = Lock()

    def one_seed(seed: int) -> None:
        """All arms of a seed, one after the other: they share the first policy."""
        for arm in (arm for arm, s in missing if s == seed):
            key, found = _demo(arm, seed, arguments.jobs)
            with lock:
                document["demos"][key] = found
                arguments.results.parent.mkdir(parents=True, exist_ok=True)
                arguments.results.write_text(json.dumps(document, indent=1) + "\n")

    with ThreadPoolExecutor(arguments.jobs) as pool:
        list(pool.map(one_seed, arguments.seeds))
    print(table(document, wanted))


def _document(path: Path) -> dict[str, Any]:
    if path.exists():
        found = json.loads(path.read_text())
        assert isinstance(found, dict)
        return found
    return {
        "commit": _git("rev-parse", "HEAD"),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "hardware": f"{os.cpu_count()} cores, {platform.machine()}, no GPU",
        "python": platform.python_version(),
        "demos": {},
    }


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)
    return done.stdout.strip()


def _key(arm: str, seed: int) -> str:
    return f"{arm} {seed}"


def _demo(arm: str, seed: int, jobs: int) -> tuple[str, dict[str, Any]]:
    """Run one demo with its own var folder (so its own database), and return its summary."""
    place = ROOT / "var" / "seeds" / str(seed)
    place.mkdir(parents=True, exist_ok=True)
    threads = str(max(1, (os.cpu_count() or 1) // jobs))
    environment = {
        **os.environ,
        "OUTERLOOP_VAR": str(place),
        "OUTERLOOP_ARTIFACTS": str(place / "artifacts"),
        "OUTERLOOP_DATABASE": f"demo_seed_{seed}",
        "OMP_NUM_THREADS": threads,
        "OUTERLOOP_THREADS": threads,
    }
    command = [sys.executable, "manage.py", "demo", "--no-serve", "--seed", str(seed), *ARMS[arm]]
    began = time.monotonic()
    with (place / f"{arm}.log").open("w") as log:
        done = subprocess.run(
            command, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT
        )
    found: dict[str, Any] = {
        "command": "python manage.py " + " ".join(command[2:]),
        "commit": _git("rev-parse", "HEAD"),
        "exit": done.returncode,
        "wall_seconds": round(time.monotonic() - began, 1),
        "threads": int(threads),
    }
    summary = place / "demo" / "summary.json"
    if done.returncode == 0:
        found["summary"] = json.loads(summary.read_text())
    else:
        found["error"] = (place / f"{arm}.log").read_text()[-500:]
    print(f"{arm} {seed}: exit {done.returncode}, {found['wall_seconds']} s", file=sys.stderr)
    return _key(arm, seed), found


def table(document: dict[str, Any], wanted: list[tuple[str, int]]) -> str:
    """One row per round, and what was deployed in the end."""
    head = "| arm | seed | round | labels | RM accuracy | KL | by labels | by gold | verdict | last vs first by gold |"
    rows = [head, "|" + "---|" * 10]
    for arm, seed in wanted:
        found = document["demos"].get(_key(arm, seed))
        if found is None or "summary" not in found:
            rows.append(
                f"| {arm} | {seed} | {'not run' if found is None else found['error'][-80:]!r} |"
            )
            continue
        rows += _rows(arm, seed, found["summary"])
    return "\n".join(rows)


def _rows(arm: str, seed: int, summary: dict[str, Any]) -> list[str]:
    rows = []
    for index, round_ in enumerate(summary["rounds"]):
        last = index == len(summary["rounds"]) - 1
        against_first = _interval(summary["deployed_gold_win_rate_against_first"]) if last else ""
        kl = "-" if round_["kl_nats"] is None else f"{round_['kl_nats']:.1f}"
        cells = [
            arm,
            str(seed),
            str(round_["round"]),
            f"{round_['labels']} + {round_['gate_labels']}",
            _interval(round_["reward_model_accuracy"]),
            kl,
            _interval(round_["win_rate_labels"]),
            _interval(round_["win_rate_gold"]),
            round_["verdict"] + (" deployed" if round_["deployed"] else ""),
            against_first,
        ]
        rows.append("| " + " | ".join(cells) + " |")
    return rows


def _interval(values: list[float] | None) -> str:
    return "-" if values is None else f"{values[0]:.2f} ({values[1]:.2f}-{values[2]:.2f})"


if __name__ == "__main__":
    main()
