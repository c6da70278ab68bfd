import gzip
import json

import pytest

from tests.support.documented import assert_said
from tests.support.tiny_models import json_lines
from training.core.data.json_lines import (
    completions_read,
    demonstrations_read,
    preferences_read,
    prompts_read,
)
from training.core.run.errors import UserError

PROMPT = [{"role": "user", "content": "q"}]
PREFERENCE = {
    "id": "p",
    "group": "g",
    "messages": PROMPT,
    "completions": ["a", "b"],
    "preference": 0.5,
}


def test_rows_are_read_plain_and_compressed(tmp_path):
    row = {"id": "1", "messages": PROMPT, "group": "g"}
    plain = prompts_read(json_lines(tmp_path / "a.jsonl", [row]))
    with gzip.open(tmp_path / "a.jsonl.gz", "wt") as stream:
        stream.write("\n" + json.dumps(row) + "\n")
    assert plain == prompts_read(tmp_path / "a.jsonl.gz")
    assert plain[0].messages[0]["content"] == "q"


def test_preference_defaults_and_ties(tmp_path):
    row = preferences_read(json_lines(tmp_path / "p.jsonl", [PREFERENCE]))[0]
    assert (row.split, row.weight, row.strength, row.tie) == ("train", 1.0, 4.0, True)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"preference": 1.5}, r"line 1: .*\[0, 1\]"),
        ({"completions": ["a"]}, "line 1: .*two texts"),
        ({"strength": 9}, r"1\.\.7"),
        ({"weight": -1}, "weight"),
        ({"split": "dev"}, "'dev' is not one of"),
        ({"messages": []}, "'messages' is empty"),
        ({"messages": [{"role": "user"}]}, "'role' and 'content'"),
        ({"colour": "red"}, "unknown field 'colour'"),
    ],
)
def test_bad_preferences_are_named(tmp_path, changes, message):
    path = json_lines(tmp_path / "p.jsonl", [{**PREFERENCE, **changes}])
    with pytest.raises(UserError, match=message):
        preferences_read(path)


def test_bad_files_are_named(tmp_path):
    (tmp_path / "x").write_text("{}\n{")
    with pytest.raises(UserError, match=r"x, line 1: .*'id' is missing"):
        prompts_read(tmp_path / "x")
    (tmp_path / "y").write_text("[1]\n")
    with pytest.raises(UserError, match="y, line 1: expected a JSON object"):
        prompts_read(tmp_path / "y")
    (tmp_path / "z").write_text("\n")
    with pytest.raises(UserError, match="z: the file holds no rows"):
        prompts_read(tmp_path / "z")
    with pytest.raises(UserError, match="must be of the assistant, not of the user"):
        demonstrations_read(json_lines(tmp_path / "d", [{"messages": PROMPT}]))
    with pytest.raises(UserError, match="objects with a 'text'"):
        completions_read(json_lines(tmp_path / "c", [{"prompt_id": "1", "completions": ["a"]}]))
    texts = (
        "a\ud83d",
        "a\ud83d\ude00 \\ud83d",
    )  # half a character; a whole one, and a text about a half
    half, whole = (
        json_lines(tmp_path / name, [{"id": "1", "messages": [{"role": "user", "content": text}]}])
        for name, text in zip("hw", texts, strict=True)
    )
    with pytest.raises(UserError, match="h, line 1: a text holds half of a surrogate") as refusal:
        prompts_read(half)
    assert_said("half a character in a learning program's file", str(refusal.value))
    assert len(prompts_read(whole)) == 1
