from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("rounds", "0008_task_suites")]

    operations = [
        migrations.AddField(
            model_name="policyline",
            name="canary_share",
            field=models.PositiveSmallIntegerField(
                default=0,
                help_text="Percent of the users that a promoted policy answers first; 0: everybody at once.",
            ),
        ),
    ]
