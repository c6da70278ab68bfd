"""The over-optimisation self-test on the seeds that count, with the installation's default gate policy.

    python manage.py selftest overoptimisation
    python -m benchmarks.selftest [--store var/selftest]

The first line runs it (about an hour on a free core), the second writes what it left to
benchmarks/results/selftest.json: the acceptance lines, every curve, every trial, and which code each result is
of. Prints the lines; exits 1 where one that is required is not met or was not measured.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

import benchmarks.django_ready  # noqa: F401 - the rooms below need their models
from benchmarks.results_file import ROOT, result_head
from outerloop.selftest.acceptance import acceptance, all_met
from outerloop.selftest.pages import current
from outerloop.selftest.results import ResultStore
from web.files import file_write

RESULT = ROOT / "benchmarks" / "results" / "selftest.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--store", type=Path, default=ROOT / "var" / "selftest")
    parser.add_argument("--load", default="", help="what else the machine did meanwhile, in words")
    arguments = parser.parse_args()
    results = current(ResultStore(arguments.store, "").all())
    lines = acceptance(results)
    document = result_head() | {
        "load": arguments.load,
        "accepted": all_met(lines),
        "acceptance": [asdict(line) for line in lines],
        "results": [result.to_json() for result in results],
    }
    file_write(RESULT, json.dumps(_rounded(document), indent=1) + "\n")
    for line in lines:
        print(f"{line.word}: {line.asks} {line.measured}")
    raise SystemExit(0 if all_met(lines) else 1)


def _rounded(value: object) -> object:
    """Four digits after the point do."""
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, dict):
        return {name: _rounded(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(one) for one in value]
    return value


if __name__ == "__main__":
    main()
