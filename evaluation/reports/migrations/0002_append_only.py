"""A stored report is evidence: the database itself refuses to change or delete one."""

from __future__ import annotations

from django.db import migrations

REFUSE = """
CREATE FUNCTION reports_roundreport_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'stored reports are append-only; store a further revision instead';
END $$;
CREATE TRIGGER reports_roundreport_append_only
BEFORE UPDATE OR DELETE ON reports_roundreport
FOR EACH ROW EXECUTE FUNCTION reports_roundreport_refuse();
"""
ALLOW = """
DROP TRIGGER reports_roundreport_append_only ON reports_roundreport;
DROP FUNCTION reports_roundreport_refuse();
"""


class Migration(migrations.Migration):
    dependencies = [("reports", "0001_initial")]
    operations = [migrations.RunSQL(REFUSE, ALLOW)]
