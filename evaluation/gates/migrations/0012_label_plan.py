"""A plan of labelling can be kept, to be held beside what it took."""

from __future__ import annotations

import uuid

from django.db import migrations, models

TRIGGERS = """
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON gates_labelplan
    FOR EACH ROW EXECUTE FUNCTION gates_refuse();
"""
NO_TRIGGERS = "DROP TRIGGER append_only ON gates_labelplan;"


class Migration(migrations.Migration):
    dependencies = [("gates", "0011_shadows")]
    operations = [
        migrations.CreateModel(
            name="LabelPlan",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid.uuid4, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("line", models.UUIDField()),
                ("kept_by", models.CharField(max_length=100)),
                ("kept_at", models.DateTimeField(auto_now_add=True)),
                ("effect", models.FloatField()),
                ("training_labels", models.PositiveBigIntegerField()),
                ("gate_labels", models.PositiveBigIntegerField()),
                ("days", models.PositiveBigIntegerField()),
                ("cost", models.FloatField(null=True)),
                ("accuracy", models.FloatField(null=True)),
                ("accuracy_low", models.FloatField(null=True)),
                ("accuracy_high", models.FloatField(null=True)),
            ],
            options={
                "indexes": [models.Index(fields=["line", "-kept_at"], name="label_plan_of_line")],
            },
        ),
        migrations.RunSQL(TRIGGERS, NO_TRIGGERS),
    ]
