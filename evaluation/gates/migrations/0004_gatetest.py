"""Tests are registered when pairs are offered; those that earlier decisions know of are carried over."""
from django.db import migrations, models

TRIGGERS = """
CREATE FUNCTION gates_test_update() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.cost IS NOT NULL
       OR (to_jsonb(NEW) - 'labelled' - 'e_value' - 'discovered' - 'cost')
          IS DISTINCT FROM (to_jsonb(OLD) - 'labelled' - 'e_value' - 'discovered' - 'cost') THEN
        RAISE EXCEPTION 'gates_gatetest is append-only except for what its test came to'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER append_only_delete BEFORE DELETE ON gates_gatetest
    FOR EACH ROW EXECUTE FUNCTION gates_refuse();
CREATE TRIGGER append_only_update BEFORE UPDATE ON gates_gatetest
    FOR EACH ROW EXECUTE FUNCTION gates_test_update();
"""

NO_TRIGGERS = """
DROP TRIGGER append_only_delete ON gates_gatetest;
DROP TRIGGER append_only_update ON gates_gatetest;
DROP FUNCTION gates_test_update();
"""


def tests_of_decisions(apps, schema_editor):
    Decision, GateTest = apps.get_model("gates", "Decision"), apps.get_model("gates", "GateTest")
    spent: dict[object, float] = {}
    for row in Decision.objects.filter(tested=True).order_by("line", "number", "-revision"):
        if GateTest.objects.filter(round=row.round).exists():
            continue
        labels = row.measurements.get("labels")
        if not labels:
            continue
        left = 1.0 - min(1.0, labels["e_value"])
        cost = row.e_level * (1.0 if row.discovered else left)
        before = spent.get(row.line, 0.0)
        spent[row.line] = before + cost
        GateTest.objects.create(
            round=row.round, line=row.line, number=row.number, candidate=row.candidate,
            incumbent=row.incumbent, settings=row.settings, test_number=row.test_number,
            discoveries=row.discoveries, error_spent=before, level=row.e_level,
            labels=max(1, row.settings.get("max_labels", labels["labels"])),
            labelled=labels["labels"], e_value=labels["e_value"], discovered=row.discovered,
            cost=cost,
        )


class Migration(migrations.Migration):
    dependencies = [("gates", "0003_no_evaluation_records")]
    operations = [
        migrations.CreateModel(
            name="GateTest",
            fields=[
                ("round", models.UUIDField(primary_key=True, serialize=False)),
                ("line", models.UUIDField()),
                ("number", models.PositiveIntegerField()),
                ("candidate", models.UUIDField()),
                ("incumbent", models.UUIDField()),
                ("settings", models.JSONField()),
                ("test_number", models.PositiveIntegerField()),
                ("discoveries", models.PositiveIntegerField()),
                ("error_spent", models.FloatField()),
                ("level", models.FloatField()),
                ("labels", models.PositiveIntegerField()),
                ("labelled", models.PositiveIntegerField(null=True)),
                ("e_value", models.FloatField(null=True)),
                ("discovered", models.BooleanField(null=True)),
                ("cost", models.FloatField(null=True)),
            ],
            options={
                "indexes": [models.Index(fields=["line", "number"], name="gate_test_of_line")]
            },
        ),
        migrations.RunPython(tests_of_decisions, migrations.RunPython.noop),
        migrations.RunSQL(TRIGGERS, NO_TRIGGERS),
    ]
