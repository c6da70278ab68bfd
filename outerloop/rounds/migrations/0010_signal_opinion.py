import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("rounds", "0009_canary_share")]

    operations = [
        migrations.CreateModel(
            name="RoundOpinion",
            fields=[
                (
                    "round",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="opinion",
                        serialize=False,
                        to="rounds.round",
                    ),
                ),
                ("found", models.JSONField()),
            ],
        ),
    ]
