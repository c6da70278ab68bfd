"""Prompts and completions, the comparisons made of them, and what raters said."""

from __future__ import annotations

from .acts import Adjudication, AnswerReturn, Exclusion, ThreadMessage
from .conversations import Conversation, ConversationTurn
from .counts import QueueCount, RaterCount
from .judgments import Assignment, AssignmentState, Judgment, JudgmentValue, RaterQueue
from .material import Completion, Prompt, RetiredRoot, RootSplit, Split
from .pairs import Comparison, GateQueue, Purpose, Slot
from .qualifying import QualificationAnswer, QualificationTry

__all__ = [
    "Adjudication",
    "AnswerReturn",
    "Assignment",
    "AssignmentState",
    "Comparison",
    "Completion",
    "Conversation",
    "ConversationTurn",
    "Exclusion",
    "GateQueue",
    "Judgment",
    "JudgmentValue",
    "Prompt",
    "Purpose",
    "QualificationAnswer",
    "QualificationTry",
    "QueueCount",
    "RaterCount",
    "RaterQueue",
    "RetiredRoot",
    "RootSplit",
    "Slot",
    "Split",
    "ThreadMessage",
]
