"""Indexes by which a line's deployments are paged, and the last one of a version is found."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("gates", "0006_no_test_of_a_decision")]
    operations = [
        migrations.RemoveIndex(model_name="deployment", name="deployment_of_line"),
        migrations.AddIndex(
            model_name="deployment",
            index=models.Index(fields=["line", "-started_at", "-id"], name="deployment_newest"),
        ),
        migrations.AddIndex(
            model_name="deployment",
            index=models.Index(
                fields=["line", "version", "-started_at"], name="deployment_of_version"
            ),
        ),
    ]
