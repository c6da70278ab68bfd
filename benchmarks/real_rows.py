"""Real votes as rows of `preferences`: pure functions, and the reading of their files.

`OUTERLOOP_REAL_DATA` names the folder. A group is what may not stand on two sides of a split: the debate of
an argument, the first question of a conversation, an instruction with its input. Groups are divided whole,
in an order drawn by the seed.
"""

from __future__ import annotations

import gzip
import json
import os
import random
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.peers import ROOT

Row = dict[str, Any]
Message = dict[str, str]

DATA = Path(os.environ.get("OUTERLOOP_REAL_DATA") or ROOT.parent / "shared" / "data")
TURN = re.compile(r"(?:^|\n\n)(Human|Assistant): ?")
ROLES = {"Human": "user", "Assistant": "assistant"}


def rows_read(name: str) -> list[Row]:
    path = DATA / f"{name}.jsonl.gz"
    if not path.exists():
        raise SystemExit(f"{path} is not there; OUTERLOOP_REAL_DATA names its folder.")
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def argument_pair(row: Row) -> Row | None:
    """A pair of arguments by the crowd's choice (Habernal and Gurevych 2016); None where it has none."""
    if row["gold"] not in ("a1", "a2"):
        return None
    prompt = f"{row['debate_title']}\nStance: {row['stance']}\nAn argument:"
    return _preference(
        row["debate_title"], [_user(prompt)], (row["a1"], row["a2"]), first=row["gold"] == "a1"
    )


def instruction_pair(row: Row) -> Row | None:
    """A pair of PandaLM by the majority of its three annotators; None for a tie or without one."""
    votes = Counter(row[f"annotator{number}"] for number in (1, 2, 3))
    choice, count = votes.most_common(1)[0]
    if choice == 0 or count < 2:
        return None
    prompt = str(row["instruction"]) + (f"\n\n{row['input']}" if row["input"] else "")
    return _preference(
        prompt, [_user(prompt)], (str(row["response1"]), str(row["response2"])), first=choice == 1
    )


def harmless_pair(row: Row, *, turned: bool) -> Row | None:
    """A pair of HH-RLHF (Bai 2022); None where the two differ before their last answer.

    `turned` puts the chosen answer second: in the file it always comes first.
    """
    chosen, rejected = turns(row["chosen"]), turns(row["rejected"])
    if chosen[:-1] != rejected[:-1] or chosen[-1]["role"] != "assistant":
        return None
    texts = (chosen[-1]["content"], rejected[-1]["content"])
    return _preference(
        chosen[0]["content"], chosen[:-1], texts[::-1] if turned else texts, first=not turned
    )


def turns(transcript: str) -> list[Message]:
    """Messages of a transcript of HH-RLHF."""
    parts = TURN.split(transcript)[1:]
    pairs = zip(parts[::2], parts[1::2], strict=True)
    return [{"role": ROLES[who], "content": text.strip()} for who, text in pairs]


def arguments() -> list[Row]:
    return _numbered(argument_pair(row) for row in rows_read("convincing_arguments"))


def instructions() -> list[Row]:
    return _numbered(instruction_pair(row) for row in rows_read("pandalm_pairs"))


def harmless(seed: int = 0) -> list[Row]:
    dice = random.Random(seed)
    return _numbered(
        harmless_pair(row, turned=dice.random() < 0.5) for row in rows_read("hh_harmless")
    )


def divided(rows: Sequence[Row], *, sizes: dict[str, int], seed: int) -> list[Row]:
    """Rows with a split each, at most `sizes[split]` in it; a group lies in one split only.

    Test takes the first third of the groups, validation the next tenth; both at least one.
    """
    groups = sorted({row["group"] for row in rows})
    random.Random(seed).shuffle(groups)
    tests, checks = max(1, len(groups) // 3), max(1, len(groups) // 10)
    place = dict.fromkeys(groups[:tests], "test")
    place |= dict.fromkeys(groups[tests : tests + checks], "validation")
    sides: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        split = place.get(row["group"], "train")
        sides[split].append(row | {"split": split})
    chosen = []
    for split, size in sizes.items():
        found = sides[split]
        random.Random(f"{seed} {split}").shuffle(found)
        chosen += found[:size]
    return chosen


def majority_baseline(rows: Sequence[Row]) -> float:
    """Share of the test pairs that are right by always choosing the side that won most in training."""
    training = [row["preference"] for row in rows if row["split"] == "train"]
    side = 1.0 if sum(training) >= len(training) / 2 else 0.0
    tests = [bool(row["preference"] == side) for row in rows if row["split"] == "test"]
    return sum(tests) / len(tests)


def rows_write(path: Path, rows: Sequence[Row]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return path


def _user(text: str) -> Message:
    return {"role": "user", "content": text}


def _preference(
    group: str, messages: list[Message], completions: tuple[str, ...], *, first: bool
) -> Row | None:
    """None where the two texts are the same: nothing can be learned, and either choice is right."""
    if completions[0] == completions[1]:
        return None
    return {
        "group": group,
        "messages": messages,
        "completions": list(completions),
        "preference": float(first),
    }


def _numbered(found: Any) -> list[Row]:
    return [{"id": f"pair-{number}"} | row for number, row in enumerate(found) if row is not None]
