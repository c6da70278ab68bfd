"""Which code a result was made by: what learns, what judges, and the simulated world."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TESTED = (
    "training/contracts",
    "training/core",
    "training/recipes",
    "evaluation/contracts",
    "evaluation/core",
    "evaluation/gates",
    "evaluation/policy",
    "evaluation/recipes",
    "evaluation/statistics",
    "outerloop/demo",
)
OWN = (
    "gold",
    "labels",
    "learning",
    "running",
    "trials",
)  # what `sizes` says is in each result's plan


@cache
def code_digest() -> str:
    """Of every source file whose change might change a result; pages and commands are not among them."""
    files = [path for folder in TESTED for path in (ROOT / folder).rglob("*.py")]
    files += [ROOT / "outerloop" / "selftest" / f"{name}.py" for name in OWN]
    digest = hashlib.sha256()
    for path in sorted(files):
        digest.update(f"{path.relative_to(ROOT)}\n".encode() + path.read_bytes())
    return digest.hexdigest()[:12]
