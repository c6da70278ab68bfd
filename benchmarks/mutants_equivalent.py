"""Mutants that no test can notice, since the changed code does the same: (function, change) -> reason."""

from __future__ import annotations

EQUIVALENT: dict[tuple[str, str], str] = {}
