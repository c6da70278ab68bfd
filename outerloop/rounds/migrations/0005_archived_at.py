from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("rounds", "0004_release_gate_labels")]
    operations = [
        migrations.AddField(
            model_name="policyline",
            name="archived_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
    ]
