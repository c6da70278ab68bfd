"""A decision does not repeat what its test and its measurements say."""

from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('gates', '0005_weaker_policies'),
    ]

    operations = [
        migrations.RemoveField(
            model_name='decision',
            name='discovered',
        ),
        migrations.RemoveField(
            model_name='decision',
            name='discoveries',
        ),
        migrations.RemoveField(
            model_name='decision',
            name='e_level',
        ),
        migrations.RemoveField(
            model_name='decision',
            name='test_number',
        ),
    ]
