"""What the migrations before made one by one, for a database that has none of them yet."""

import django.db.models.deletion
import django.utils.timezone
import governance.domain
import uuid
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    replaces = [('governance', '0001_initial'), ('governance', '0002_policies'), ('governance', '0003_governed_tags'), ('governance', '0004_mask_keys'), ('governance', '0005_policy_review'), ('governance', '0006_access_requests'), ('governance', '0007_access_reviews'), ('governance', '0008_details'), ('governance', '0009_policy_replay')]

    initial = True

    dependencies = [
        ('accounts', '0001_initial'),
        ('accounts', '0003_governed_tags'),
        ('accounts', '0004_attributes'),
        ('workspaces', '0003_stored_bytes'),
        ('workspaces', '0004_extract_limits'),
    ]

    operations = [
        migrations.CreateModel(
            name='Ownership',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('securable_key', models.CharField(max_length=200, unique=True)),
                ('organization', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.organization')),
                ('owner', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
        ),
        migrations.CreateModel(
            name='TagAssignment',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('securable_key', models.CharField(db_index=True, max_length=200)),
                ('tag', models.SlugField(max_length=60)),
                ('assigned_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('assigned_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('organization', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.organization')),
                ('table_key', models.CharField(blank=True, db_index=True, default='', max_length=200)),
                ('value', models.CharField(blank=True, default='', max_length=60)),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('securable_key', 'tag'), name='tag_assigned_once')],
            },
        ),
        migrations.CreateModel(
            name='PolicySet',
            fields=[
                ('workspace', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, serialize=False, to='workspaces.workspace')),
                ('version', models.PositiveBigIntegerField(default=1)),
                ('requires_approval', models.BooleanField(default=False, help_text='A second person must approve before a policy is published.')),
            ],
        ),
        migrations.CreateModel(
            name='Policy',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('name', models.SlugField(max_length=80)),
                ('kind', models.CharField(choices=[('access', 'access'), ('mask', 'mask'), ('row_filter', 'row_filter')], max_length=12)),
                ('scope_key', models.CharField(db_index=True, max_length=200)),
                ('scope_label', models.CharField(help_text="The scope's name when last seen.", max_length=300)),
                ('description', models.TextField(blank=True)),
                ('broken_because', models.TextField(blank=True)),
                ('expires_at', models.DateTimeField(blank=True, help_text='What it grants ends then; it is retired soon after.', null=True)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('created_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('workspace', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='policies', to='workspaces.workspace')),
            ],
            options={
                'ordering': ['name'],
                'constraints': [models.UniqueConstraint(fields=('workspace', 'name'), name='policy_name_is_unique')],
            },
        ),
        migrations.CreateModel(
            name='TagDefinition',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('name', models.SlugField(max_length=60)),
                ('description', models.TextField(blank=True)),
                ('allowed_values', models.JSONField(blank=True, default=list)),
                ('is_governed', models.BooleanField(default=False)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('created_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('organization', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.organization')),
            ],
            options={
                'ordering': ['name'],
                'constraints': [models.UniqueConstraint(fields=('organization', 'name'), name='tag_is_defined_once')],
            },
        ),
        migrations.CreateModel(
            name='MaskKey',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('sealed_key', models.BinaryField()),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('organization', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='mask_key', to='accounts.organization')),
            ],
        ),
        migrations.CreateModel(
            name='AccessRequest',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('securable_key', models.CharField(db_index=True, max_length=200)),
                ('securable_label', models.CharField(max_length=300)),
                ('actions', models.JSONField(help_text='The actions asked for, as decisions name them.')),
                ('reason', models.TextField()),
                ('ends_at', models.DateTimeField(blank=True, null=True)),
                ('state', models.CharField(choices=[('declined', 'declined'), ('granted', 'granted'), ('open', 'open'), ('withdrawn', 'withdrawn')], default=governance.domain.RequestState['OPEN'], max_length=10)),
                ('policies', models.JSONField(blank=True, default=list)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('decided_at', models.DateTimeField(blank=True, null=True)),
                ('decision_reason', models.TextField(blank=True)),
                ('decided_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('requester', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('workspace', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='workspaces.workspace')),
            ],
            options={
                'ordering': ['-created_at'],
                'constraints': [models.UniqueConstraint(condition=models.Q(('state', governance.domain.RequestState['OPEN'])), fields=('requester', 'securable_key'), name='access_request_is_open_once')],
            },
        ),
        migrations.CreateModel(
            name='AccessReview',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('title', models.CharField(max_length=200)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('due_at', models.DateTimeField(blank=True, null=True)),
                ('closed_at', models.DateTimeField(blank=True, null=True)),
                ('started_by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('workspace', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='workspaces.workspace')),
            ],
            options={
                'ordering': ['-created_at'],
                'constraints': [models.UniqueConstraint(condition=models.Q(('closed_at__isnull', True)), fields=('workspace',), name='access_review_is_open_once')],
            },
        ),
        migrations.CreateModel(
            name='SecurableDetails',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('securable_key', models.CharField(max_length=200, unique=True)),
                ('table_key', models.CharField(blank=True, db_index=True, default='', max_length=200)),
                ('description', models.TextField(blank=True)),
                ('updated_at', models.DateTimeField(auto_now=True)),
                ('organization', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.organization')),
                ('updated_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'verbose_name_plural': 'securable details',
            },
        ),
        migrations.CreateModel(
            name='PolicyVersion',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('number', models.PositiveIntegerField()),
                ('state', models.CharField(choices=[('draft', 'draft'), ('in_review', 'in_review'), ('published', 'published'), ('rejected', 'rejected'), ('retired', 'retired'), ('superseded', 'superseded')], default=governance.domain.VersionState['DRAFT'], max_length=12)),
                ('text', models.TextField()),
                ('tests', models.JSONField(blank=True, default=list)),
                ('references', models.JSONField(blank=True, default=list)),
                ('compiled', models.JSONField(blank=True, default=dict)),
                ('summary', models.TextField(blank=True)),
                ('reason', models.TextField(blank=True, help_text='Why the author wants it.')),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('updated_at', models.DateTimeField(auto_now=True)),
                ('submitted_at', models.DateTimeField(blank=True, null=True)),
                ('decided_at', models.DateTimeField(blank=True, null=True)),
                ('decision_reason', models.TextField(blank=True)),
                ('is_break_glass', models.BooleanField(default=False)),
                ('published_at', models.DateTimeField(blank=True, null=True)),
                ('ended_at', models.DateTimeField(blank=True, null=True)),
                ('author', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('decided_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('policy', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='versions', to='governance.policy')),
                ('contributor_ids', models.JSONField(default=list, help_text='Every principal who wrote or submitted it; none may approve it.')),
                ('is_retirement', models.BooleanField(default=False, help_text='Publishing it ends the policy: two people may have to agree.')),
                ('published_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'ordering': ['policy', '-number'],
                'constraints': [models.UniqueConstraint(fields=('policy', 'number'), name='policy_version_is_numbered'), models.UniqueConstraint(condition=models.Q(('state', governance.domain.VersionState['PUBLISHED'])), fields=('policy',), name='policy_has_one_published_version'), models.UniqueConstraint(condition=models.Q(('state__in', [governance.domain.VersionState['DRAFT'], governance.domain.VersionState['IN_REVIEW']])), fields=('policy',), name='policy_has_one_open_version')],
            },
        ),
        migrations.CreateModel(
            name='AccessReviewItem',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('source', models.CharField(max_length=12)),
                ('source_id', models.UUIDField()),
                ('holder', models.CharField(help_text='Whose right it is, as named then.', max_length=300)),
                ('right', models.TextField(help_text='What it lets them do, in a sentence.')),
                ('ends_at', models.DateTimeField(blank=True, null=True)),
                ('outcome', models.CharField(choices=[('confirmed', 'confirmed'), ('pending', 'pending'), ('revoked', 'revoked')], default=governance.domain.ReviewOutcome['PENDING'], max_length=10)),
                ('reason', models.TextField(blank=True)),
                ('decided_at', models.DateTimeField(blank=True, null=True)),
                ('decided_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('review', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='items', to='governance.accessreview')),
            ],
            options={
                'ordering': ['source', 'holder', 'id'],
            },
        ),
        migrations.CreateModel(
            name='PolicyReplay',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('number', models.PositiveIntegerField(blank=True, null=True)),
                ('text', models.TextField(blank=True)),
                ('ends', models.BooleanField(default=False, help_text='The end of the policy is proposed.')),
                ('days', models.PositiveSmallIntegerField()),
                ('state', models.CharField(choices=[('cancelled', 'cancelled'), ('failed', 'failed'), ('queued', 'queued'), ('running', 'running'), ('succeeded', 'succeeded')], default=governance.domain.ReplayState['QUEUED'], max_length=12)),
                ('total', models.PositiveIntegerField(default=0, help_text='Recorded, as counted at the start.')),
                ('done', models.PositiveIntegerField(default=0)),
                ('attempts', models.PositiveSmallIntegerField(default=0)),
                ('result', models.JSONField(null=True)),
                ('problem', models.TextField(blank=True)),
                ('requester', models.CharField(help_text='Who asked, as labelled then.', max_length=254)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('heartbeat_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('finished_at', models.DateTimeField(blank=True, null=True)),
                ('policy', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='replays', to='governance.policy')),
                ('requested_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'ordering': ['-created_at'],
                'indexes': [models.Index(condition=models.Q(('state__in', [governance.domain.ReplayState['QUEUED'], governance.domain.ReplayState['RUNNING']])), fields=['heartbeat_at'], name='replay_open')],
            },
        ),
    ]
