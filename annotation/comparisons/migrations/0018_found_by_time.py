"""Indexes by which skips, and labels given or imported since a moment, are found without reading the rest.

That of judgments by time held the active ones alone, and served no question that asks for settled ones too.
"""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("comparisons", "0017_counts_by_trigger")]
    operations = [
        migrations.RemoveIndex(model_name="judgment", name="judgment_active_recent"),
        migrations.AddIndex(
            model_name="judgment",
            index=models.Index(fields=["created_at"], name="judgment_recent"),
        ),
        migrations.AddIndex(
            model_name="assignment",
            index=models.Index(
                fields=["-leased_at", "-id"],
                name="assignment_skipped",
                condition=models.Q(("state", "skipped")),
            ),
        ),
        migrations.AddIndex(
            model_name="assignment",
            index=models.Index(
                fields=["leased_at"],
                name="assignment_imported",
                condition=models.Q(("lease_expires_at__isnull", True)),
            ),
        ),
    ]
