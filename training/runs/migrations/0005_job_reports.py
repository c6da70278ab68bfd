"""What jobs that share no folder with their worker have told the site."""

from __future__ import annotations

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('runs', '0004_newest_first'),
    ]

    operations = [
        migrations.CreateModel(
            name='JobReport',
            fields=[
                ('run', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='report', serialize=False, to='runs.run')),
                ('fence', models.PositiveIntegerField()),
                ('secret', models.CharField(max_length=64)),
                ('accelerate', models.TextField()),
                ('holder', models.CharField(blank=True, max_length=100)),
                ('begun', models.PositiveIntegerField(default=0)),
                ('heard_at', models.DateTimeField(blank=True, null=True)),
                ('stop', models.BooleanField(default=False)),
                ('log', models.TextField(blank=True)),
                ('tree', models.JSONField(default=dict)),
                ('exit_code', models.IntegerField(blank=True, null=True)),
                ('failure', models.JSONField(blank=True, null=True)),
                ('manifest', models.JSONField(blank=True, null=True)),
            ],
        ),
    ]
