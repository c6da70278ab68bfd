"""The gold as PPO may call it: to be trained on in the control arm, to be watched in every other.

A learning program imports these by name, so this module leads to no web framework of its own accord.
"""

from __future__ import annotations

from collections.abc import Sequence

from outerloop.demo.gold import gold_reward
from outerloop.demo.world import of_this_world
from outerloop.demo.world.prompts import Message

WATCHED = "outerloop.selftest.gold:gold_watched"
TRAINED_ON = "outerloop.demo.gold:gold_reward"


def gold_watched(messages: Sequence[Message], text: str) -> float:
    """The gold of a completion; 0 for a prompt of another world, which a program may try first."""
    return gold_reward(messages, text) if of_this_world(messages) else 0.0
