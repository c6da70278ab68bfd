"""A person's live conversation with the deployed policy: each turn became an ordinary pair."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import Q

from .material import Completion, Prompt
from .pairs import Comparison


class Conversation(models.Model):
    """One rater's conversation in a campaign; until `ended_at` it is the one that they are in."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    campaign = models.ForeignKey(
        "campaigns.Campaign", on_delete=models.PROTECT, related_name="conversations"
    )
    rater = models.ForeignKey(
        "accounts.Rater", on_delete=models.PROTECT, related_name="conversations"
    )
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["campaign", "rater"],
                name="conversation_one_at_a_time",
                condition=Q(ended_at__isnull=True),
            )
        ]

    def __str__(self) -> str:
        return f"{self.rater_id} with the policy"


class ConversationTurn(models.Model):
    """One message of the rater, the last one of `prompt`, and what became of it.

    `comparison` holds the two answers; it is empty where nothing was left to compare (both were the same), and
    then `reply` is the answer that goes on. Of a compared turn `reply` is written when the next message is
    sent: until then an answer that is undone or edited changes how the conversation goes on.
    """

    conversation = models.ForeignKey(Conversation, on_delete=models.PROTECT, related_name="turns")
    number = models.PositiveSmallIntegerField()
    prompt = models.ForeignKey(Prompt, on_delete=models.PROTECT, related_name="+")
    comparison = models.OneToOneField(
        Comparison, on_delete=models.PROTECT, null=True, blank=True, related_name="turn"
    )
    reply = models.ForeignKey(
        Completion, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["conversation", "number"], name="conversation_turn_once"
            ),
            models.CheckConstraint(
                condition=Q(comparison__isnull=False) | Q(reply__isnull=False),
                name="conversation_turn_goes_on",
            ),
        ]

    def __str__(self) -> str:
        return f"Turn {self.number}: {self.prompt}"
