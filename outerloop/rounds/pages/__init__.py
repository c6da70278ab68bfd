"""What the line, round and home templates are given: plain values, gathered here."""

from __future__ import annotations

from outerloop.rounds.pages.home import waiting_read
from outerloop.rounds.pages.line import line_context, lines_context
from outerloop.rounds.pages.round import decision_context, round_context
from outerloop.rounds.pages.signals import signals_context

__all__ = [
    "decision_context",
    "line_context",
    "lines_context",
    "round_context",
    "signals_context",
    "waiting_read",
]
