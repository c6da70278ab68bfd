"""Writes: prompts and pairs, the queue, and what raters answer."""

from __future__ import annotations

from .judging import judgment_revise, judgment_submit, judgment_undo
from .leases import assignment_skip, draft_save, leases_release_expired
from .material import (
    completions_ensure,
    gate_queue_close,
    gate_queue_reopen,
    gold_item_create,
    pairs_create,
    prompts_ensure,
)
from .queue import assignment_prefetch, queue_lease_next

__all__ = [
    "assignment_prefetch",
    "assignment_skip",
    "completions_ensure",
    "draft_save",
    "gate_queue_close",
    "gate_queue_reopen",
    "gold_item_create",
    "judgment_revise",
    "judgment_submit",
    "judgment_undo",
    "leases_release_expired",
    "pairs_create",
    "prompts_ensure",
    "queue_lease_next",
]
