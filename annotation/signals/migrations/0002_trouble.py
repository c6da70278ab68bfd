from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("signals", "0001_signals")]

    operations = [
        # Answers kept before have no hash: they show on no list of prompts until their time is over.
        migrations.AddField(
            model_name="servedcompletion",
            name="conversation",
            field=models.CharField(default="", max_length=64),
            preserve_default=False,
        ),
        migrations.CreateModel(
            name="SignalVote",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("period_id", models.UUIDField()),
                ("user", models.CharField(db_index=True, max_length=64)),
                ("down", models.BooleanField()),
                ("counted_at", models.DateTimeField()),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("period_id", "user"), name="signal_vote_once_a_user"
                    )
                ],
            },
        ),
    ]
