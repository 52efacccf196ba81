"""`/api/v1/organization`: the tenant's settings."""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import services as accounts
from accounts.domain import Actor, Scope
from accounts.models import Organization
from accounts.selectors import organization_of
from api.permissions import ANY_TOKEN, RequiredScopes, actor_of
from problems import NotFound


class OrganizationSerializer(serializers.Serializer[Organization]):
    """An organization, as its members see it."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    slug = serializers.SlugField()
    auto_approve_devices = serializers.BooleanField()
    governed_tags_only = serializers.BooleanField()
    local_mode_enabled = serializers.BooleanField()


class OrganizationChangeSerializer(serializers.Serializer[Any]):
    """What to change; what is left out stays."""

    auto_approve_devices = serializers.BooleanField(required=False)
    governed_tags_only = serializers.BooleanField(required=False)
    local_mode_enabled = serializers.BooleanField(required=False)


def own_organization(actor: Actor) -> Organization:
    """Return the actor's organization. Raises `NotFound` for one without."""
    organization = organization_of(actor)
    if organization is None:
        message = "You belong to no organization."
        raise NotFound(message)
    return organization


class OrganizationView(APIView):
    """The actor's organization."""

    required_scopes: ClassVar[RequiredScopes] = {"GET": ANY_TOKEN, "PATCH": Scope.ADMIN}

    @extend_schema(
        operation_id="get_organization", responses=OrganizationSerializer, tags=["identity"]
    )
    def get(self, request: Request) -> Response:
        """Return the organization's settings."""
        return Response(OrganizationSerializer(own_organization(actor_of(request))).data)

    @extend_schema(
        operation_id="change_organization",
        request=OrganizationChangeSerializer,
        responses=OrganizationSerializer,
        tags=["identity"],
    )
    def patch(self, request: Request) -> Response:
        """Change the organization's settings (administrators)."""
        actor = actor_of(request)
        given = OrganizationChangeSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        organization = accounts.change_organization(
            actor=actor, organization=own_organization(actor), **given.validated_data
        )
        return Response(OrganizationSerializer(organization).data)
