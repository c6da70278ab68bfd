"""What a test knows to be there."""

from __future__ import annotations

from typing import TypeVar

Thing = TypeVar("Thing")


def given(thing: Thing | None) -> Thing:
    assert thing is not None
    return thing
