"""What the migrations before made one by one, for a database that has none of them yet."""

import django.db.models.deletion
import django.utils.timezone
import uuid
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    replaces = [('workspaces', '0001_initial'), ('workspaces', '0002_admission_limits'), ('workspaces', '0003_stored_bytes'), ('workspaces', '0004_extract_limits'), ('workspaces', '0005_drop_grace')]

    initial = True

    dependencies = [
        ('accounts', '0001_initial'),
    ]

    operations = [
        migrations.CreateModel(
            name='Workspace',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('name', models.CharField(max_length=120)),
                ('slug', models.SlugField(max_length=60)),
                ('max_scan_bytes', models.BigIntegerField(default=100000000000, help_text='A query that would scan more is refused.')),
                ('max_result_rows', models.BigIntegerField(default=10000000)),
                ('max_result_bytes', models.BigIntegerField(default=2000000000)),
                ('query_timeout_seconds', models.PositiveIntegerField(default=300)),
                ('query_memory_bytes', models.BigIntegerField(default=2147483648)),
                ('local_max_bytes', models.BigIntegerField(default=2000000000, help_text="Auto never sends more than this to a person's machine.")),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('archived_at', models.DateTimeField(blank=True, null=True)),
                ('organization', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='workspaces', to='accounts.organization')),
                ('max_queued_per_principal', models.PositiveIntegerField(default=100, help_text="One more is answered 429; runs on people's machines do not count.")),
                ('max_queued_queries', models.PositiveIntegerField(default=1000)),
                ('max_running_per_principal', models.PositiveIntegerField(default=4)),
                ('max_running_queries', models.PositiveIntegerField(default=8)),
                ('max_stored_bytes', models.BigIntegerField(default=50000000000, help_text='Kept results take no more: those longest unused end early.')),
                ('max_extract_bytes', models.BigIntegerField(default=1000000000, help_text='A governed extract that would be larger is not made.')),
                ('max_stored_extract_bytes', models.BigIntegerField(default=20000000000, help_text='Extracts take no more together: those longest unused end early.')),
                ('drop_grace_days', models.PositiveSmallIntegerField(default=7, help_text='A dropped catalog can be restored for so long.')),
            ],
            options={
                'ordering': ['name'],
                'constraints': [models.UniqueConstraint(fields=('organization', 'slug'), name='workspace_slug_unique')],
            },
        ),
        migrations.CreateModel(
            name='Membership',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('role', models.CharField(choices=[('analyst', 'analyst'), ('auditor', 'auditor'), ('owner', 'owner'), ('steward', 'steward')], max_length=20)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('group', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, to='accounts.group')),
                ('service_account', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, to='accounts.serviceaccount')),
                ('user', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, to=settings.AUTH_USER_MODEL)),
                ('workspace', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='memberships', to='workspaces.workspace')),
            ],
            options={
                'constraints': [models.CheckConstraint(condition=models.Q(models.Q(('group__isnull', True), ('service_account__isnull', True), ('user__isnull', False)), models.Q(('group__isnull', True), ('service_account__isnull', False), ('user__isnull', True)), models.Q(('group__isnull', False), ('service_account__isnull', True), ('user__isnull', True)), _connector='OR'), name='membership_has_one_principal'), models.UniqueConstraint(fields=('workspace', 'user', 'service_account', 'group', 'role'), name='membership_is_unique', nulls_distinct=False)],
            },
        ),
    ]
