"""The table of `benchmarks.architectures`: as results, and as the reference page."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from importlib import metadata
from typing import Any

from benchmarks.results_file import ROOT, result_head

__all__ = ["page_text", "page_write", "result_write"]

RESULTS = ROOT / "benchmarks" / "results" / "architectures.json"
PAGE = ROOT / "docs" / "reference" / "architectures.md"
COMMAND = "python -m benchmarks.architectures --write"
PACKAGES = ("torch", "transformers", "peft", "accelerate")
MARKS = {"works": "yes", "refused": "no", "late": "late", "wrong": "wrong", "crash": "crash"}
STEPS = (
    "policy", "without a padding token", "SFT", "SFT, LoRA", "DPO", "DPO, LoRA", "PPO", "PPO, LoRA",
    "backbone", "reward model",
)  # fmt: skip
HEADS = (
    "policy",
    "no PAD",
    "SFT",
    "+ LoRA",
    "DPO",
    "+ LoRA",
    "PPO",
    "+ LoRA",
    "backbone",
    "reward model",
)
Row = dict[str, Any]
_AMOUNT = re.compile(r" \(by [^()]*\)| by [\d.e-]+ nats")


def versions() -> dict[str, str]:
    return {name: metadata.version(name) for name in PACKAGES}


def result_write(rows: Sequence[Row]) -> None:
    """Put `rows` in place of the same families' that are stored; of other packages none is kept."""
    stored = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    kept = stored["families"] if versions().items() <= stored.items() else []
    families = {row["family"]: row for row in (*kept, *rows)}
    ordered = [families[name] for name in sorted(families)]
    document = {**result_head(), "command": COMMAND, **versions(), "families": ordered}
    RESULTS.write_text(json.dumps(document, indent=1) + "\n")


def page_write() -> None:
    document = json.loads(RESULTS.read_text())
    PAGE.write_text(page_text(document["families"], document))


def page_text(rows: Sequence[Row], head: dict[str, Any]) -> str:
    """The page: what was tried and how, a row a family, and every refusal in its words."""
    tried = [row for row in rows if "not_tried" not in row]
    commits = sorted({row["commit"][:10] for row in tried})
    parts = [
        "# Which architectures fit",
        "",
        f"Every family that `transformers` {head['transformers']} lists for causal language modelling or"
        " sequence classification, but those named below the table, as a tiny model with random weights:"
        " `check_model` as a policy and as a"
        " reward model's backbone, and two steps of each recipe, with and without LoRA. *Yes* means that the"
        " program said so and that independent numbers agree: log-probabilities with plain passes, padded, not"
        " padded and sampled; scores alone and in a batch; the artifact with what was in memory; tied weights"
        " still tied. *No* means refused in one sentence before any training step. Weights and tokenizers"
        " that people ship may differ: [ask `check_model`](../how-to/own-models.md) about yours.",
        "",
        f"Written by `{COMMAND}` at {head['commit'][:10]} on {head['date']}, with"
        f" {', '.join(f'{name} {head[name]}' for name in PACKAGES)}, on the CPU in float32.",
        "",
        _counts(tried),
        "",
        "The rows come from several walks over a part of the families each, and were not all made anew at the"
        f" last commit: each is of one of the commits {', '.join(commits)}, and benchmarks/results/"
        "architectures.json says of which."
        if len(commits) > 1
        else "",
        "",
        "| family | " + " | ".join(HEADS) + " | |",
        "|---|" + "---|" * (len(HEADS) + 1),
        *_table(tried),
        "",
        *_not_tried(rows),
    ]
    # Sentences that begin with the model's folder.
    return "\n".join(parts).replace(": it: ", ": ") + "\n"


def _counts(rows: Sequence[Row]) -> str:
    policies = sum(_state(row, "PPO") == "works" for row in rows)
    backbones = sum(_state(row, "reward model") == "works" for row in rows)
    found = Counter(outcome["state"] for row in rows for outcome in row["steps"].values())
    bad = found["crash"] + found["wrong"] + found["late"]
    return (
        f"Of {len(rows)} families {policies} are trained as policies and {backbones} as reward models;"
        f" {found['works']} trials work, {found['refused']} are refused, {bad} end otherwise."
    )


def _state(row: Row, step: str) -> str:
    return str(row["steps"].get(step, {}).get("state", ""))


def _table(rows: Sequence[Row]) -> list[str]:
    lines = []
    for row in rows:
        marks = [MARKS.get(_state(row, step), "") for step in STEPS]
        lines.append(f"| {row['family']} | {' | '.join(marks)} | {_reasons(row)} |")
    return lines


def _reasons(row: Row) -> str:
    """Every sentence once, whatever numbers it has, with what it is said to."""
    said: dict[str, list[str]] = {}
    for step, outcome in row["steps"].items():
        if outcome["state"] != "works":
            said.setdefault(_AMOUNT.sub("", outcome["why"]), []).append(step)
    return " ".join(f"*{_named(steps)}*: {_plain(why)}" for why, steps in said.items())


def _named(steps: Sequence[str]) -> str:
    """The steps of a policy and those of a reward model by one name where it is all of them."""
    found = set(steps)
    whole = {"policy": STEPS[:-2], "reward model": STEPS[-2:]}
    names = [name for name, part in whole.items() if found >= set(part)]
    rest = [s for s in steps if not any(s in whole[name] for name in names)]
    return "; ".join([*(f"as a {name}" for name in names), *rest])


def _plain(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


def _not_tried(rows: Sequence[Row]) -> list[str]:
    left = [row for row in rows if "not_tried" in row]
    if not left:
        return []
    return ["## Not tried", "", *(f"- {row['family']}: {row['not_tried']}." for row in left)]
