from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("runs", "0001_initial")]
    operations = [
        migrations.AddField(
            "run",
            "cleared_at",
            models.DateTimeField(
                blank=True,
                help_text="When retention took what the run made; its log stays.",
                null=True,
            ),
        ),
        migrations.AddField(
            "modelversion",
            "removed_at",
            models.DateTimeField(
                blank=True, help_text="When retention took its files; the row stays.", null=True
            ),
        ),
    ]
