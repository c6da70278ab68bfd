"""What docs/reference/errors.md says will be said: tests of bad input take their expectation from there."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "errors.md"


@cache
def documented() -> dict[str, str]:
    """Case -> sentence, `…` standing for what differs."""
    rows = {}
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("|") and not re.match(r"\|[\s:|-]+\|$", line):
            case, sentence, *_ = (cell.strip() for cell in line.strip("|").split("|"))
            if case != "case":
                assert case not in rows, f"{PAGE.name} has two rows for {case!r}"
                rows[case] = sentence
    return rows


def is_said(case: str, text: str) -> bool:
    """Whether the text holds the sentence of the case, however its lines are broken."""
    parts = [re.escape(part) for part in _plain(documented()[case]).split("…")]
    return re.search(".*?".join(parts), _plain(text)) is not None


def assert_said(case: str, text: str) -> None:
    assert is_said(case, text), f"{case}: expected\n  {documented()[case]}\nbut it says\n  {text}"


def _plain(text: str) -> str:
    return re.sub(r"\s+", " ", text.replace("`", "")).strip()
