"""The audit log takes new rows only: a changed or deleted row is refused by the database itself."""

from django.db import migrations

FORBID = """
CREATE FUNCTION web_auditevent_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'The audit log is append-only: % is refused.', TG_OP
        USING ERRCODE = 'restrict_violation';
END
$$;
CREATE TRIGGER web_auditevent_append_only
    BEFORE UPDATE OR DELETE ON web_auditevent
    FOR EACH ROW EXECUTE FUNCTION web_auditevent_append_only();
"""
ALLOW = """
DROP TRIGGER web_auditevent_append_only ON web_auditevent;
DROP FUNCTION web_auditevent_append_only();
"""


class Migration(migrations.Migration):
    dependencies = [("web", "0001_initial")]
    operations = [migrations.RunSQL(FORBID, ALLOW)]
