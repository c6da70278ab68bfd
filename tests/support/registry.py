"""The registry as one test wants it."""

from __future__ import annotations

from uuid import UUID

import pytest

from web import registry


def only(monkeypatch: pytest.MonkeyPatch, kind: type, *extensions: registry.Extension) -> None:
    """Until the test ends, these are the only extensions of the kind."""
    monkeypatch.setitem(registry._registered, kind, {one.key: one for one in extensions})


def paged_line(monkeypatch: pytest.MonkeyPatch, line: registry.NamedLine) -> None:
    """Until the test ends, this is the only policy line."""
    only(monkeypatch, registry.LineNames, registry.LineNames("test", lambda: [line]))


def named_lines(monkeypatch: pytest.MonkeyPatch, **names: UUID) -> None:
    """Until the test ends, these are the policy lines: id by name."""
    lines = [registry.NamedLine(line_id, name) for name, line_id in names.items()]
    only(monkeypatch, registry.LineNames, registry.LineNames("test", lambda: lines))
