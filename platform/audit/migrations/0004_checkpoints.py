"""Give each record its place in a chain, and keep the signed heads of it."""

from django.db import migrations, models

GUARD = """
CREATE TRIGGER audit_link_append_only BEFORE UPDATE OR DELETE ON audit_ledgerlink
    FOR EACH ROW EXECUTE FUNCTION audit_refuse_change();
CREATE TRIGGER audit_checkpoint_append_only BEFORE UPDATE OR DELETE ON audit_ledgercheckpoint
    FOR EACH ROW EXECUTE FUNCTION audit_refuse_change();
ALTER TABLE audit_ledgerlink ENABLE ALWAYS TRIGGER audit_link_append_only;
ALTER TABLE audit_ledgercheckpoint ENABLE ALWAYS TRIGGER audit_checkpoint_append_only;
"""


class Migration(migrations.Migration):
    dependencies = [("audit", "0003_hold_against_truncation")]
    operations = [
        migrations.CreateModel(
            name="LedgerCheckpoint",
            fields=[
                ("number", models.BigIntegerField(primary_key=True, serialize=False)),
                ("size", models.BigIntegerField()),
                ("head", models.BinaryField()),
                ("taken_at", models.DateTimeField()),
                (
                    "text",
                    models.TextField(help_text="What is kept outside too: a JSON list of JWS."),
                ),
            ],
            options={"ordering": ["number"]},
        ),
        migrations.CreateModel(
            name="LedgerLink",
            fields=[
                ("position", models.BigIntegerField(primary_key=True, serialize=False)),
                ("record_id", models.BigIntegerField(unique=True)),
            ],
            options={"ordering": ["position"]},
        ),
        migrations.RunSQL(GUARD, migrations.RunSQL.noop),
    ]
