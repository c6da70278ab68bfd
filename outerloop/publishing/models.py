"""Models that are pushed elsewhere: what was asked, how far it is, what came of it."""

from __future__ import annotations

from django.db import models

from web.jobs import SiteJob


class Destination(models.TextChoices):
    HUB = "hub", "Model hub"
    MLFLOW = "mlflow", "MLflow registry"


class Push(SiteJob):
    """One model version on its way to `name`, a repository of the hub or a model of the MLflow registry.

    `version` is the training room's. `reference` is what the other side calls the result: a commit, or the
    number of a version. No address and no token is kept: both are the operator's settings.
    """

    version = models.UUIDField(db_index=True)
    destination = models.CharField(max_length=6, choices=Destination.choices)
    name = models.CharField(max_length=200)
    private = models.BooleanField(default=True)
    bytes_total = models.BigIntegerField(default=0)
    bytes_done = models.BigIntegerField(default=0)
    reference = models.CharField(max_length=100, blank=True)

    class Meta(SiteJob.Meta):
        verbose_name_plural = "pushes"

    def __str__(self) -> str:
        return f"Push to {self.name}"
