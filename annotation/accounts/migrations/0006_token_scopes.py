"""Tokens that are there keep what they could do: read a report, order an export and fetch it."""

import django.contrib.postgres.fields
from django.db import migrations, models


def scopes_of_before(apps, schema_editor):
    apps.get_model("accounts", "ApiToken").objects.update(scopes=["read", "export"])


class Migration(migrations.Migration):
    dependencies = [("accounts", "0005_compare_preferences")]
    operations = [
        migrations.AddField(
            model_name="apitoken",
            name="scopes",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(max_length=20), default=list, size=None
            ),
        ),
        migrations.RunPython(scopes_of_before, migrations.RunPython.noop),
    ]
