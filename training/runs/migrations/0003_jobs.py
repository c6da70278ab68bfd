from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("runs", "0002_retention")]
    operations = [
        migrations.AddField("run", "backend", models.CharField(default="local", max_length=20)),
        migrations.AddField("run", "job_id", models.CharField(blank=True, max_length=100)),
        migrations.AddField("run", "job_fence", models.PositiveIntegerField(blank=True, null=True)),
        migrations.AddField("run", "job", models.JSONField(blank=True, null=True)),
    ]
