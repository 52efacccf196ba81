"""Endpoints of views: listed to those who may browse what they read, changed by the writer."""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.domain import Scope
from api.permissions import RequiredScopes
from catalog import lake
from catalog.api.definitions import IDEMPOTENCY, idempotency_key, place_of
from catalog.api.operations import ChangePreviewSerializer
from catalog.api.serializers import JobSerializer
from catalog.selectors import snapshot_of
from catalog.services import stored_views as services
from catalog.stored_views.page import view_page
from catalog.stored_views.seen import SeenView, visible_views


class ViewColumnSerializer(serializers.Serializer[Any]):
    """A column that a view gives."""

    name = serializers.CharField()
    type = serializers.CharField()


class StoredViewSerializer(serializers.Serializer[Any]):
    """One view of a catalog."""

    schema_name = serializers.CharField()
    name = serializers.CharField()
    sql_name = serializers.CharField()
    comment = serializers.CharField()
    reads = serializers.ListField(child=serializers.CharField(), help_text="Whole names of tables.")
    problem = serializers.CharField(help_text="Why it cannot be used; empty where it can.")


class StoredViewListSerializer(serializers.Serializer[Any]):
    """The views of a catalog, by schema and name."""

    results = StoredViewSerializer(many=True)


class StoredViewDetailSerializer(StoredViewSerializer):
    """One view with its text and what it gives the caller."""

    sql = serializers.CharField(help_text="Empty where it is withheld.")
    withheld = serializers.CharField(help_text="Why the text is not shown; empty where it is.")
    columns = ViewColumnSerializer(many=True)


class ViewListAskedSerializer(serializers.Serializer[Any]):
    """Which views to list."""

    snapshot = serializers.IntegerField(required=False, min_value=0, default=None)
    search = serializers.CharField(required=False, default="", max_length=200)


class NewViewSerializer(serializers.Serializer[Any]):
    """A view to make, or another text for one that is there."""

    name = serializers.CharField(max_length=200)
    schema = serializers.CharField(max_length=200, default="main")
    sql = serializers.CharField(
        max_length=20_000, trim_whitespace=False, help_text="One SELECT over the same catalog."
    )
    comment = serializers.CharField(
        default=None,
        allow_null=True,
        allow_blank=True,
        trim_whitespace=False,
        help_text="Where it is left out, a view that is replaced keeps the one it has.",
    )
    replace = serializers.BooleanField(
        default=False, help_text="Put the text in the place of the view of that name."
    )
    dry_run = serializers.BooleanField(default=False)


class NewViewPreviewSerializer(ChangePreviewSerializer):
    """What making a view would do, and the columns it would give its author."""

    columns = ViewColumnSerializer(many=True)


class ViewChangeSerializer(serializers.Serializer[Any]):
    """One change of a view; `value` is the new name or the comment."""

    op = serializers.ChoiceField(choices=["comment", "drop", "rename"])
    value = serializers.CharField(default="", allow_blank=True, trim_whitespace=False)
    dry_run = serializers.BooleanField(default=False)


class StoredViewsView(APIView):
    """The views of a catalog."""

    required_scopes: ClassVar[RequiredScopes] = {
        "GET": Scope.CATALOG_READ,
        "POST": Scope.CATALOG_WRITE,
    }

    @extend_schema(
        operation_id="list_views",
        parameters=[ViewListAskedSerializer],
        responses=StoredViewListSerializer,
        tags=["catalog"],
    )
    def get(self, request: Request, workspace: str, catalog: str) -> Response:
        """List the views of which the actor may browse all tables that they read."""
        actor, found = place_of(request, workspace, catalog)
        asked = ViewListAskedSerializer(data=request.query_params)
        asked.is_valid(raise_exception=True)
        at = snapshot_of(found, asked.validated_data["snapshot"]).snapshot_id
        search = lake.Search.of(asked.validated_data["search"])
        return Response({"results": list(map(_shown, visible_views(actor, found, at, search)))})

    @extend_schema(
        operation_id="create_view",
        parameters=[IDEMPOTENCY],
        request=NewViewSerializer,
        responses={200: NewViewPreviewSerializer, 202: JobSerializer},
        tags=["catalog"],
    )
    def post(self, request: Request, workspace: str, catalog: str) -> Response:
        """Say what a view would give (`dry_run`), or queue its making or replacing."""
        actor, found = place_of(request, workspace, catalog)
        given = NewViewSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        asked = dict(given.validated_data)
        if asked.pop("dry_run"):
            planned = services.preview_new_view(actor=actor, catalog=found, **asked)
            return Response(planned.as_dict())
        job = services.create_view(
            actor=actor, catalog=found, **asked, idempotency_key=idempotency_key(request)
        )
        return Response(JobSerializer(job).data, status=status.HTTP_202_ACCEPTED)


class StoredViewView(APIView):
    """One view."""

    required_scopes: ClassVar[RequiredScopes] = {"GET": Scope.CATALOG_READ}

    @extend_schema(operation_id="get_view", responses=StoredViewDetailSerializer, tags=["catalog"])
    def get(
        self, request: Request, workspace: str, catalog: str, schema: str, view: str
    ) -> Response:
        """Return one view with its columns and its text.

        The text is withheld where it names columns that policies hide from the actor.
        """
        actor, found = place_of(request, workspace, catalog)
        page = view_page(actor, found, schema, view)
        columns = [{"name": name, "type": kind} for name, kind in page.given.columns]
        more = {"sql": page.text, "withheld": page.withheld, "columns": columns}
        problem = page.seen.problem or page.given.problem
        return Response(_shown(page.seen) | more | {"problem": problem})


class StoredViewChangesView(APIView):
    """Changes of one view."""

    required_scopes: ClassVar[RequiredScopes] = {"POST": Scope.CATALOG_WRITE}

    @extend_schema(
        operation_id="change_view",
        parameters=[IDEMPOTENCY],
        request=ViewChangeSerializer,
        responses={200: NewViewPreviewSerializer, 202: JobSerializer},
        tags=["catalog"],
    )
    def post(
        self, request: Request, workspace: str, catalog: str, schema: str, view: str
    ) -> Response:
        """Say what renaming, describing or dropping would do (`dry_run`), or queue it."""
        actor, found = place_of(request, workspace, catalog)
        given = ViewChangeSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        asked = dict(given.validated_data) | {"schema": schema, "name": view}
        if asked.pop("dry_run"):
            planned = services.preview_view_change(actor=actor, catalog=found, **asked)
            return Response(planned.as_dict())
        job = services.change_view(
            actor=actor, catalog=found, **asked, idempotency_key=idempotency_key(request)
        )
        return Response(JobSerializer(job).data, status=status.HTTP_202_ACCEPTED)


def _shown(seen: SeenView) -> dict[str, Any]:
    return {
        "schema_name": seen.view.schema_name,
        "name": seen.view.name,
        "sql_name": seen.label,
        "comment": "" if seen.problem else seen.view.comment,
        "reads": [table.label for table in seen.reads],
        "problem": seen.problem,
    }
