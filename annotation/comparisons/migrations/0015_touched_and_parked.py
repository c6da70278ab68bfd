"""When a rater last did something with a pair, for their own history, and the pairs they put aside."""

from __future__ import annotations

import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('comparisons', '0014_qualification'),
    ]

    operations = [
        migrations.AddField(
            model_name='assignment',
            name='parked_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='assignment',
            name='touched_at',
            field=models.DateTimeField(default=django.utils.timezone.now),
        ),
        migrations.RunSQL(
            "UPDATE comparisons_assignment"
            " SET touched_at = coalesce(submitted_at, draft_saved_at, leased_at)",
            migrations.RunSQL.noop,
        ),
        migrations.AddIndex(
            model_name='assignment',
            index=models.Index(fields=['rater', '-touched_at', '-id'], name='assignment_rater_touched'),
        ),
    ]
