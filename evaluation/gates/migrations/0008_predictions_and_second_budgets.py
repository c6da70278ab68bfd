"""What was predicted of a round's pairs is written down once; a test may go on in a later round."""

from __future__ import annotations

from django.db import migrations, models

TRIGGERS = """
CREATE TRIGGER append_only_delete BEFORE DELETE ON gates_gatepredictions
    FOR EACH ROW EXECUTE FUNCTION gates_refuse();
CREATE TRIGGER append_only_update BEFORE UPDATE ON gates_gatepredictions
    FOR EACH ROW EXECUTE FUNCTION gates_refuse();
"""

NO_TRIGGERS = """
DROP TRIGGER append_only_delete ON gates_gatepredictions;
DROP TRIGGER append_only_update ON gates_gatepredictions;
"""


class Migration(migrations.Migration):
    dependencies = [("gates", "0007_newest_first")]
    operations = [
        migrations.CreateModel(
            name="GatePredictions",
            fields=[
                ("round", models.UUIDField(primary_key=True, serialize=False)),
                ("pairs", models.JSONField()),
                ("reference", models.JSONField()),
            ],
        ),
        migrations.RunSQL(TRIGGERS, NO_TRIGGERS),
        migrations.AddField(
            model_name="gatetest", name="continues", field=models.UUIDField(null=True)
        ),
    ]
