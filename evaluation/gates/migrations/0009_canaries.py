"""A promoted policy may answer a share of the users first."""

from __future__ import annotations

import uuid

import django.db.models.deletion
from django.db import migrations, models

TRIGGERS = """
CREATE FUNCTION gates_canary_update() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (OLD.served_at IS NOT NULL AND NEW.served_at IS DISTINCT FROM OLD.served_at)
       OR (OLD.outcome <> '' AND (NEW.outcome, NEW.ended_at, NEW.ended_by)
           IS DISTINCT FROM (OLD.outcome, OLD.ended_at, OLD.ended_by))
       OR (to_jsonb(NEW) - 'served_at' - 'served_error' - 'outcome' - 'ended_at' - 'ended_by')
          IS DISTINCT FROM
          (to_jsonb(OLD) - 'served_at' - 'served_error' - 'outcome' - 'ended_at' - 'ended_by') THEN
        RAISE EXCEPTION 'gates_canary is append-only except for whether it was served and how it ended'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER append_only_delete BEFORE DELETE ON gates_canary
    FOR EACH ROW EXECUTE FUNCTION gates_refuse();
CREATE TRIGGER append_only_update BEFORE UPDATE ON gates_canary
    FOR EACH ROW EXECUTE FUNCTION gates_canary_update();
"""

NO_TRIGGERS = """
DROP TRIGGER append_only_delete ON gates_canary;
DROP TRIGGER append_only_update ON gates_canary;
DROP FUNCTION gates_canary_update();
"""


class Migration(migrations.Migration):
    dependencies = [("gates", "0008_predictions_and_second_budgets")]
    operations = [
        migrations.AddField(
            model_name="approval",
            name="canary_share",
            field=models.PositiveSmallIntegerField(default=0),
        ),
        migrations.CreateModel(
            name="Canary",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid.uuid4, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("line", models.UUIDField()),
                ("version", models.UUIDField()),
                ("round", models.UUIDField(unique=True)),
                ("share", models.PositiveSmallIntegerField()),
                ("days", models.PositiveSmallIntegerField()),
                ("actor", models.CharField(max_length=100)),
                ("started_at", models.DateTimeField(auto_now_add=True)),
                ("served_at", models.DateTimeField(blank=True, null=True)),
                ("served_error", models.TextField(blank=True)),
                (
                    "outcome",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("widened", "Widened to everybody"),
                            ("taken_back", "Taken back"),
                            ("worse", "Taken back by itself: shown worse"),
                            ("overtaken", "Ended by a rollback"),
                        ],
                        max_length=10,
                    ),
                ),
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
                "indexes": [
                    models.Index(fields=["line", "-started_at"], name="canary_of_line")
                ],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("outcome", "")),
                        fields=("line",),
                        name="canary_one_under_way",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("share__gte", 5), ("share__lte", 50)),
                        name="canary_share",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("ended_at", None), ("ended_by", ""), ("outcome", "")),
                            models.Q(
                                models.Q(("outcome", ""), _negated=True),
                                ("ended_at__isnull", False),
                                models.Q(("ended_by", ""), _negated=True),
                            ),
                            _connector="OR",
                        ),
                        name="canary_ended_whole",
                    ),
                ],
            },
        ),
        migrations.RunSQL(TRIGGERS, NO_TRIGGERS),
    ]
