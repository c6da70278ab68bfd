"""How often the server of a canary ended by itself."""

from __future__ import annotations

from django.db import migrations, models

COUNTED = """
CREATE OR REPLACE FUNCTION gates_canary_update() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (OLD.served_at IS NOT NULL AND NEW.served_at IS DISTINCT FROM OLD.served_at)
       OR NEW.crashes < OLD.crashes
       OR (OLD.outcome <> '' AND (NEW.outcome, NEW.ended_at, NEW.ended_by)
           IS DISTINCT FROM (OLD.outcome, OLD.ended_at, OLD.ended_by))
       OR (to_jsonb(NEW) - 'served_at' - 'served_error' - 'crashes' - 'crashed_at' - 'outcome' - 'ended_at' - 'ended_by')
          IS DISTINCT FROM
          (to_jsonb(OLD) - 'served_at' - 'served_error' - 'crashes' - 'crashed_at' - 'outcome' - 'ended_at' - 'ended_by') THEN
        RAISE EXCEPTION 'gates_canary is append-only except for whether it was served and how it went'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
"""

BEFORE = """
CREATE OR REPLACE FUNCTION gates_canary_update() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (OLD.served_at IS NOT NULL AND NEW.served_at IS DISTINCT FROM OLD.served_at)
       OR (OLD.outcome <> '' AND (NEW.outcome, NEW.ended_at, NEW.ended_by)
           IS DISTINCT FROM (OLD.outcome, OLD.ended_at, OLD.ended_by))
       OR (to_jsonb(NEW) - 'served_at' - 'served_error' - 'outcome' - 'ended_at' - 'ended_by')
          IS DISTINCT FROM
          (to_jsonb(OLD) - 'served_at' - 'served_error' - 'outcome' - 'ended_at' - 'ended_by') THEN
        RAISE EXCEPTION 'gates_canary is append-only except for whether it was served and how it ended'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [("gates", "0009_canaries")]
    operations = [
        migrations.AddField(
            model_name="canary", name="crashes", field=models.PositiveIntegerField(default=0)
        ),
        migrations.AddField(
            model_name="canary",
            name="crashed_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.RunSQL(COUNTED, BEFORE),
    ]
