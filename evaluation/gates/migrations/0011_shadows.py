"""A policy may answer a share of the requests unseen."""

from __future__ import annotations

import uuid

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("gates", "0010_canary_crashes")]
    operations = [
        migrations.CreateModel(
            name="Shadow",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid.uuid4, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("line", models.UUIDField()),
                ("version", models.UUIDField()),
                ("share", models.PositiveSmallIntegerField()),
                ("actor", models.CharField(max_length=100)),
                ("started_at", models.DateTimeField(auto_now_add=True)),
                ("served_at", models.DateTimeField(blank=True, null=True)),
                ("served_error", models.TextField(blank=True)),
                ("ended_at", models.DateTimeField(blank=True, null=True)),
                ("ended_by", models.CharField(blank=True, max_length=100)),
                (
                    "beside",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="gates.deployment",
                    ),
                ),
            ],
            options={
                "indexes": [models.Index(fields=["line", "-started_at"], name="shadow_of_line")],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("ended_at", None)),
                        fields=("line",),
                        name="shadow_one_under_way",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("share__gte", 1), ("share__lte", 100)),
                        name="shadow_share",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="ShadowDay",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("day", models.DateField()),
                ("answered", models.PositiveIntegerField(default=0)),
                ("failed", models.PositiveIntegerField(default=0)),
                ("dropped", models.PositiveIntegerField(default=0)),
                ("seconds", models.FloatField(default=0.0)),
                ("deployed_seconds", models.FloatField(default=0.0)),
                ("characters", models.PositiveBigIntegerField(default=0)),
                ("deployed_characters", models.PositiveBigIntegerField(default=0)),
                ("refused", models.PositiveIntegerField(default=0)),
                ("deployed_refused", models.PositiveIntegerField(default=0)),
                ("refused_alone", models.PositiveIntegerField(default=0)),
                ("deployed_refused_alone", models.PositiveIntegerField(default=0)),
                (
                    "shadow",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="days",
                        to="gates.shadow",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("shadow", "day"), name="shadow_day_once")
                ],
            },
        ),
    ]
