"""The table of the cache that all processes share: sign-in attempts are counted in it."""

from django.core.management import call_command
from django.db import migrations


def create(apps, schema_editor):
    call_command("createcachetable", database=schema_editor.connection.alias, verbosity=0)


class Migration(migrations.Migration):
    dependencies = [("web", "0002_audit_append_only")]
    operations = [migrations.RunPython(create, migrations.RunPython.noop)]
