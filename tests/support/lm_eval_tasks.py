"""A folder with tasks of lm-evaluation-harness over local data, and the library or its stand-in."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest

STAND_INS = Path(__file__).parent / "stand_ins"

PICK = """\
task: house_pick
dataset_path: json
dataset_kwargs:
  data_files:
    test: pick.jsonl
test_split: test
output_type: multiple_choice
doc_to_text: "{{question}}"
doc_to_choice: "{{choices}}"
doc_to_target: "{{label}}"
metric_list:
  - metric: acc
    aggregation: mean
    higher_is_better: true
"""
WRITE = """\
task: house_write
dataset_path: json
dataset_kwargs:
  data_files:
    test: write.jsonl
test_split: test
output_type: generate_until
doc_to_text: "{{question}}"
doc_to_target: "{{answer}}"
generation_kwargs:
  max_gen_toks: 3
  do_sample: false
  until: ["\\n"]
metric_list:
  - metric: exact_match
    aggregation: mean
    higher_is_better: true
"""
CHOICES = ("12.", "3000 m.", "kill command")


def questions(count: int) -> list[str]:
    return [f"What is {i % 10} plus {i // 10}?" for i in range(count)]


def pick_rows(count: int) -> list[dict[str, object]]:
    asked = questions(count)
    return [{"question": q, "choices": list(CHOICES), "label": i % 3} for i, q in enumerate(asked)]


def task_folder(
    folder: Path, *, count: int = 9, answers: Mapping[str, str] | None = None
) -> dict[str, str]:
    """pick.yaml, write.yaml and their data; `answers` by question, "no" where there is none. What was
    written, name to text."""
    known = answers or {}
    written = [{"question": q, "answer": known.get(q, "no")} for q in questions(count)]
    files = {
        "pick.yaml": PICK,
        "write.yaml": WRITE,
        "pick.jsonl": _lines(pick_rows(count)),
        "write.jsonl": _lines(written),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text)
    return files


def _lines(rows: Sequence[Mapping[str, object]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


@contextmanager
def library_provided(place: Path) -> Iterator[None]:
    """The library where the environment has it, else its stand-in, for programs started as well."""
    if find_spec("lm_eval") is not None:
        yield
        return
    told = place / "lm_eval-0.4.13.dist-info"
    told.mkdir(parents=True)
    (told / "METADATA").write_text("Metadata-Version: 2.1\nName: lm_eval\nVersion: 0.4.13\n")
    with pytest.MonkeyPatch.context() as patch:
        for path in (place, STAND_INS):
            patch.syspath_prepend(str(path))
        patch.setenv("PYTHONPATH", f"{STAND_INS}:{place}")
        yield
    for name in [n for n in sys.modules if n.split(".")[0] in ("lm_eval", "datasets")]:
        del sys.modules[name]
