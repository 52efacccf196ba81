"""Close two ways around the guard: TRUNCATE fires no row trigger, a replica session none at all."""

from django.db import migrations

GUARD = """
CREATE TRIGGER audit_no_truncate BEFORE TRUNCATE ON audit_auditrecord
    FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse_change();
ALTER TABLE audit_auditrecord ENABLE ALWAYS TRIGGER audit_append_only;
ALTER TABLE audit_auditrecord ENABLE ALWAYS TRIGGER audit_no_truncate;
"""
UNGUARD = """
DROP TRIGGER audit_no_truncate ON audit_auditrecord;
ALTER TABLE audit_auditrecord ENABLE TRIGGER audit_append_only;
"""


class Migration(migrations.Migration):
    dependencies = [("audit", "0002_append_only")]
    operations = [migrations.RunSQL(GUARD, UNGUARD)]
