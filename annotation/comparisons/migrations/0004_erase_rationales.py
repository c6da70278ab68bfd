"""A judgment's reason may be emptied when its author is erased, and at no other time.

The guard lets it through where the transaction says so (`SET LOCAL outerloop.erasing = 'yes'`);
everything else of a judgment stays as it was given.
"""

from __future__ import annotations

from django.db import migrations

GUARD = """
CREATE OR REPLACE FUNCTION comparisons_judgment_guard() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    changing text[] := ARRAY['active', 'superseded_at'];
BEGIN
    IF TG_OP = 'DELETE' THEN
        RAISE EXCEPTION 'Judgments are append-only: supersede judgment %% instead of deleting it.', OLD.id
            USING ERRCODE = 'restrict_violation';
    END IF;
    {erasing}
    IF to_jsonb(NEW) - changing <> to_jsonb(OLD) - changing
       OR (NEW.active AND NOT OLD.active)
       OR (OLD.superseded_at IS NOT NULL AND NEW.superseded_at IS DISTINCT FROM OLD.superseded_at) THEN
        RAISE EXCEPTION 'Judgments are append-only: judgment %% can only be superseded.', OLD.id
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
"""
ERASING = """IF NEW.rationale = '' AND current_setting('outerloop.erasing', true) = 'yes' THEN
        changing := changing || 'rationale'::text;
    END IF;"""


def guard(erasing: str) -> str:
    return GUARD.replace("{erasing}", erasing).replace("%%", "%")


class Migration(migrations.Migration):
    dependencies = [("comparisons", "0003_guidelines_of_a_judgment")]
    operations = [migrations.RunSQL(guard(ERASING), guard(""))]
