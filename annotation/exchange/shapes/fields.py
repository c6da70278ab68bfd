"""Reading single fields of a row: each either gives a clean value or says what is wrong with it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from django.utils import timezone
from django.utils.dateparse import parse_datetime

from annotation.comparisons.models import Split
from annotation.exchange.naming import split_named
from annotation.exchange.records import RowRejected

from .tracked import Fields

LONGEST_TEXT = 1_000_000
LONGEST_NAME = 200
LONGEST_TAG, MOST_TAGS = 60, 20
EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)
_SURROGATE = re.compile("[\ud800-\udfff]")
_YES, _NO = (True, 1, "true", "1", "yes"), (False, 0, "false", "0", "no")


def text_field(value: Any, name: str, *, empty: bool = False) -> str:
    """A string that PostgreSQL can hold and that is not blank (unless `empty`)."""
    if not isinstance(value, str):
        found = "missing" if value is None else f"a {_kind(value)}"
        raise RowRejected(f"{name} is {found}; it should be a text.")
    if not empty and not value.strip():
        raise RowRejected(f"{name} is empty.")
    if len(value) > LONGEST_TEXT:
        raise RowRejected(f"{name} is longer than {LONGEST_TEXT:,} characters.")
    if "\x00" in value:
        raise RowRejected(f"{name} contains a NUL character.")
    if not value.isascii() and _SURROGATE.search(value):
        raise RowRejected(f"{name} contains half of a surrogate pair, which is no character.")
    return value


def name_field(value: Any, name: str) -> str:
    """A short identifier; numbers are taken as their digits."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    text = text_field(value, name).strip()
    if len(text) > LONGEST_NAME:
        raise RowRejected(f"{name} is longer than {LONGEST_NAME} characters.")
    return text


def number_field(value: Any, name: str) -> float:
    """A finite number, also one written as text (as tables have them)."""
    try:
        number = float(value) if not isinstance(value, bool) else math.nan
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise RowRejected(f"{name} is {shown(value)}; it should be a number.")
    return number


def whole_field(value: Any, name: str, *, low: int, high: int) -> int:
    number = number_field(value, name)
    if not number.is_integer() or not low <= number <= high:
        raise RowRejected(
            f"{name} is {shown(value)}; it should be a whole number from {low} to {high}."
        )
    return int(number)


def yes_field(value: Any, name: str) -> bool:
    """True or false, as JSON or as tables write them."""
    plain = value.strip().lower() if isinstance(value, str) else value
    if isinstance(plain, (bool, int, float, str)):
        if plain in _YES:
            return True
        if plain in _NO:
            return False
    raise RowRejected(f"{name} is {shown(value)}; it should be true or false.")


def time_field(value: Any, name: str) -> datetime:
    """A moment: ISO 8601 (UTC unless it says otherwise), or seconds or milliseconds since 1970."""
    found = _moment(value)
    if found is None or not EARLIEST <= found <= timezone.now() + timedelta(days=1):
        raise RowRejected(
            f"{name} is {shown(value)}; write a time such as 2024-01-31T12:00:00+00:00 that lies in the"
            " past."
        )
    return found


def _moment(value: Any) -> datetime | None:
    try:
        if isinstance(value, str) and not value.strip().replace(".", "", 1).isdigit():
            value = parse_datetime(value.strip()) or datetime.fromisoformat(value.strip())
        if isinstance(value, datetime):
            return value if value.tzinfo else value.replace(tzinfo=UTC)
        seconds = number_field(value, "time")
        return datetime.fromtimestamp(seconds / 1000 if seconds > 1e11 else seconds, tz=UTC)
    except (ValueError, OverflowError, OSError):
        return None


def identifier_field(fields: Mapping[str, Any]) -> str:
    for key in ("external_id", "pair_id", "prompt_id", "id"):
        if fields.get(key) is not None:
            return name_field(fields[key], key)
    return ""


def split_field(fields: Mapping[str, Any]) -> str:
    """The split that the row is given to, "" where it names none."""
    split = fields.get("split")
    if split is None:
        return ""
    found = split_named(split) if isinstance(split, str) else ""
    if not found:
        raise RowRejected(
            f"split is {shown(split)}; use {', '.join(Split.values)}, or leave it out."
        )
    return found


def tags_field(fields: Mapping[str, Any]) -> tuple[str, ...]:
    tags = fields.get("tags")
    if tags is None:
        return ()
    if not isinstance(tags, list) or len(tags) > MOST_TAGS:
        raise RowRejected(f"tags should be a list of at most {MOST_TAGS} short texts.")
    found = tuple(text_field(tag, "a tag").strip() for tag in tags)
    if any(len(tag) > LONGEST_TAG for tag in found):
        raise RowRejected(f"A tag is longer than {LONGEST_TAG} characters.")
    return found


def labels_as_tags(fields: Fields, *names: str) -> tuple[str, ...]:
    """The texts of fields such as a dataset's subset or language, where they are short enough for a tag."""
    found = []
    for name in names:
        value = fields.get(name)
        if isinstance(value, str) and 0 < len(value.strip()) <= LONGEST_TAG:
            found.append(text_field(value, name).strip())
        else:
            fields.leave(name)
    return tuple(found)


def dict_field(value: Any, name: str) -> Fields:
    if not isinstance(value, Fields):
        raise RowRejected(f"{name} is {_a(value)}; it should be an object.")
    return value


def list_field(value: Any, name: str) -> list[Any]:
    if not isinstance(value, list) or not value:
        raise RowRejected(f"{name} is {_a(value)}; it should be a list that is not empty.")
    return value


def shown(value: Any) -> str:
    """A value as a sentence can hold it."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:59]}…"


def _a(value: Any) -> str:
    return "missing" if value is None else f"a {_kind(value)}" if value != [] else "empty"


def _kind(value: Any) -> str:
    return "dict" if isinstance(value, dict) else type(value).__name__
