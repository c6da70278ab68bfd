"""Which texts PostgreSQL can keep."""

from __future__ import annotations

import re
from typing import Any

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def storable(value: Any) -> bool:
    """Whether PostgreSQL can keep every text in a JSON value: no NUL, no half of a surrogate pair."""
    if isinstance(value, dict):
        return all(storable(part) for pair in value.items() for part in pair)
    if isinstance(value, list):
        return all(storable(part) for part in value)
    return not isinstance(value, str) or not _UNSTORABLE.search(value)
