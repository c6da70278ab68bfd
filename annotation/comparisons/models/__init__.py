"""Prompts and completions, the comparisons made of them, and what raters said."""

from __future__ import annotations

from .judgments import Assignment, AssignmentState, Judgment, JudgmentValue, RaterQueue
from .material import Completion, Prompt, RootSplit, Split
from .pairs import Comparison, GateQueue, Purpose, Slot

__all__ = [
    "Assignment",
    "AssignmentState",
    "Comparison",
    "Completion",
    "GateQueue",
    "Judgment",
    "JudgmentValue",
    "Prompt",
    "Purpose",
    "RaterQueue",
    "RootSplit",
    "Slot",
    "Split",
]
