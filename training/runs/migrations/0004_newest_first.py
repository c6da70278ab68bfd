"""Indexes by which runs, of every line or of one, are paged from any place."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("runs", "0003_jobs")]
    operations = [
        migrations.AddIndex(
            model_name="run",
            index=models.Index(fields=["-created_at", "-id"], name="run_newest"),
        ),
        migrations.AddIndex(
            model_name="run",
            index=models.Index(fields=["line", "-created_at", "-id"], name="run_newest_of_line"),
        ),
    ]
