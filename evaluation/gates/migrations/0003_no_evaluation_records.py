"""The table of evaluations goes: no release ever wrote a row. What a round measured is in its decision."""
from django.db import migrations

TRIGGER = """
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON gates_evaluationrecord
    FOR EACH ROW EXECUTE FUNCTION gates_refuse();
"""


class Migration(migrations.Migration):
    dependencies = [("gates", "0002_append_only")]

    operations = [
        migrations.RunSQL(migrations.RunSQL.noop, TRIGGER),
        migrations.DeleteModel("EvaluationRecord"),
    ]
