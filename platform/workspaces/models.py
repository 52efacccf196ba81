"""The state of where people work: workspaces, who belongs to them, and their limits."""

from __future__ import annotations

import uuid
from uuid import UUID

from django.db import models
from django.utils import timezone

from accounts.domain import Actor, OrganizationRole, PrincipalKind
from accounts.models import Group, Organization, ServiceAccount, User
from workspaces.domain import WorkspaceRole


class WorkspaceQuerySet(models.QuerySet["Workspace"]):
    """Reads of workspaces."""

    def visible_to(self, actor: Actor) -> WorkspaceQuerySet:
        """Return the workspaces `actor` belongs to; organization admins and auditors see all."""
        if actor.organization_id is None:
            return self.none()
        own = self.filter(organization_id=actor.organization_id, archived_at__isnull=True)
        if actor.organization_role in {OrganizationRole.ADMIN, OrganizationRole.AUDITOR}:
            return own
        memberships = Membership.objects.of(actor).values("workspace_id")
        return own.filter(id__in=memberships)


class Workspace(models.Model):
    """A team's space: catalogs, buckets, policies, quotas, saved queries."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    organization = models.ForeignKey(
        Organization, on_delete=models.PROTECT, related_name="workspaces"
    )
    name = models.CharField(max_length=120)
    slug = models.SlugField(max_length=60)
    max_scan_bytes = models.BigIntegerField(
        default=100 * 10**9, help_text="A query that would scan more is refused."
    )
    max_result_rows = models.BigIntegerField(default=10_000_000)
    max_result_bytes = models.BigIntegerField(default=2 * 10**9)
    max_stored_bytes = models.BigIntegerField(
        default=50 * 10**9,
        help_text="Kept results take no more: those longest unused end early.",
    )
    query_timeout_seconds = models.PositiveIntegerField(default=300)
    query_memory_bytes = models.BigIntegerField(default=2 * 2**30)
    local_max_bytes = models.BigIntegerField(
        default=2 * 10**9, help_text="Auto never sends more than this to a person's machine."
    )
    max_extract_bytes = models.BigIntegerField(
        default=10**9, help_text="A governed extract that would be larger is not made."
    )
    max_stored_extract_bytes = models.BigIntegerField(
        default=20 * 10**9,
        help_text="Extracts take no more together: those longest unused end early.",
    )
    max_running_queries = models.PositiveIntegerField(default=8)
    max_running_per_principal = models.PositiveIntegerField(default=4)
    max_queued_queries = models.PositiveIntegerField(default=1000)
    max_queued_per_principal = models.PositiveIntegerField(
        default=100, help_text="One more is answered 429; runs on people's machines do not count."
    )
    drop_grace_days = models.PositiveSmallIntegerField(
        default=7, help_text="A dropped catalog can be restored for so long."
    )
    created_at = models.DateTimeField(default=timezone.now)
    archived_at = models.DateTimeField(null=True, blank=True)

    objects = WorkspaceQuerySet.as_manager()

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(fields=["organization", "slug"], name="workspace_slug_unique")
        ]

    def __str__(self) -> str:
        return self.name


class MembershipQuerySet(models.QuerySet["Membership"]):
    """Reads of memberships."""

    def of(self, actor: Actor) -> MembershipQuerySet:
        """Return the memberships that `actor` holds directly or through a group."""
        match actor.kind:
            case PrincipalKind.USER:
                direct = models.Q(user_id=actor.id)
            case PrincipalKind.SERVICE_ACCOUNT:
                direct = models.Q(service_account_id=actor.id)
            case _:
                return self.none()
        return self.filter(direct | models.Q(group_id__in=actor.group_ids))

    def roles_of(self, actor: Actor, workspace_id: UUID) -> frozenset[WorkspaceRole]:
        """Return every role `actor` holds in one workspace."""
        rows = self.of(actor).filter(workspace_id=workspace_id).values_list("role", flat=True)
        return frozenset(WorkspaceRole(role) for role in rows)


class Membership(models.Model):
    """One principal's role in one workspace."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(User, on_delete=models.CASCADE, null=True, blank=True)
    service_account = models.ForeignKey(
        ServiceAccount, on_delete=models.CASCADE, null=True, blank=True
    )
    group = models.ForeignKey(Group, on_delete=models.CASCADE, null=True, blank=True)
    role = models.CharField(max_length=20, choices=[(r.value, r.value) for r in WorkspaceRole])
    created_at = models.DateTimeField(default=timezone.now)

    objects = MembershipQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=(
                    models.Q(user__isnull=False, service_account__isnull=True, group__isnull=True)
                    | models.Q(user__isnull=True, service_account__isnull=False, group__isnull=True)
                    | models.Q(user__isnull=True, service_account__isnull=True, group__isnull=False)
                ),
                name="membership_has_one_principal",
            ),
            models.UniqueConstraint(
                fields=["workspace", "user", "service_account", "group", "role"],
                nulls_distinct=False,
                name="membership_is_unique",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.principal}: {self.role}"

    @property
    def principal(self) -> User | ServiceAccount | Group:
        """Return who holds the role."""
        principal = self.user or self.service_account or self.group
        assert principal is not None  # noqa: S101 - constraint membership_has_one_principal
        return principal

    @property
    def principal_id(self) -> UUID:
        """Return the id of who holds the role."""
        return self.principal.id

    @property
    def principal_kind(self) -> str:
        """Return `user`, `service_account` or `group`."""
        return {User: "user", ServiceAccount: "service_account"}.get(type(self.principal), "group")
