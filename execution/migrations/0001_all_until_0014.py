"""What the migrations before made one by one, for a database that has none of them yet."""

import django.db.models.deletion
import django.db.models.functions.comparison
import django.utils.timezone
import execution.domain
import execution.extracts.domain
import uuid
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    replaces = [('execution', '0001_initial'), ('execution', '0002_result_exports'), ('execution', '0003_engine_error'), ('execution', '0004_predictions'), ('execution', '0005_reused_results'), ('execution', '0006_admission'), ('execution', '0007_queue_pace'), ('execution', '0008_evicted_results'), ('execution', '0009_repeated_requests'), ('execution', '0010_footing'), ('execution', '0011_asked'), ('execution', '0012_extracts'), ('execution', '0013_granted_file_catalog'), ('execution', '0014_encrypted')]

    initial = True

    dependencies = [
        ('accounts', '0001_initial'),
        ('accounts', '0002_device_reports'),
        ('accounts', '0003_governed_tags'),
        ('catalog', '0002_statistic_ranges'),
        ('workspaces', '0001_initial'),
        ('workspaces', '0002_admission_limits'),
        ('workspaces', '0003_stored_bytes'),
        ('workspaces', '0004_extract_limits'),
    ]

    operations = [
        migrations.CreateModel(
            name='SavedQuery',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('name', models.CharField(max_length=120)),
                ('description', models.TextField(blank=True)),
                ('sql', models.TextField()),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('updated_at', models.DateTimeField(auto_now=True)),
                ('created_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('workspace', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='saved_queries', to='workspaces.workspace')),
            ],
            options={
                'ordering': ['name'],
                'constraints': [models.UniqueConstraint(fields=('workspace', 'name'), name='saved_query_name_unique')],
            },
        ),
        migrations.CreateModel(
            name='LearnedCorrection',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('log_mean', models.FloatField(default=0.0)),
                ('runs', models.PositiveIntegerField(default=0)),
                ('updated_at', models.DateTimeField(auto_now=True)),
                ('device', models.ForeignKey(null=True, on_delete=django.db.models.deletion.CASCADE, related_name='corrections', to='accounts.device')),
                ('workspace', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='corrections', to='workspaces.workspace')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('workspace', 'device'), name='correction_of_a_place_unique', nulls_distinct=False)],
            },
        ),
        migrations.CreateModel(
            name='Extract',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('catalog_id', models.UUIDField()),
                ('table_key', models.CharField(max_length=200)),
                ('table_label', models.CharField(max_length=300)),
                ('snapshot_id', models.BigIntegerField(help_text='Since when the table is what it holds.')),
                ('committed_at', models.DateTimeField(null=True)),
                ('fingerprint', models.CharField(help_text='Obligations.fingerprint of its view.', max_length=64)),
                ('columns', models.JSONField(help_text='Names of the columns it holds.')),
                ('filters', models.JSONField(help_text='[[column, operator, [values]]]; none is all rows.')),
                ('digest', models.CharField(max_length=64)),
                ('job', models.JSONField(help_text='The SQL that makes it, and the record of its slice.')),
                ('state', models.CharField(choices=[('expired', 'expired'), ('failed', 'failed'), ('preparing', 'preparing'), ('ready', 'ready')], default=execution.extracts.domain.ExtractState['PREPARING'], max_length=12)),
                ('key', models.CharField(blank=True, help_text='Empty where there is no object.', max_length=400)),
                ('size_bytes', models.BigIntegerField(null=True)),
                ('row_count', models.BigIntegerField(null=True)),
                ('footer_bytes', models.PositiveIntegerField(null=True)),
                ('column_bytes', models.JSONField(default=dict)),
                ('attempts', models.PositiveSmallIntegerField(default=0)),
                ('worker', models.CharField(blank=True, max_length=120)),
                ('problem', models.JSONField(null=True)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('heartbeat_at', models.DateTimeField(null=True)),
                ('ready_at', models.DateTimeField(null=True)),
                ('last_used_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('expires_at', models.DateTimeField(help_text='Of a failed one: until when nobody tries again.', null=True)),
                ('workspace', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='extracts', to='workspaces.workspace')),
                ('sealed_secret', models.BinaryField(default=b'', help_text="What opens the file; empty where its table's lake is not encrypted.")),
            ],
            options={
                'indexes': [models.Index(condition=models.Q(('state__in', ['preparing', 'ready'])), fields=['workspace', 'table_key', 'fingerprint'], name='extract_live')],
                'constraints': [models.UniqueConstraint(condition=models.Q(('state__in', ['preparing', 'ready'])), fields=('digest',), name='extract_is_written_once')],
            },
        ),
        migrations.CreateModel(
            name='Query',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('sql', models.TextField()),
                ('canonical_sql', models.TextField()),
                ('plan', models.JSONField(help_text='The plan as shown, `Plan.as_dict()`.')),
                ('execution', models.JSONField(help_text='What run needs to rebuild the slice exactly.')),
                ('place', models.CharField(choices=[('local', 'local'), ('server', 'server')], max_length=12)),
                ('state', models.CharField(choices=[('cancelled', 'cancelled'), ('delegated', 'delegated'), ('failed', 'failed'), ('preparing', 'preparing'), ('queued', 'queued'), ('running', 'running'), ('succeeded', 'succeeded')], max_length=12)),
                ('idempotency_key', models.CharField(blank=True, max_length=120)),
                ('request_digest', models.CharField(blank=True, max_length=64)),
                ('attempts', models.PositiveSmallIntegerField(default=0)),
                ('worker', models.CharField(blank=True, help_text='machine/process.', max_length=120)),
                ('cancel_requested_at', models.DateTimeField(null=True)),
                ('progress', models.JSONField(default=dict, help_text='percent, rows, bytes.')),
                ('problem', models.JSONField(help_text='Problem document of a failure.', null=True)),
                ('columns', models.JSONField(default=list, help_text='[{name, type}] as DuckDB spells types.')),
                ('row_count', models.BigIntegerField(null=True)),
                ('result_bytes', models.BigIntegerField(null=True)),
                ('result_key', models.CharField(blank=True, max_length=400)),
                ('result_expires_at', models.DateTimeField(null=True)),
                ('truncated', models.BooleanField(default=False)),
                ('bytes_read', models.BigIntegerField(help_text='Fetched from the bucket.', null=True)),
                ('engine_seconds', models.FloatField(null=True)),
                ('receipt', models.JSONField(help_text='Verified receipt of a local run.', null=True)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('started_at', models.DateTimeField(null=True)),
                ('heartbeat_at', models.DateTimeField(null=True)),
                ('finished_at', models.DateTimeField(null=True)),
                ('device', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='queries', to='accounts.device')),
                ('service_account', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='queries', to='accounts.serviceaccount')),
                ('user', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='queries', to=settings.AUTH_USER_MODEL)),
                ('workspace', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='queries', to='workspaces.workspace')),
                ('engine_error', models.TextField(blank=True, help_text='What the engine said, redacted; for owners of the data.')),
                ('handed_over_from', models.ForeignKey(help_text='The local run that outgrew its machine.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='handed_over_to', to='execution.query')),
                ('run_seconds', models.FloatField(help_text='From start to end without waiting: what predictions are held against.', null=True)),
                ('cached_at', models.DateTimeField(help_text='When that one had made them.', null=True)),
                ('cached_from', models.ForeignKey(help_text='The query that made the rows, where it was another one.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='reused_by', to='execution.query')),
                ('reuse_key', models.CharField(blank=True, help_text='Equal where two complete results must be equal.', max_length=64)),
                ('is_heavy', models.BooleanField(default=False, help_text='Leaves one slot to small queries.')),
                ('principal_key', models.GeneratedField(db_persist=True, expression=django.db.models.functions.comparison.Coalesce('user_id', 'service_account_id'), output_field=models.UUIDField(null=True))),
                ('priority', models.PositiveSmallIntegerField(default=0, help_text='`Priority.rank`: the lower goes first.')),
                ('slot_bytes', models.BigIntegerField(default=0, help_text="Memory it wants above a slot's own; once admitted, what it got.")),
                ('evicted_at', models.DateTimeField(help_text='When newer results needed the room of its rows.', null=True)),
                ('footing', models.JSONField(default=dict, help_text='By table: its columns when planned, and what was shown of them.')),
                ('asked', models.JSONField(default=dict, help_text='What later decisions look at again: purpose, mfa, address, bytes.')),
                ('extracts', models.ManyToManyField(help_text="What a local run reads in tables' places.", related_name='queries', to='execution.extract')),
            ],
            options={
                'ordering': ['-created_at'],
                'indexes': [models.Index(fields=['workspace', '-created_at'], name='execution_q_workspa_4d2731_idx'), models.Index(condition=models.Q(('reuse_key', ''), _negated=True), fields=['reuse_key'], name='query_reuse_key'), models.Index(condition=models.Q(('result_key', ''), _negated=True), fields=['result_key'], name='query_result_key'), models.Index(condition=models.Q(('state', 'queued')), fields=['workspace', 'principal_key', 'is_heavy', 'priority', 'created_at'], include=('id', 'slot_bytes'), name='query_line'), models.Index(condition=models.Q(('attempts__gt', 0)), fields=['principal_key', '-started_at'], name='query_served'), models.Index(condition=models.Q(('attempts__gt', 0), ('finished_at__isnull', False), ('place', 'server')), fields=['is_heavy', '-finished_at'], name='query_finished'), models.Index(condition=models.Q(('reuse_key', ''), _negated=True), fields=['workspace', 'request_digest'], name='query_repeated'), models.Index(condition=models.Q(('state__in', ['delegated', 'preparing', 'queued', 'running'])), fields=['state', 'started_at'], name='query_open')],
                'constraints': [models.UniqueConstraint(condition=models.Q(('idempotency_key', ''), _negated=True), fields=('workspace', 'user', 'service_account', 'idempotency_key'), name='query_idempotency_key_unique', nulls_distinct=False)],
            },
        ),
        migrations.CreateModel(
            name='Grant',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('bearer_digest', models.CharField(help_text='SHA-256 of the file bearer.', max_length=64)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('expires_at', models.DateTimeField()),
                ('revoked_at', models.DateTimeField(null=True)),
                ('device', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='grants', to='accounts.device')),
                ('query', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name='grant', to='execution.query')),
            ],
        ),
        migrations.CreateModel(
            name='ResultExport',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('format', models.CharField(choices=[('arrow', 'arrow'), ('csv', 'csv'), ('json', 'json'), ('parquet', 'parquet')], max_length=12)),
                ('state', models.CharField(choices=[('failed', 'failed'), ('queued', 'queued'), ('ready', 'ready'), ('running', 'running')], default=execution.domain.ExportState['QUEUED'], max_length=12)),
                ('attempts', models.PositiveSmallIntegerField(default=0)),
                ('size_bytes', models.BigIntegerField(null=True)),
                ('problem', models.JSONField(null=True)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('heartbeat_at', models.DateTimeField(null=True)),
                ('finished_at', models.DateTimeField(null=True)),
                ('query', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='exports', to='execution.query')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('query', 'format'), name='result_export_format')],
            },
        ),
        migrations.CreateModel(
            name='GrantedFile',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('ordinal', models.PositiveIntegerField()),
                ('table_key', models.CharField(max_length=200)),
                ('bucket_name', models.CharField(max_length=120)),
                ('key', models.CharField(max_length=1024)),
                ('size_bytes', models.BigIntegerField()),
                ('first_fetched_at', models.DateTimeField(null=True)),
                ('grant', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='files', to='execution.grant')),
                ('extract', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='execution.extract')),
                ('catalog', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='catalog.catalog')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('grant', 'ordinal'), name='granted_file_ordinal')],
            },
        ),
    ]
