"""What the gate decided, from what, who let what through, and which policy is deployed.

All of it is append-only: database triggers (migration 0002) refuse to change or delete a row. The
few columns that may still be filled in once are named in the docstring of their model. Lines,
rounds, runs and model versions belong to other rooms and are held as UUIDs; acting people are held
as text (a user's id, or the name of a process), so that erasing a person changes no evidence.
"""

from __future__ import annotations

import uuid

from django.db import models

from evaluation.contracts import GateMeasurements, GatePolicySettings, GateVerdict
from evaluation.gates.actors import ACTOR_LENGTH
from evaluation.gates.canary_models import Canary as Canary  # so that Django finds it
from evaluation.gates.plan_models import LabelPlan as LabelPlan  # and this
from evaluation.gates.shadow_models import Shadow as Shadow  # the same


class PolicyAnswer(models.TextChoices):
    CONFIRMED = "confirmed", "Confirmed"
    DECLINED = "declined", "Declined"
    WITHDRAWN = "withdrawn", "Withdrawn"


class GatePolicyRequest(models.Model):
    """A weaker gate policy that one lead asks for; it counts once a second lead has confirmed it.

    `based_on` is the version in force when it was asked for: once another one counts, the request is
    over. `answer`, `answered_by` and `answered_at` are filled in once.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    line = models.UUIDField()
    based_on = models.PositiveIntegerField()
    settings = models.JSONField()
    reason = models.TextField()
    requested_by = models.CharField(max_length=ACTOR_LENGTH)
    requested_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    answer = models.CharField(max_length=10, choices=PolicyAnswer.choices, blank=True)
    answered_by = models.CharField(max_length=ACTOR_LENGTH, blank=True)
    answered_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(answer="withdrawn", answered_by=models.F("requested_by"))
                | ~models.Q(answer="withdrawn") & ~models.Q(answered_by=models.F("requested_by")),
                name="gate_policy_request_by_two_people",
            ),
            models.CheckConstraint(
                condition=models.Q(answer="", answered_by="", answered_at=None)
                | ~models.Q(answer="")
                & ~models.Q(answered_by="")
                & models.Q(answered_at__isnull=False),
                name="gate_policy_request_answered_whole",
            ),
        ]
        indexes = [models.Index(fields=["line", "-requested_at"], name="policy_request_of_line")]

    def __str__(self) -> str:
        return f"request for gate policy {self.based_on + 1}"

    @property
    def gate_settings(self) -> GatePolicySettings:
        return GatePolicySettings.from_json(self.settings)


class GatePolicy(models.Model):
    """One version of a line's thresholds. Versions count from 1; the built-in default is version 0.

    `request` is the one that two leads agreed on, where the version is weaker than the one before.
    """

    line = models.UUIDField()
    version = models.PositiveIntegerField()
    settings = models.JSONField()
    created_by = models.CharField(max_length=ACTOR_LENGTH)
    created_at = models.DateTimeField(auto_now_add=True)
    request = models.OneToOneField(
        GatePolicyRequest, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["line", "version"], name="gate_policy_version_once")
        ]

    def __str__(self) -> str:
        return f"gate policy {self.version}"

    @property
    def gate_settings(self) -> GatePolicySettings:
        return GatePolicySettings.from_json(self.settings)


class Decision(models.Model):
    """One verdict on a round's evidence; more evidence makes a new revision, never a change."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    line = models.UUIDField()
    round = models.UUIDField()
    number = models.PositiveIntegerField()
    revision = models.PositiveIntegerField()
    verdict = models.CharField(max_length=12)
    checks = models.JSONField()
    reasons = models.JSONField()
    wants = models.JSONField()
    measurements = models.JSONField()
    settings = models.JSONField()
    policy_version = models.PositiveIntegerField()
    evidence_sha256 = models.CharField(max_length=64)
    tested = models.BooleanField()
    candidate = models.UUIDField()
    incumbent = models.UUIDField()
    decided_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["round", "revision"], name="decision_revision_once"),
        ]
        indexes = [models.Index(fields=["line", "number", "revision"], name="decision_of_line")]

    def __str__(self) -> str:
        return f"round {self.number}: {self.verdict}"

    @property
    def evidence(self) -> GateMeasurements:
        return GateMeasurements.from_json(self.measurements)

    @property
    def gate_settings(self) -> GatePolicySettings:
        return GatePolicySettings.from_json(self.settings)

    @property
    def gate(self) -> GateVerdict:
        names = ("verdict", "checks", "reasons", "evidence_sha256", "wants")
        return GateVerdict.from_json({name: getattr(self, name) for name in names})


class GateTest(models.Model):
    """A round's test of what people prefer: its place in the line's error control, fixed before a label.

    It counts as soon as a label is given in it, whatever becomes of the round: cancelled, failed or
    decided. `level` is the probability of an error that it stakes, after `discoveries` earlier ones
    that cost `error_spent` together; `labels` is what the bets aim to reach it with. What it came to
    (`labelled`, `e_value`, `discovered`, `cost`) is filled in once: when the round is decided, or else when
    the line's next round asks.

    A candidate that is judged again against the same incumbent, by the same hypothesis, goes on with the
    test of the round that it `continues`: same number, same level, and what both came to counts once.
    """

    round = models.UUIDField(primary_key=True)
    line = models.UUIDField()
    number = models.PositiveIntegerField()
    candidate = models.UUIDField()
    incumbent = models.UUIDField()
    settings = models.JSONField()
    test_number = models.PositiveIntegerField()
    discoveries = models.PositiveIntegerField()
    error_spent = models.FloatField()
    level = models.FloatField()
    labels = models.PositiveIntegerField()
    labelled = models.PositiveIntegerField(null=True)
    e_value = models.FloatField(null=True)
    discovered = models.BooleanField(null=True)
    cost = models.FloatField(null=True)
    continues = models.UUIDField(null=True)

    class Meta:
        indexes = [models.Index(fields=["line", "number"], name="gate_test_of_line")]

    def __str__(self) -> str:
        return f"gate test {self.test_number}"

    @property
    def gate_settings(self) -> GatePolicySettings:
        return GatePolicySettings.from_json(self.settings)


class GatePredictions(models.Model):
    """What the held-out reward model predicts for the pairs of a round, written down when they are offered.

    `pairs` maps a prompt to how probably its candidate's text is preferred; `reference` lists the same of
    pairs that nobody is asked about, in their drawn order, and is empty where those are not drawn like
    the pairs that people see. With the labels and the round's test it gives the same evidence for ever.
    """

    round = models.UUIDField(primary_key=True)
    pairs = models.JSONField()
    reference = models.JSONField()

    def __str__(self) -> str:
        return f"predictions for {len(self.pairs)} pairs"


class Approval(models.Model):
    """A lead's yes or no to deploying what the gate lets through.

    `canary_share` is the share of the users, in percent, that it is to answer first; 0: everybody at once.
    """

    decision = models.OneToOneField(Decision, on_delete=models.PROTECT, related_name="approval")
    actor = models.CharField(max_length=ACTOR_LENGTH)
    approved = models.BooleanField()
    reason = models.TextField(blank=True)
    canary_share = models.PositiveSmallIntegerField(default=0)
    at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"{'approved' if self.approved else 'declined'} by {self.actor}"


class Override(models.Model):
    """Two leads let one check through, for one decision's evidence, for a time.

    `confirmed_by` and `confirmed_at` are filled in once, by somebody else than `requested_by`.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    decision = models.ForeignKey(Decision, on_delete=models.PROTECT, related_name="overrides")
    check_id = models.CharField(max_length=10)
    reason = models.TextField()
    evidence_sha256 = models.CharField(max_length=64)
    requested_by = models.CharField(max_length=ACTOR_LENGTH)
    requested_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    confirmed_by = models.CharField(max_length=ACTOR_LENGTH, blank=True)
    confirmed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=~models.Q(confirmed_by=models.F("requested_by")),
                name="override_by_two_people",
            ),
            models.CheckConstraint(
                condition=models.Q(confirmed_by="", confirmed_at=None)
                | (~models.Q(confirmed_by="") & models.Q(confirmed_at__isnull=False)),
                name="override_confirmed_whole",
            ),
        ]

    def __str__(self) -> str:
        return f"override of {self.check_id}"


class DeploymentKind(models.TextChoices):
    INITIAL = "initial", "First policy"
    DEPLOY = "deploy", "Deployed"
    ROLLBACK = "rollback", "Rolled back"


class Deployment(models.Model):
    """One move of a line's pointer.

    `served_at` is filled in once, when the policy server first answered with this version;
    `served_error` holds the last failure to serve it and is emptied when it answers.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    line = models.UUIDField()
    version = models.UUIDField()
    artifact_sha256 = models.CharField(max_length=64)
    kind = models.CharField(max_length=10, choices=DeploymentKind.choices)
    round = models.UUIDField(null=True, blank=True)
    previous = models.ForeignKey(
        "self", on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    actor = models.CharField(max_length=ACTOR_LENGTH)
    reason = models.TextField(blank=True)
    started_at = models.DateTimeField(auto_now_add=True)
    served_at = models.DateTimeField(null=True, blank=True)
    served_error = models.TextField(blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["round"],
                name="deployment_once_per_round",
                condition=models.Q(kind="deploy"),
            ),
            models.UniqueConstraint(
                fields=["line"],
                name="deployment_one_initial",
                condition=models.Q(kind="initial"),
            ),
        ]
        indexes = [
            models.Index(fields=["line", "-started_at", "-id"], name="deployment_newest"),
            models.Index(fields=["line", "version", "-started_at"], name="deployment_of_version"),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.version}"


class LinePointer(models.Model):
    """What is deployed on a line: the one row that every switch locks and moves."""

    line = models.UUIDField(primary_key=True)
    deployment = models.OneToOneField(
        Deployment, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    moved_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return f"line {self.line}"
