"""`/api/v1/workspaces/{w}/members`: who belongs to a workspace, in which role."""

from __future__ import annotations

from typing import Any, ClassVar
from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import generics, serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.domain import Scope
from accounts.models import Group, ServiceAccount, User
from api.permissions import RequiredScopes, actor_of
from problems import NotFound
from workspaces import services as workspaces
from workspaces.domain import WorkspaceRole
from workspaces.models import Membership, Workspace
from workspaces.selectors import find_workspace

PRINCIPALS = {"user": User, "service_account": ServiceAccount, "group": Group}


class MembershipSerializer(serializers.Serializer[Membership]):
    """One principal's role in the workspace."""

    id = serializers.UUIDField()
    principal_kind = serializers.CharField()
    principal_id = serializers.UUIDField()
    principal = serializers.CharField(help_text="An e-mail address, or a name.")
    role = serializers.CharField()
    created_at = serializers.DateTimeField()


class NewMembershipSerializer(serializers.Serializer[Any]):
    """Whom to give which role."""

    principal_kind = serializers.ChoiceField(choices=list(PRINCIPALS))
    principal_id = serializers.UUIDField()
    role = serializers.ChoiceField(choices=[(r.value, r.value) for r in WorkspaceRole])


@extend_schema_view(get=extend_schema(operation_id="list_members", tags=["identity"]))
class MembersView(generics.ListAPIView[Membership]):
    """List who belongs to the workspace, and let more in."""

    serializer_class = MembershipSerializer
    required_scopes: ClassVar[RequiredScopes] = {"GET": Scope.ADMIN, "POST": Scope.ADMIN}

    def get_queryset(self) -> QuerySet[Membership]:
        """Return the memberships of a workspace that the actor sees."""
        workspace = find_workspace(actor_of(self.request), self.kwargs["workspace"])
        rows = Membership.objects.filter(workspace=workspace)
        return rows.select_related("user", "service_account", "group")

    @extend_schema(
        operation_id="grant_membership",
        request=NewMembershipSerializer,
        responses={201: MembershipSerializer},
        tags=["identity"],
    )
    def post(self, request: Request, workspace: str) -> Response:
        """Give a principal of the organization a role (owners and administrators)."""
        actor = actor_of(request)
        row = find_workspace(actor, workspace)
        given = NewMembershipSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        facts = given.validated_data
        membership = workspaces.grant_membership(
            actor=actor,
            workspace=row,
            principal=_principal(row, facts["principal_kind"], facts["principal_id"]),
            role=WorkspaceRole(facts["role"]),
        )
        document = MembershipSerializer(membership).data
        return Response(document, status=status.HTTP_201_CREATED)


def _principal(workspace: Workspace, kind: str, key: UUID) -> workspaces.Principal:
    rows: QuerySet[Any] = PRINCIPALS[kind].objects.all()  # type: ignore[attr-defined]
    found = rows.filter(organization_id=workspace.organization_id, id=key).first()
    if found is None:
        message = f"There is no such {kind.replace('_', ' ')} in the organization."
        raise NotFound(message)
    principal: workspaces.Principal = found
    return principal


class MemberView(APIView):
    """One principal's role in the workspace."""

    required_scopes: ClassVar[RequiredScopes] = {"DELETE": Scope.ADMIN}

    @extend_schema(operation_id="revoke_membership", responses={204: None}, tags=["identity"])
    def delete(self, request: Request, workspace: str, membership_id: UUID) -> Response:
        """Take the role away (owners and administrators)."""
        actor = actor_of(request)
        rows = Membership.objects.filter(workspace=find_workspace(actor, workspace))
        membership = rows.select_related("workspace").filter(id=membership_id).first()
        if membership is None:
            message = "There is no such membership in this workspace."
            raise NotFound(message)
        workspaces.revoke_membership(actor=actor, membership=membership)
        return Response(status=status.HTTP_204_NO_CONTENT)
