"""The state of governance: tags and owners of securables, and the policies about them."""

from __future__ import annotations

import uuid

from django.db import models
from django.utils import timezone

from accounts.models import Organization, User
from accounts.sealing.fields import SealedField
from governance.domain import (
    PolicyKind,
    ReplayState,
    RequestState,
    ReviewOutcome,
    VersionState,
)
from workspaces.models import Workspace


class TagDefinition(models.Model):
    """What a tag means in an organization, and which values it may have.

    With `allowed_values` an assignment names one of them; without, it has none. `is_governed`
    tags are put on and taken off only by those who manage what bears them.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="+")
    name = models.SlugField(max_length=60)
    description = models.TextField(blank=True)
    allowed_values = models.JSONField(default=list, blank=True)
    is_governed = models.BooleanField(default=False)
    created_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(fields=["organization", "name"], name="tag_is_defined_once")
        ]

    def __str__(self) -> str:
        return self.name


class TagAssignment(models.Model):
    """One tag, perhaps with a value, on one securable, found by the securable's stable key.

    `table_key` is a column's table, so that one statement finds the tags of all of its columns;
    empty for everything else.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="+")
    securable_key = models.CharField(max_length=200, db_index=True)
    table_key = models.CharField(max_length=200, blank=True, default="", db_index=True)
    tag = models.SlugField(max_length=60)
    value = models.CharField(max_length=60, blank=True, default="")
    assigned_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    assigned_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["securable_key", "tag"], name="tag_assigned_once")
        ]

    def __str__(self) -> str:
        shown = f"{self.tag}={self.value}" if self.value else self.tag
        return f"{shown} on {self.securable_key}"


class SecurableDetails(models.Model):
    """What a catalog, table or column holds, in words; its classification is a tag.

    `table_key` is a column's table, as with `TagAssignment`.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="+")
    securable_key = models.CharField(max_length=200, unique=True)
    table_key = models.CharField(max_length=200, blank=True, default="", db_index=True)
    description = models.TextField(blank=True)
    updated_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name_plural = "securable details"

    def __str__(self) -> str:
        return f"{self.securable_key}: {self.description[:60]}"


class Ownership(models.Model):
    """Who answers for a securable; named in refusals so that people know whom to ask."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="+")
    securable_key = models.CharField(max_length=200, unique=True)
    owner = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")

    def __str__(self) -> str:
        return f"{self.owner} owns {self.securable_key}"


class MaskKey(models.Model):
    """An organization's key for masks of the method hmac, sealed at rest.

    One for good: with another key, what is masked would not be found again under its old names.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    organization = models.OneToOneField(
        Organization, on_delete=models.PROTECT, related_name="mask_key"
    )
    sealed_key = SealedField()
    created_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return f"mask key of {self.organization}"


class PolicySet(models.Model):
    """The number that rises whenever what holds in a workspace changes; see ADR 0018."""

    workspace = models.OneToOneField(Workspace, on_delete=models.CASCADE, primary_key=True)
    version = models.PositiveBigIntegerField(default=1)
    requires_approval = models.BooleanField(
        default=False, help_text="A second person must approve before a policy is published."
    )

    def __str__(self) -> str:
        return f"{self.workspace}: version {self.version}"


class Policy(models.Model):
    """A named policy of a workspace; what it says is in its versions.

    `scope_key` is the securable that it holds for, with all below: the workspace, a catalog or a
    table. `broken_because` is empty while everything that the published text names is there.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="policies")
    name = models.SlugField(max_length=80)
    kind = models.CharField(max_length=12, choices=[(k.value, k.value) for k in PolicyKind])
    scope_key = models.CharField(max_length=200, db_index=True)
    scope_label = models.CharField(max_length=300, help_text="The scope's name when last seen.")
    description = models.TextField(blank=True)
    broken_because = models.TextField(blank=True)
    expires_at = models.DateTimeField(
        null=True, blank=True, help_text="What it grants ends then; it is retired soon after."
    )
    created_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(fields=["workspace", "name"], name="policy_name_is_unique")
        ]

    def __str__(self) -> str:
        return self.name


class PolicyVersion(models.Model):
    """One numbered text of a policy. Once submitted it is never changed, only followed by another.

    `references` are the spans of `text` that name things, with the stable keys of what they name;
    `compiled` is what a decision uses, derived from both; `tests` must pass to publish.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    policy = models.ForeignKey(Policy, on_delete=models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField()
    is_retirement = models.BooleanField(
        default=False, help_text="Publishing it ends the policy: two people may have to agree."
    )
    state = models.CharField(
        max_length=12,
        choices=[(s.value, s.value) for s in VersionState],
        default=VersionState.DRAFT,
    )
    text = models.TextField()
    tests = models.JSONField(default=list, blank=True)
    references = models.JSONField(default=list, blank=True)
    compiled = models.JSONField(default=dict, blank=True)
    summary = models.TextField(blank=True)
    reason = models.TextField(blank=True, help_text="Why the author wants it.")
    author = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    contributor_ids = models.JSONField(
        default=list, help_text="Every principal who wrote or submitted it; none may approve it."
    )
    created_at = models.DateTimeField(default=timezone.now)
    updated_at = models.DateTimeField(auto_now=True)
    submitted_at = models.DateTimeField(null=True, blank=True)
    decided_by = models.ForeignKey(
        User, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    decided_at = models.DateTimeField(null=True, blank=True)
    decision_reason = models.TextField(blank=True)
    is_break_glass = models.BooleanField(default=False)
    published_by = models.ForeignKey(
        User, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    published_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["policy", "-number"]
        constraints = [
            models.UniqueConstraint(fields=["policy", "number"], name="policy_version_is_numbered"),
            models.UniqueConstraint(
                fields=["policy"],
                condition=models.Q(state=VersionState.PUBLISHED),
                name="policy_has_one_published_version",
            ),
            models.UniqueConstraint(
                fields=["policy"],
                condition=models.Q(state__in=[VersionState.DRAFT, VersionState.IN_REVIEW]),
                name="policy_has_one_open_version",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.policy} {self.number} ({self.state})"

    @property
    def etag(self) -> str:
        """Return what names this text as it is now; whoever changes it says which they saw."""
        return f"{self.number}.{int(self.updated_at.timestamp() * 1_000_000)}"

    @property
    def is_approved(self) -> bool:
        """Tell whether a second person approved it."""
        return self.decided_by_id is not None and self.state != VersionState.REJECTED


class AccessRequest(models.Model):
    """Someone asked for a right on a securable, and what its owner made of it.

    `policies` names what was drafted to grant it: a policy of its own, or new versions of those
    that stood in the way. `ends_at` is when the right should end.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="+")
    requester = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    securable_key = models.CharField(max_length=200, db_index=True)
    securable_label = models.CharField(max_length=300)
    actions = models.JSONField(help_text="The actions asked for, as decisions name them.")
    reason = models.TextField()
    ends_at = models.DateTimeField(null=True, blank=True)
    state = models.CharField(
        max_length=10,
        choices=[(s.value, s.value) for s in RequestState],
        default=RequestState.OPEN,
    )
    policies = models.JSONField(default=list, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    decided_by = models.ForeignKey(
        User, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    decided_at = models.DateTimeField(null=True, blank=True)
    decision_reason = models.TextField(blank=True)

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["requester", "securable_key"],
                condition=models.Q(state=RequestState.OPEN),
                name="access_request_is_open_once",
            )
        ]

    def __str__(self) -> str:
        return f"{self.requester} on {self.securable_label}: {self.state}"


class AccessReview(models.Model):
    """A look at everyone's rights in a workspace at one time, each confirmed or taken away."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="+")
    title = models.CharField(max_length=200)
    started_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)
    due_at = models.DateTimeField(null=True, blank=True)
    closed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["workspace"],
                condition=models.Q(closed_at__isnull=True),
                name="access_review_is_open_once",
            )
        ]

    def __str__(self) -> str:
        return self.title


class AccessReviewItem(models.Model):
    """One right as the review found it: a role somebody holds, or a policy that permits.

    `source` is `membership` or `policy`, and `source_id` its row, which may be gone since.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    review = models.ForeignKey(AccessReview, on_delete=models.CASCADE, related_name="items")
    source = models.CharField(max_length=12)
    source_id = models.UUIDField()
    holder = models.CharField(max_length=300, help_text="Whose right it is, as named then.")
    right = models.TextField(help_text="What it lets them do, in a sentence.")
    ends_at = models.DateTimeField(null=True, blank=True)
    outcome = models.CharField(
        max_length=10,
        choices=[(o.value, o.value) for o in ReviewOutcome],
        default=ReviewOutcome.PENDING,
    )
    reason = models.TextField(blank=True)
    decided_by = models.ForeignKey(
        User, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    decided_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["source", "holder", "id"]

    def __str__(self) -> str:
        return f"{self.holder}: {self.right}"


class PolicyReplay(models.Model):
    """What was recorded in some days, asked again under a proposal. The row is the queue.

    `text` is what was proposed, as it was then; `result` is as `services.replays.as_result` has it.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    policy = models.ForeignKey(Policy, on_delete=models.CASCADE, related_name="replays")
    number = models.PositiveIntegerField(null=True, blank=True)
    text = models.TextField(blank=True)
    ends = models.BooleanField(default=False, help_text="The end of the policy is proposed.")
    days = models.PositiveSmallIntegerField()
    state = models.CharField(
        max_length=12,
        choices=[(s.value, s.value) for s in ReplayState],
        default=ReplayState.QUEUED,
    )
    total = models.PositiveIntegerField(default=0, help_text="Recorded, as counted at the start.")
    done = models.PositiveIntegerField(default=0)
    attempts = models.PositiveSmallIntegerField(default=0)
    result = models.JSONField(null=True)
    problem = models.TextField(blank=True)
    requested_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    requester = models.CharField(max_length=254, help_text="Who asked, as labelled then.")
    created_at = models.DateTimeField(default=timezone.now)
    heartbeat_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at"]
        indexes = [
            models.Index(
                fields=["heartbeat_at"],
                condition=models.Q(state__in=[ReplayState.QUEUED, ReplayState.RUNNING]),
                name="replay_open",
            )
        ]

    def __str__(self) -> str:
        return f"{self.policy}: {self.days} days, {self.state}"
