"""Who may sign in, in which role, and under which pseudonym their judgments are kept."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.contrib.auth.models import AbstractUser
from django.contrib.postgres.fields import ArrayField
from django.core.validators import MaxValueValidator
from django.db import models
from django.utils import timezone


class Role(models.TextChoices):
    ANNOTATOR = "annotator", "Annotator"
    ADJUDICATOR = "adjudicator", "Adjudicator"
    ENGINEER = "engineer", "Engineer"
    LEAD = "lead", "Lead"


class TextView(models.TextChoices):
    RENDERED = "rendered", "As Markdown"
    RAW = "raw", "As written"


class User(AbstractUser):
    """A person with an account. Judgments belong to the `Rater`, never to the user.

    Of the compare page: `text_view` is how they read (empty: as the campaign is meant), `compare_keys`
    the keys that they changed ({act: {"key", "code"}}), `toured` whether they saw or skipped the tour,
    `break_minutes` the work after which it speaks of a break (0: never).
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    email = models.EmailField("e-mail address", unique=True)
    one_gesture = models.BooleanField("Vote with one key", default=False)
    text_view = models.CharField(max_length=8, choices=TextView.choices, blank=True)
    compare_keys = models.JSONField(default=dict, blank=True)
    toured = models.BooleanField(default=False)
    break_minutes = models.PositiveSmallIntegerField(
        "Remind me of a break after (minutes)", default=50, validators=[MaxValueValidator(240)]
    )
    api_token: ApiToken  # of a program that acts as this person; a request by session has none

    def __str__(self) -> str:
        return self.get_full_name() or self.username


class Membership(models.Model):
    """A role of a user on one policy line, or on every line when `line` is empty."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="memberships"
    )
    role = models.CharField(max_length=16, choices=Role.choices)
    line = models.UUIDField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["user", "role", "line"], name="membership_once", nulls_distinct=False
            )
        ]

    def __str__(self) -> str:
        return f"{self.user}: {self.get_role_display()}"


class Rater(models.Model):
    """Whose judgment it is: a person with an account, an imported voter, or a simulation.

    `source` and `external_id` name an imported voter. Erasing a person empties `user` and leaves
    the pseudonym, so that snapshots still verify.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.OneToOneField(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="rater",
    )
    pseudonym = models.CharField(max_length=40, unique=True)
    source = models.CharField(max_length=100, blank=True)
    external_id = models.CharField(max_length=200, blank=True)
    simulated = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["source", "external_id"],
                name="rater_external_once",
                condition=~models.Q(external_id=""),
            )
        ]

    def __str__(self) -> str:
        return self.pseudonym


class ApiToken(models.Model):
    """A secret with which a program acts as `user`, within `scopes` (keys of `web.tokens.SCOPES`).

    Only its SHA-256 is kept, and how it begins.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="api_tokens"
    )
    name = models.CharField(max_length=60)
    digest = models.CharField(max_length=64, unique=True)
    beginning = models.CharField(max_length=20)
    scopes = ArrayField(models.CharField(max_length=20), default=list)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField()
    last_used_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"{self.name} ({self.beginning}…)"
