"""`/api/v1/me`: what the server takes the caller to be."""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.api.organization import OrganizationSerializer
from accounts.domain import Actor
from accounts.models import Group, User
from accounts.selectors import organization_of
from api.permissions import ANY_TOKEN, RequiredScopes, actor_of


class IdentitySerializer(serializers.Serializer[Any]):
    """A device as the server recognised it on this request."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    thumbprint = serializers.CharField()
    status = serializers.CharField()


class MeSerializer(serializers.Serializer[Any]):
    """The principal behind the request, and what its token narrows it to."""

    id = serializers.UUIDField()
    kind = serializers.CharField()
    name = serializers.CharField()
    email = serializers.EmailField(allow_null=True)
    organization = OrganizationSerializer(allow_null=True)
    organization_role = serializers.CharField()
    groups = serializers.ListField(child=serializers.CharField())
    scopes = serializers.ListField(
        child=serializers.CharField(), allow_null=True, help_text="null: not narrowed."
    )
    mfa = serializers.BooleanField()
    device = IdentitySerializer(
        allow_null=True, help_text="The enrolled device whose DPoP proof the request carried."
    )


class MeView(APIView):
    """Tell callers who they are to this server."""

    required_scopes: ClassVar[RequiredScopes] = {"GET": ANY_TOKEN}

    @extend_schema(operation_id="me", responses=MeSerializer, tags=["identity"])
    def get(self, request: Request) -> Response:
        """Return the principal, its organization, the token's scopes and the device."""
        actor = actor_of(request)
        return Response(MeSerializer(_document(actor)).data)


def _document(actor: Actor) -> dict[str, Any]:
    person = User.objects.filter(id=actor.id).first() if actor.is_person else None
    groups = Group.objects.filter(id__in=actor.group_ids).order_by("name")
    return {
        "id": actor.id,
        "kind": actor.kind,
        "name": person.display_name if person else actor.label,
        "email": person.email if person else None,
        "organization": organization_of(actor),
        "organization_role": actor.organization_role,
        "groups": [group.name for group in groups],
        "scopes": None if actor.scopes is None else sorted(actor.scopes),
        "mfa": actor.mfa,
        "device": actor.device,
    }
