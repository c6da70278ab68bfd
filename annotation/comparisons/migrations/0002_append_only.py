"""Judgments are history: the database itself refuses to rewrite or delete them."""

from __future__ import annotations

from django.db import migrations

FORWARD = """
CREATE FUNCTION comparisons_judgment_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        RAISE EXCEPTION 'Judgments are append-only: supersede judgment % instead of deleting it.', OLD.id
            USING ERRCODE = 'restrict_violation';
    END IF;
    IF to_jsonb(NEW) - ARRAY['active', 'superseded_at'] <> to_jsonb(OLD) - ARRAY['active', 'superseded_at']
       OR (NEW.active AND NOT OLD.active)
       OR (OLD.superseded_at IS NOT NULL AND NEW.superseded_at IS DISTINCT FROM OLD.superseded_at) THEN
        RAISE EXCEPTION 'Judgments are append-only: judgment % can only be superseded.', OLD.id
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE FUNCTION comparisons_value_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'Judgments are append-only: the values of judgment % never change.', OLD.judgment_id
        USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER judgment_append_only BEFORE UPDATE OR DELETE ON comparisons_judgment
    FOR EACH ROW EXECUTE FUNCTION comparisons_judgment_guard();
CREATE TRIGGER value_append_only BEFORE UPDATE OR DELETE ON comparisons_judgmentvalue
    FOR EACH ROW EXECUTE FUNCTION comparisons_value_guard();
CREATE FUNCTION comparisons_split_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'The split of root % in line % is fixed for ever.', OLD.root_hash, OLD.line
        USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER root_split_fixed BEFORE UPDATE ON comparisons_rootsplit
    FOR EACH ROW EXECUTE FUNCTION comparisons_split_guard();
"""

BACKWARD = """
DROP TRIGGER judgment_append_only ON comparisons_judgment;
DROP TRIGGER value_append_only ON comparisons_judgmentvalue;
DROP TRIGGER root_split_fixed ON comparisons_rootsplit;
DROP FUNCTION comparisons_judgment_guard();
DROP FUNCTION comparisons_value_guard();
DROP FUNCTION comparisons_split_guard();
"""


class Migration(migrations.Migration):
    dependencies = [("comparisons", "0001_initial")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
