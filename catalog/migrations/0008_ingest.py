"""Rows on their way into tables, what they hold, and what was decided about them."""

import catalog.ingest.domain
import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('catalog', '0007_transfers'),
    ]

    operations = [
        migrations.CreateModel(
            name='IngestBatch',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('table_uuid', models.UUIDField()),
                ('schema_name', models.CharField(help_text='As it was when the rows came.', max_length=255)),
                ('table_name', models.CharField(max_length=255)),
                ('mode', models.CharField(choices=[('append', 'append'), ('delete', 'delete'), ('upsert', 'upsert')], max_length=10)),
                ('format', models.CharField(choices=[('arrow', 'arrow'), ('csv', 'csv'), ('json', 'json'), ('ndjson', 'ndjson'), ('parquet', 'parquet'), ('tsv', 'tsv')], max_length=10)),
                ('on_error', models.CharField(choices=[('quarantine', 'quarantine'), ('reject', 'reject')], max_length=10)),
                ('key_columns', models.JSONField(default=list)),
                ('schema_mode', models.CharField(choices=[('evolve', 'evolve'), ('strict', 'strict')], max_length=10)),
                ('shape', models.CharField(blank=True, help_text='Of the columns that the rows were checked against.', max_length=64)),
                ('evolution', models.JSONField(default=dict)),
                ('is_checked', models.BooleanField(default=False, help_text='Every cell was checked before the answer.')),
                ('keeps_raw', models.BooleanField(help_text='Whether rejected rows may be kept as text.')),
                ('idempotency_key', models.CharField(blank=True, max_length=120)),
                ('digest', models.CharField(help_text='Of the whole request, for repetitions.', max_length=64)),
                ('requested_by', models.JSONField(help_text='The actor, as recorded.')),
                ('size_bytes', models.BigIntegerField()),
                ('row_count', models.BigIntegerField(help_text='Rows that fit; unknown until checked.', null=True)),
                ('rejected_count', models.BigIntegerField(default=0)),
                ('errors', models.JSONField(default=list, help_text='The first rejected rows, for the sender.')),
                ('state', models.CharField(choices=[('committed', 'committed'), ('rejected', 'rejected'), ('taken', 'taken'), ('waiting', 'waiting')], default=catalog.ingest.domain.BatchState['WAITING'], max_length=10)),
                ('job_id', models.UUIDField(null=True)),
                ('is_alone', models.BooleanField(default=False, help_text='Shares a commit with no other.')),
                ('staged_key', models.CharField(blank=True, max_length=200)),
                ('snapshot_id', models.BigIntegerField(null=True)),
                ('problem', models.JSONField(null=True)),
                ('accepted_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('finished_at', models.DateTimeField(null=True)),
                ('catalog', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='batches', to='catalog.catalog')),
            ],
            options={
                'ordering': ['id'],
            },
        ),
        migrations.AlterField(
            model_name='job',
            name='kind',
            field=models.CharField(choices=[('append', 'append'), ('create_schema', 'create_schema'), ('create_table', 'create_table'), ('define', 'define'), ('drop_catalog', 'drop_catalog'), ('ingest', 'ingest'), ('initialize', 'initialize'), ('preview', 'preview'), ('roll_back', 'roll_back'), ('statements', 'statements')], max_length=30),
        ),
        migrations.CreateModel(
            name='IngestPayload',
            fields=[
                ('batch', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='payload', serialize=False, to='catalog.ingestbatch')),
                ('content', models.BinaryField(help_text='Nothing where it is staged in the bucket.', null=True)),
                ('rejected', models.JSONField(default=list, help_text='Rows for the side table.')),
            ],
        ),
        migrations.CreateModel(
            name='IngestSetting',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('table_uuid', models.UUIDField()),
                ('schema_mode', models.CharField(choices=[('evolve', 'evolve'), ('strict', 'strict')], default=catalog.ingest.domain.SchemaMode['STRICT'], max_length=10)),
                ('catalog', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='catalog.catalog')),
            ],
        ),
        migrations.AddIndex(
            model_name='ingestbatch',
            index=models.Index(condition=models.Q(('state__in', (catalog.ingest.domain.BatchState['TAKEN'], catalog.ingest.domain.BatchState['WAITING']))), fields=['catalog', 'id'], include=('size_bytes',), name='ingest_batch_unfinished'),
        ),
        migrations.AddIndex(
            model_name='ingestbatch',
            index=models.Index(fields=['finished_at'], name='ingest_batch_finished_at'),
        ),
        migrations.AddConstraint(
            model_name='ingestbatch',
            constraint=models.UniqueConstraint(condition=models.Q(('idempotency_key', ''), _negated=True), fields=('catalog', 'table_uuid', 'idempotency_key'), name='ingest_batch_key_unique'),
        ),
        migrations.AddConstraint(
            model_name='ingestsetting',
            constraint=models.UniqueConstraint(fields=('catalog', 'table_uuid'), name='ingest_setting_of_a_table'),
        ),
        migrations.RunSQL(  # what is compressed once is not worth a second try
            "ALTER TABLE catalog_ingestpayload ALTER COLUMN content SET STORAGE EXTERNAL",
            migrations.RunSQL.noop,
        ),
    ]
