"""Writes: prompts and pairs, the queue, and what raters answer."""

from __future__ import annotations

from .judging import judgment_revise, judgment_submit, judgment_undo
from .leases import assignment_skip, draft_save, leases_give_back, leases_release_expired
from .material import (
    completions_ensure,
    gate_queue_close,
    gate_queue_reopen,
    gold_item_create,
    pairs_create,
    prompts_ensure,
)
from .queue import queue_lease, queue_lease_next

__all__ = [
    "assignment_skip",
    "completions_ensure",
    "draft_save",
    "gate_queue_close",
    "gate_queue_reopen",
    "gold_item_create",
    "judgment_revise",
    "judgment_submit",
    "judgment_undo",
    "leases_give_back",
    "leases_release_expired",
    "pairs_create",
    "prompts_ensure",
    "queue_lease",
    "queue_lease_next",
]
