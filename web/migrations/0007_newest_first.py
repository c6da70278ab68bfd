"""Indexes by which the audit log, of every line or of one, and a person's notices are paged from any place."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("web", "0006_request_count")]
    operations = [
        migrations.RemoveIndex(model_name="auditevent", name="audit_at"),
        migrations.AddIndex(
            model_name="auditevent",
            index=models.Index(fields=["-at", "-id"], name="audit_newest"),
        ),
        migrations.AddIndex(
            model_name="auditevent",
            index=models.Index(fields=["line", "-at", "-id"], name="audit_newest_of_line"),
        ),
        migrations.AddIndex(
            model_name="notice",
            index=models.Index(fields=["user", "-created_at", "-id"], name="notice_newest"),
        ),
    ]
