"""`/api/v1/organization/tags`, what tags mean, and the tags of whole workspaces."""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.api.organization import own_organization
from accounts.domain import Actor, Scope
from api.bodies import valid
from api.permissions import RequiredScopes, actor_of
from governance import securables, selectors
from governance import services as governance
from governance.domain import Securable
from governance.models import TagDefinition
from governance.tags import shown
from problems import NotFound
from workspaces.selectors import find_workspace


class TagDefinitionSerializer(serializers.Serializer[TagDefinition]):
    """What a tag means."""

    name = serializers.CharField()
    description = serializers.CharField()
    allowed_values = serializers.ListField(
        child=serializers.CharField(), help_text="One of them is named; none where empty."
    )
    is_governed = serializers.BooleanField(
        help_text="Only those who manage what bears it put it on and take it off."
    )
    created_at = serializers.DateTimeField()


class TagDefinitionListSerializer(serializers.Serializer[Any]):
    """The tags that the organization has defined."""

    results = TagDefinitionSerializer(many=True)


class TagDefinitionChangeSerializer(serializers.Serializer[Any]):
    """What to change of a definition; what is left out stays."""

    description = serializers.CharField(required=False, allow_blank=True)
    allowed_values = serializers.ListField(child=serializers.CharField(), required=False)
    is_governed = serializers.BooleanField(required=False)


class NewTagDefinitionSerializer(TagDefinitionChangeSerializer):
    """Which tag to define, and how."""

    name = serializers.CharField(help_text="Lower-case words joined by hyphens: personal-data.")


class WorkspaceTagValueSerializer(serializers.Serializer[Any]):
    """How a tag is put on a workspace."""

    value = serializers.CharField(required=False, default="", allow_blank=True)


class WorkspaceTagsSerializer(serializers.Serializer[Any]):
    """The tags of a workspace; everything in it inherits them."""

    assigned = serializers.ListField(child=serializers.CharField())
    effective = serializers.ListField(child=serializers.CharField())


class TagDefinitionsView(APIView):
    """The tags that the organization has defined."""

    required_scopes: ClassVar[RequiredScopes] = {"GET": Scope.CATALOG_READ, "POST": Scope.ADMIN}

    @extend_schema(
        operation_id="list_tag_definitions",
        responses=TagDefinitionListSerializer,
        tags=["governance"],
    )
    def get(self, request: Request) -> Response:
        """List what tags mean, by name."""
        organization = own_organization(actor_of(request))
        found = TagDefinition.objects.filter(organization=organization)
        return Response({"results": [TagDefinitionSerializer(one).data for one in found]})

    @extend_schema(
        operation_id="define_tag",
        request=NewTagDefinitionSerializer,
        responses={201: TagDefinitionSerializer},
        tags=["governance"],
    )
    def post(self, request: Request) -> Response:
        """Say what a tag means and which values it may have (administrators)."""
        actor = actor_of(request)
        given = valid(NewTagDefinitionSerializer, request)
        definition = governance.define_tag(
            actor=actor, organization=own_organization(actor), **given
        )
        return Response(TagDefinitionSerializer(definition).data, status=status.HTTP_201_CREATED)


class TagDefinitionView(APIView):
    """One defined tag."""

    required_scopes: ClassVar[RequiredScopes] = {"PATCH": Scope.ADMIN, "DELETE": Scope.ADMIN}

    @extend_schema(
        operation_id="change_tag_definition",
        request=TagDefinitionChangeSerializer,
        responses=TagDefinitionSerializer,
        tags=["governance"],
    )
    def patch(self, request: Request, tag: str) -> Response:
        """Change what the tag means; a value that is in use stays allowed (administrators)."""
        actor = actor_of(request)
        given = valid(TagDefinitionChangeSerializer, request)
        definition = governance.change_tag_definition(
            actor=actor, definition=find_definition(actor, tag), **given
        )
        return Response(TagDefinitionSerializer(definition).data)

    @extend_schema(operation_id="delete_tag_definition", responses={204: None}, tags=["governance"])
    def delete(self, request: Request, tag: str) -> Response:
        """Forget what a tag means that nothing bears any more (administrators)."""
        actor = actor_of(request)
        governance.delete_tag_definition(actor=actor, definition=find_definition(actor, tag))
        return Response(status=status.HTTP_204_NO_CONTENT)


class WorkspaceTagView(APIView):
    """One tag of a workspace."""

    required_scopes: ClassVar[RequiredScopes] = {
        "PUT": Scope.CATALOG_WRITE,
        "DELETE": Scope.CATALOG_WRITE,
    }

    @extend_schema(
        operation_id="tag_workspace",
        request=WorkspaceTagValueSerializer,
        responses=WorkspaceTagsSerializer,
        tags=["governance"],
    )
    def put(self, request: Request, workspace: str, tag: str) -> Response:
        """Put a tag on the workspace; every catalog, table and column in it inherits the tag."""
        actor = actor_of(request)
        given = valid(WorkspaceTagValueSerializer, request)
        securable = securables.workspace(find_workspace(actor, workspace))
        governance.assign_tag(actor=actor, securable=securable, tag=tag, value=given["value"])
        return Response(_tags(securable))

    @extend_schema(
        operation_id="untag_workspace", responses=WorkspaceTagsSerializer, tags=["governance"]
    )
    def delete(self, request: Request, workspace: str, tag: str) -> Response:
        """Take a tag off the workspace."""
        actor = actor_of(request)
        securable = securables.workspace(find_workspace(actor, workspace))
        governance.remove_tag(actor=actor, securable=securable, tag=tag)
        return Response(_tags(securable))


def find_definition(actor: Actor, tag: str) -> TagDefinition:
    """Return the definition of a tag in the actor's organization. Raises `NotFound`."""
    rows = TagDefinition.objects.filter(organization=own_organization(actor), name=tag)
    definition = rows.select_related("organization").first()
    if definition is None:
        raise NotFound(f"The tag {tag[:80]!r} is not defined.")
    return definition


def _tags(securable: Securable) -> dict[str, list[str]]:
    assigned = selectors.assigned_tags_of([securable])[securable.key]
    return {
        "assigned": shown(assigned),
        "effective": shown(selectors.tags_of([securable])[securable.key]),
    }
