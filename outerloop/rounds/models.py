"""A policy line, its rounds, and the steps that a round goes through."""

from __future__ import annotations

import uuid
from datetime import time

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from web.jobs import SiteJob


class State(models.TextChoices):
    """The order is the order of a round; CLOSED, FAILED and CANCELLED are ends."""

    SNAPSHOT = "SNAPSHOT", "Taking the snapshot"
    REWARD_TRAINING = "REWARD_TRAINING", "Training the reward model"
    REWARD_EVALUATION = "REWARD_EVALUATION", "Evaluating the reward model"
    POLICY_TRAINING = "POLICY_TRAINING", "Training the policy"
    POLICY_EVALUATION = "POLICY_EVALUATION", "Evaluating the policy"
    AWAITING_LABELS = "AWAITING_LABELS", "Waiting for labels"
    AWAITING_APPROVAL = "AWAITING_APPROVAL", "Waiting for approval"
    DECIDED = "DECIDED", "Decided"
    DEPLOYING = "DEPLOYING", "Deploying"
    SAMPLING_PAIRS = "SAMPLING_PAIRS", "Sampling the next pairs"
    CLOSED = "CLOSED", "Closed"
    FAILED = "FAILED", "Failed"
    CANCELLED = "CANCELLED", "Cancelled"


ENDS = (State.CLOSED, State.FAILED, State.CANCELLED)
SUITE_KINDS = [
    ("safety", "Safety: what should be answered, and what refused"),
    ("minimal_pairs", "Minimal pairs: the right sentence against the wrong one"),
    ("exact_match", "Exact match: questions whose answer is a number"),
    ("preferences", "Preferences: better and worse answers, for the reward model"),
    ("lm_eval", "A task of lm-evaluation-harness, by its own score"),
]
RELEASES = [
    ("enough", "train later rounds where enough fresh evaluation prompts are left"),
    ("always", "train later rounds after every decision"),
    ("never", "never train"),
]
WAITING = (State.AWAITING_LABELS, State.AWAITING_APPROVAL)


class PolicyLine(models.Model):
    """A policy being improved. What is deployed is the gate's pointer, not a column here.

    COLLECTING is the state of a line with no active round.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=100)
    slug = models.SlugField(unique=True)
    description = models.TextField(blank=True)
    simulated = models.BooleanField(
        default=False, help_text="The annotators of this line are programs; every page says so."
    )
    base_version = models.UUIDField(null=True, blank=True)
    plan = models.JSONField(default=dict)
    deploys_by_itself = models.BooleanField(
        default=False, help_text="Off: a lead approves every promotion."
    )
    canary_share = models.PositiveSmallIntegerField(
        default=0,
        help_text="Percent of the users that a promoted policy answers first; 0: everybody at once.",
    )
    release_gate_labels = models.CharField(
        max_length=6,
        choices=RELEASES,
        default="enough",
        help_text="Whether the labels of a gate that has decided train later rounds; their prompts are"
        " then never judged on again.",
    )
    schedule_enabled = models.BooleanField(default=False)
    schedule_time = models.TimeField(default=time(2, 0))
    schedule_time_zone = models.CharField(max_length=64, default="UTC")
    schedule_days = models.CharField(max_length=20, default="*", help_text="As in cron: * or 1,2,3")
    minimum_fresh_labels = models.PositiveIntegerField(
        default=200, validators=[MinValueValidator(1), MaxValueValidator(10_000_000)]
    )
    created_at = models.DateTimeField(auto_now_add=True)
    archived_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return self.name


class Round(models.Model):
    """One turn of the loop. `plan` is the frozen copy that it was started with."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    line = models.ForeignKey(PolicyLine, on_delete=models.PROTECT, related_name="rounds")
    number = models.PositiveIntegerField()
    state = models.CharField(max_length=20, choices=State.choices, default=State.SNAPSHOT)
    trigger = models.CharField(
        max_length=12,
        choices=[("person", "by a person"), ("schedule", "by schedule"), ("demo", "by the demo")],
    )
    started_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True
    )
    title = models.CharField(max_length=100, blank=True)
    plan = models.JSONField()
    deploys_by_itself = models.BooleanField(default=False)
    incumbent = models.UUIDField()
    candidate = models.UUIDField(null=True, blank=True)
    reward_model = models.UUIDField(null=True, blank=True)
    held_out_reward_model = models.UUIDField(null=True, blank=True)
    snapshot = models.UUIDField(null=True, blank=True)
    fresh_labels = models.PositiveIntegerField(default=0)
    verdict = models.CharField(max_length=14, blank=True)
    summary = models.CharField(max_length=500, blank=True)
    error = models.TextField(blank=True)
    truth = models.JSONField(null=True, blank=True, help_text="Simulated worlds only.")
    cancel_requested_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    waiting_since = models.DateTimeField(null=True, blank=True)
    closed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["line", "number"], name="round_number"),
            models.UniqueConstraint(
                fields=["line"],
                name="round_one_active_per_line",
                condition=~models.Q(state__in=["CLOSED", "FAILED", "CANCELLED"]),
            ),
        ]
        indexes = [models.Index(fields=["state"], name="round_state")]

    def __str__(self) -> str:
        return f"Round {self.number}"

    @property
    def active(self) -> bool:
        return self.state not in ENDS


class RoundStep(models.Model):
    """What happened in one state of a round: the lease, the progress, what it read and wrote."""

    round = models.ForeignKey(Round, on_delete=models.CASCADE, related_name="steps")
    name = models.CharField(max_length=20, choices=State.choices)
    position = models.PositiveSmallIntegerField()
    fence = models.PositiveIntegerField(default=0)
    lease_owner = models.CharField(max_length=200, blank=True)
    lease_expires_at = models.DateTimeField(null=True, blank=True)
    run = models.UUIDField(null=True, blank=True)
    entered_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    phase = models.CharField(max_length=60, blank=True)
    progress = models.PositiveIntegerField(default=0)
    total = models.PositiveIntegerField(default=0)
    note = models.CharField(max_length=500, blank=True)
    read = models.JSONField(default=list)
    wrote = models.JSONField(default=list)

    class Meta:
        ordering = ["position"]
        constraints = [models.UniqueConstraint(fields=["round", "name"], name="round_step_once")]

    def __str__(self) -> str:
        return f"{self.round}: {self.get_name_display()}"


class RoundOpinion(models.Model):
    """What a reward head on users' signals found in a round (`SignalOpinion`): shown, and read by nothing that
    decides."""

    round = models.OneToOneField(
        Round, on_delete=models.CASCADE, primary_key=True, related_name="opinion"
    )
    found = models.JSONField()

    def __str__(self) -> str:
        return f"second opinion of {self.round}"


class StartAttempt(models.Model):
    """Every time a round was asked for: started, or skipped and why. A silent night leaves a row."""

    line = models.ForeignKey(PolicyLine, on_delete=models.CASCADE, related_name="start_attempts")
    at = models.DateTimeField(auto_now_add=True)
    trigger = models.CharField(max_length=12)
    round = models.ForeignKey(Round, on_delete=models.SET_NULL, null=True, blank=True)
    reason = models.CharField(max_length=300, blank=True)

    class Meta:
        indexes = [models.Index(fields=["line", "-at"], name="start_attempt_at")]

    def __str__(self) -> str:
        return self.reason or f"started {self.round}"


class LineSuite(models.Model):
    """A suite that the candidates of a line answer, or that its reward models are measured on. A round
    takes those that were attached when it started; what was detached is kept, as reports speak of it.
    `detach_asked_by` is the first of the two leads that it takes."""

    line = models.ForeignKey(PolicyLine, on_delete=models.PROTECT, related_name="suites")
    name = models.CharField(max_length=60)
    kind = models.CharField(
        max_length=14,
        choices=SUITE_KINDS,
    )
    content = models.TextField(help_text="The suite as one line of JSON.")
    sha256 = models.CharField(max_length=64, editable=False)
    items = models.PositiveIntegerField()
    attached_at = models.DateTimeField(auto_now_add=True)
    detached_at = models.DateTimeField(null=True, blank=True)
    detach_asked_by = models.CharField(max_length=64, blank=True, editable=False)

    class Meta:
        ordering = ["attached_at", "name"]
        constraints = [
            models.UniqueConstraint(
                fields=["line", "name"],
                name="suite_name_once_per_line",
                condition=models.Q(detached_at__isnull=True),
            )
        ]

    def __str__(self) -> str:
        return self.name


class TaskCheck(SiteJob):
    """A task of lm-evaluation-harness that is checked by a worker and then attached under `name`."""

    name = models.CharField(max_length=60)
    task = models.CharField(max_length=500)
    metric = models.CharField(max_length=100, blank=True)
    limit = models.PositiveIntegerField()
    chat = models.BooleanField(default=False)

    def __str__(self) -> str:
        return f"{self.name} ({self.task})"


class BaseState(models.TextChoices):
    QUEUED = "queued", "Waiting for a worker"
    CHECKING = "checking", "Checking the model"
    COPYING = "copying", "Copying the model"
    DONE = "done", "Done"
    FAILED = "failed", "Failed"


BASE_UNDER_WAY = (BaseState.QUEUED, BaseState.CHECKING, BaseState.COPYING)


class BaseOrder(models.Model):
    """A model that is to become a line's base policy: a worker checks it by the learning programs, copies it
    into the artifact store and deploys it. From an allowed `folder`, or a registered `version`."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    line = models.ForeignKey(PolicyLine, on_delete=models.PROTECT, related_name="base_orders")
    folder = models.CharField(max_length=500, blank=True)
    version = models.UUIDField(null=True, blank=True)
    state = models.CharField(max_length=8, choices=BaseState.choices, default=BaseState.QUEUED)
    said = models.TextField(blank=True, help_text="What the check said, a line a check.")
    error = models.TextField(blank=True)
    fence = models.PositiveIntegerField(default=0)
    lease_expires_at = models.DateTimeField(null=True, blank=True)
    actor = models.CharField(max_length=64)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["line"],
                name="base_one_order_per_line",
                condition=models.Q(state__in=["queued", "checking", "copying"]),
            )
        ]

    def __str__(self) -> str:
        return f"Base policy of {self.line}: {self.get_state_display()}"
