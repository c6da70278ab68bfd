"""Writes: prompts and pairs, the queue, and what raters answer."""

from __future__ import annotations

from .asking import thread_write
from .conversing import (
    TurnAsked,
    conversation_end,
    conversation_open,
    conversation_resume,
    turn_keep,
    turn_open,
)
from .gold import (
    GoldKnown,
    gold_item_create,
    gold_item_of_pair,
    gold_item_replace,
    gold_item_retire,
    gold_item_write,
)
from .judging import judgment_revise, judgment_submit, judgment_undo
from .leases import (
    assignment_skip,
    draft_save,
    lease_release,
    leases_give_back,
    leases_release_expired,
)
from .material import (
    completions_ensure,
    gate_queue_close,
    gate_queue_reopen,
    pairs_create,
    prompts_ensure,
)
from .opting import sensitive_opt_out
from .overlap import overlap_apply
from .qualifying import qualification_answer, qualification_begin
from .queue import budget_left, queue_lease, queue_lease_next
from .releasing import gate_labels_release
from .reopening import assignment_park, assignment_reopen, assignment_undo, parked_by
from .returning import answer_send_back
from .settling import pair_settle, pair_unsettle

__all__ = [
    "GoldKnown",
    "TurnAsked",
    "answer_send_back",
    "assignment_park",
    "assignment_reopen",
    "assignment_skip",
    "assignment_undo",
    "budget_left",
    "completions_ensure",
    "conversation_end",
    "conversation_open",
    "conversation_resume",
    "draft_save",
    "gate_labels_release",
    "gate_queue_close",
    "gate_queue_reopen",
    "gold_item_create",
    "gold_item_of_pair",
    "gold_item_replace",
    "gold_item_retire",
    "gold_item_write",
    "judgment_revise",
    "judgment_submit",
    "judgment_undo",
    "lease_release",
    "leases_give_back",
    "leases_release_expired",
    "overlap_apply",
    "pair_settle",
    "pair_unsettle",
    "pairs_create",
    "parked_by",
    "prompts_ensure",
    "qualification_answer",
    "qualification_begin",
    "queue_lease",
    "queue_lease_next",
    "sensitive_opt_out",
    "thread_write",
    "turn_keep",
    "turn_open",
]
