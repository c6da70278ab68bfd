"""Which judge a line has, what a round asked it, and every answer that it gave.

Answers are append-only (a trigger of the first migration): a report's figures can be worked out from them
again, to the byte, and nobody is asked twice. Lines, rounds and prompts are held as UUIDs.
"""

from __future__ import annotations

import uuid

from django.db import models

from evaluation.contracts import JudgeSettings


class LineJudge(models.Model):
    """The judge that the line's next rounds ask, while `active`; no key is kept here."""

    line = models.UUIDField(primary_key=True)
    active = models.BooleanField(default=False)
    settings = models.JSONField()
    saved_by = models.CharField(max_length=64)
    saved_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return f"judge of line {self.line}"

    @property
    def judge_settings(self) -> JudgeSettings:
        return JudgeSettings.from_json(self.settings)


class RubricSource(models.TextChoices):
    SETTING = "setting", "the line's setting"
    GUIDELINES = "guidelines", "the campaign's guidelines"
    NONE = "none", "none"


class JudgeRun(models.Model):
    """What one round asks: settings, with the rubric in full, and pairs are fixed when it is first asked.

    `reason` says why it ended before everything was answered, or what stayed unanswered.
    """

    round = models.UUIDField(primary_key=True)
    line = models.UUIDField()
    settings = models.JSONField()
    rubric_source = models.CharField(max_length=10, choices=RubricSource.choices)
    pairs = models.PositiveIntegerField()
    started_at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True)
    reason = models.CharField(max_length=500, blank=True)

    class Meta:
        indexes = [models.Index(fields=["line", "-started_at"], name="judge_run_of_line")]

    def __str__(self) -> str:
        return f"judge of round {self.round}"

    @property
    def judge_settings(self) -> JudgeSettings:
        return JudgeSettings.from_json(self.settings)


class Verdict(models.TextChoices):
    """In the order shown; `UNREADABLE` where the answer gave none."""

    FIRST = "first", "First"
    SECOND = "second", "Second"
    TIE = "tie", "Tie"
    UNREADABLE = "", "Unreadable"


class JudgeAnswer(models.Model):
    """One answer as it came: what was asked by its digest, in which order, and the verdict read from it.

    Lengths are in characters; `seconds` is the time of the request that was answered.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    run = models.ForeignKey(JudgeRun, on_delete=models.PROTECT, related_name="answers")
    prompt = models.UUIDField()
    group = models.CharField(max_length=100)
    candidate_first = models.BooleanField()
    candidate_length = models.PositiveIntegerField()
    incumbent_length = models.PositiveIntegerField()
    request_sha256 = models.CharField(max_length=64)
    answer = models.TextField(blank=True)
    verdict = models.CharField(max_length=6, choices=Verdict.choices, blank=True)
    seconds = models.FloatField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["run", "prompt", "candidate_first"], name="judge_asked_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.verdict or 'no verdict'} on {self.prompt}"
