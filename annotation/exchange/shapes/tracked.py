"""A row that remembers which of its fields were read, so that nothing is left out unnamed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


class Fields(dict[str, Any]):
    """The fields of a row, or of an object within it. Asking whether a field is there does not read it."""

    def __init__(self, raw: dict[str, Any]) -> None:
        super().__init__(raw)
        self._read: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        self._read.add(name)
        value = super().__getitem__(name)
        if type(value) is dict:
            value = Fields(value)
            super().__setitem__(name, value)
        elif type(value) is list and any(type(item) is dict for item in value):
            value = [Fields(item) if type(item) is dict else item for item in value]
            super().__setitem__(name, value)
        return value

    def get(self, name: str, default: Any = None) -> Any:
        return self[name] if name in self else default  # noqa: SIM401 - this is `get`

    def leave(self, name: str) -> None:
        """The field was looked at and is not used after all."""
        self._read.discard(name)

    def unused(self, within: str = "") -> Iterator[str]:
        """Names of the fields that hold something and were not read; within an object or list with its name."""
        for name, value in self.items():
            if name not in self._read:
                if value is not None and value not in ("", [], {}):
                    yield f"{within}{name}"
            elif isinstance(value, Fields):
                yield from value.unused(f"{name}.")
            elif isinstance(value, list):
                for item in value:
                    if isinstance(item, Fields):
                        yield from item.unused(f"{name}[].")
