"""Files of better and worse answers, in the layouts of those who publish them."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from annotation.contracts import BetterAnswers
from annotation.exchange.answers import better_answers_read
from annotation.exchange.records import ImportFailed

ASKED = ({"role": "user", "content": "What is 2 + 2?"},)
REWARDBENCH = {
    "prompt": "What is 2 + 2?", "chosen": "4", "chosen_model": "a", "rejected": "5",
    "rejected_model": "b", "subset": "math-prm", "id": 3,
}  # fmt: skip
REWARDBENCH_2 = {
    "id": "tied:7", "prompt": "What is 2 + 2?", "chosen": ["4", "four"], "rejected": ["5", "6", "7"],
    "num_correct": 2, "num_incorrect": 3, "subset": "Ties",
}  # fmt: skip
RM_BENCH = {
    "id": 12, "prompt": "What is 2 + 2?", "chosen": ["4", "It is 4.", "**4**"],
    "rejected": ["5", "It is 5.", "**5**"], "domain": "math",
}  # fmt: skip


def read(tmp_path: Path, content: bytes) -> list[BetterAnswers]:
    path = tmp_path / "file"
    path.write_bytes(content)
    return list(better_answers_read(path))


def lines(*rows: Any) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def parquet(tmp_path: Path, *rows: dict[str, Any]) -> bytes:
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.Table.from_pylist(list(rows)), path)
    return path.read_bytes()


@pytest.mark.parametrize("packed", [False, True])
def test_rewardbench_has_one_answer_of_each_kind_and_a_subset(tmp_path: Path, packed: bool) -> None:
    content = lines(REWARDBENCH)
    found = read(tmp_path, gzip.compress(content) if packed else content)
    assert found == [BetterAnswers(ASKED, ("4",), ("5",), "math-prm")]


def test_rewardbench_2_lists_several_of_each(tmp_path: Path) -> None:
    wanted = [BetterAnswers(ASKED, ("4", "four"), ("5", "6", "7"), "Ties")]
    assert read(tmp_path, lines(REWARDBENCH_2)) == wanted
    assert read(tmp_path, parquet(tmp_path, REWARDBENCH_2)) == wanted


def test_rm_bench_lists_answers_by_style(tmp_path: Path) -> None:
    (found,) = read(tmp_path, json.dumps([RM_BENCH]).encode())
    assert (found.subset, found.by_style, len(found.chosen)) == ("math", True, 3)


def test_a_table_and_transcripts_are_read_as_imports_read_them(tmp_path: Path) -> None:
    table = b"prompt,chosen,rejected,category\nWhat is 2 + 2?,4,5,sums\n"
    assert read(tmp_path, table) == [BetterAnswers(ASKED, ("4",), ("5",), "sums")]
    row = {
        "chosen": "\n\nHuman: What is 2 + 2?\n\nAssistant: 4",
        "rejected": "\n\nHuman: What is 2 + 2?\n\nAssistant: 5",
    }
    assert read(tmp_path, lines(row)) == [BetterAnswers(ASKED, ("4",), ("5",))]


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ({"prompt": "a", "chosen": "b"}, "Line 2: there is no rejected."),
        ({"chosen": "b", "rejected": "c"}, "Line 2: there is no prompt."),
        ({**REWARDBENCH, "rejected": " "}, "Line 2: rejected is empty"),
        ({**REWARDBENCH_2, "rejected": []}, "Line 2: rejected is an empty list"),
        ({**REWARDBENCH_2, "rejected": ["5", ""]}, r"Line 2: rejected\[1\] is empty"),
        ({**REWARDBENCH, "rejected": "4"}, "Line 2: '4' is both chosen and rejected"),
        ({**REWARDBENCH, "tie": True}, "Line 2: a tie has no better answer"),
        ({**REWARDBENCH, "subset": ["a"]}, "Line 2: the subset should be a short text"),
        ([1], "Line 2: "),
    ],
)
def test_rows_that_do_not_fit_are_named_by_their_line(
    tmp_path: Path, row: Any, sentence: str
) -> None:
    with pytest.raises(ImportFailed, match=sentence):
        read(tmp_path, lines(REWARDBENCH, row))


def test_of_many_bad_rows_the_first_are_named_and_the_rest_counted(tmp_path: Path) -> None:
    with pytest.raises(ImportFailed) as refused:
        read(tmp_path, parquet(tmp_path, *[{**REWARDBENCH, "rejected": ""}] * 7))
    assert str(refused.value).startswith("Row 1: rejected is empty. Row 2: ")
    assert str(refused.value).endswith("Row 5: rejected is empty. So it is with 2 more rows.")
