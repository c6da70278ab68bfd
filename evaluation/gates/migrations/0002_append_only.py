"""Triggers that keep the gate's history: rows may be added, never changed or deleted.

Two tables let a column be filled in later: an override its one confirmation, a deployment the
first time it was served and its last failure to be served.
"""
from django.db import migrations

FORWARD = """
CREATE FUNCTION gates_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'integrity_constraint_violation';
END $$;

CREATE FUNCTION gates_override_update() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.confirmed_at IS NOT NULL
       OR (to_jsonb(NEW) - 'confirmed_by' - 'confirmed_at')
          IS DISTINCT FROM (to_jsonb(OLD) - 'confirmed_by' - 'confirmed_at') THEN
        RAISE EXCEPTION 'gates_override is append-only except for its one confirmation'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION gates_deployment_update() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (OLD.served_at IS NOT NULL AND NEW.served_at IS DISTINCT FROM OLD.served_at)
       OR (to_jsonb(NEW) - 'served_at' - 'served_error')
          IS DISTINCT FROM (to_jsonb(OLD) - 'served_at' - 'served_error') THEN
        RAISE EXCEPTION 'gates_deployment is append-only except for whether it was served'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON gates_gatepolicy
    FOR EACH ROW EXECUTE FUNCTION gates_refuse();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON gates_evaluationrecord
    FOR EACH ROW EXECUTE FUNCTION gates_refuse();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON gates_decision
    FOR EACH ROW EXECUTE FUNCTION gates_refuse();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON gates_approval
    FOR EACH ROW EXECUTE FUNCTION gates_refuse();
CREATE TRIGGER append_only_delete BEFORE DELETE ON gates_override
    FOR EACH ROW EXECUTE FUNCTION gates_refuse();
CREATE TRIGGER append_only_update BEFORE UPDATE ON gates_override
    FOR EACH ROW EXECUTE FUNCTION gates_override_update();
CREATE TRIGGER append_only_delete BEFORE DELETE ON gates_deployment
    FOR EACH ROW EXECUTE FUNCTION gates_refuse();
CREATE TRIGGER append_only_update BEFORE UPDATE ON gates_deployment
    FOR EACH ROW EXECUTE FUNCTION gates_deployment_update();
"""

BACKWARD = """
DROP TRIGGER append_only ON gates_gatepolicy;
DROP TRIGGER append_only ON gates_evaluationrecord;
DROP TRIGGER append_only ON gates_decision;
DROP TRIGGER append_only ON gates_approval;
DROP TRIGGER append_only_delete ON gates_override;
DROP TRIGGER append_only_update ON gates_override;
DROP TRIGGER append_only_delete ON gates_deployment;
DROP TRIGGER append_only_update ON gates_deployment;
DROP FUNCTION gates_deployment_update();
DROP FUNCTION gates_override_update();
DROP FUNCTION gates_refuse();
"""


class Migration(migrations.Migration):
    dependencies = [("gates", "0001_initial")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
