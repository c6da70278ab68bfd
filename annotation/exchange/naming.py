"""What names say: of a file where its rows are from (and nothing about whose they are), of a dataset's part its
split, of a criterion its key."""

from __future__ import annotations

import re

from django.utils.text import slugify

from annotation.comparisons.models import Split

ENDINGS = (
    ".gz",
    ".zst",
    ".xz",
    ".zip",
    ".jsonl",
    ".ndjson",
    ".json",
    ".csv",
    ".tsv",
    ".parquet",
    ".arrow",
)
_PARTS = {
    **{str(split): str(split) for split in Split},
    **dict.fromkeys(("valid", "val", "dev"), str(Split.VALIDATION)),
}


def job_source(name: str) -> str:
    """The name of a file without its folder and endings: the source of the prompts and pairs it brings."""
    stem = name.replace("\\", "/").rsplit("/", 1)[-1]
    for ending in ENDINGS:
        stem = stem.removesuffix(ending)
    return stem[:100] or "import"


def criterion_key(name: str) -> str:
    """The key of the criterion that a file calls so; "" where the name has no letter or digit for one."""
    return slugify(name)[:40]


def split_named(name: str) -> str:
    """The split that a dataset means by the name of a part, by its first word ("valid1", "test_prefs");
    "" where it means none."""
    word = re.match(r"[a-z]*", name.strip().lower())
    return _PARTS.get(word.group(), "") if word else ""
