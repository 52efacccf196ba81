"""Let a catalog name prefixes of its bucket where others keep files that are registered in it."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("catalog", "0016_catalog_rollback")]
    operations = [
        migrations.AddField(
            model_name="catalog",
            name="registered_prefixes",
            field=models.JSONField(
                default=list,
                help_text=(
                    "Where else in the bucket its files may lie: others wrote those, and keep them."
                ),
            ),
        ),
        migrations.AlterField(
            model_name="job",
            name="kind",
            field=models.CharField(
                choices=[
                    ("append", "append"),
                    ("change_view", "change_view"),
                    ("create_schema", "create_schema"),
                    ("create_table", "create_table"),
                    ("define", "define"),
                    ("drop_catalog", "drop_catalog"),
                    ("ingest", "ingest"),
                    ("initialize", "initialize"),
                    ("maintain", "maintain"),
                    ("preview", "preview"),
                    ("register", "register"),
                    ("restore_table", "restore_table"),
                    ("roll_back", "roll_back"),
                    ("roll_back_catalog", "roll_back_catalog"),
                    ("sample_changes", "sample_changes"),
                    ("statements", "statements"),
                ],
                max_length=30,
            ),
        ),
    ]
