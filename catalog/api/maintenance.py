"""Endpoints of upkeep: policies, what is needed and why, runs and their end."""

from __future__ import annotations

from typing import Any, ClassVar
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.domain import Actor, Scope
from api.permissions import RequiredScopes, actor_of
from catalog import lake
from catalog.api.naming import named_catalog
from catalog.domain import Table
from catalog.maintenance import overview
from catalog.maintenance.domain import StepKind
from catalog.models import Catalog
from catalog.selectors import find_table
from catalog.services import maintenance
from workspaces.selectors import find_workspace

READ_AND_WRITE: RequiredScopes = {"GET": Scope.CATALOG_READ, "PATCH": Scope.CATALOG_WRITE}


class MaintenancePolicySerializer(serializers.Serializer[Any]):
    """How a catalog or a table is kept; null is what is inherited."""

    enabled = serializers.BooleanField(required=False, allow_null=True)
    target_file_bytes = serializers.IntegerField(required=False, allow_null=True)
    keep_days = serializers.IntegerField(
        required=False,
        allow_null=True,
        min_value=0,
        max_value=36_500,
        help_text="Snapshots older than this expire; 0 keeps all.",
    )
    keep_tagged = serializers.BooleanField(required=False, allow_null=True)
    quiet_hours = serializers.CharField(
        required=False,
        allow_null=True,
        allow_blank=True,
        max_length=11,
        help_text="When steps that rewrite much may run: 22:00-06:00, UTC; empty is any time.",
    )
    daily_budget_bytes = serializers.IntegerField(required=False, allow_null=True, min_value=0)


class MaintenanceStepSerializer(serializers.Serializer[Any]):
    """One commit, or one round of deletions, that is needed now."""

    kind = serializers.CharField()
    schema = serializers.CharField()
    table = serializers.CharField()
    why = serializers.CharField()
    files = serializers.IntegerField()
    size_bytes = serializers.IntegerField(help_text="What it would rewrite.")
    is_heavy = serializers.BooleanField(help_text="It waits for the quiet hours, if there are any.")


class SortProposalSerializer(serializers.Serializer[Any]):
    """A column that recorded queries filter on, and what an order by it would save them."""

    column = serializers.CharField()
    queries = serializers.IntegerField()
    files_now = serializers.IntegerField(help_text="Files that those queries read, together.")
    files_then = serializers.IntegerField()
    bytes_now = serializers.IntegerField()
    bytes_then = serializers.IntegerField()


class TableHealthSerializer(serializers.Serializer[Any]):
    """How the files of a table stand, and what mending it would save the recorded queries."""

    schema_name = serializers.CharField()
    name = serializers.CharField()
    files = serializers.IntegerField()
    size_bytes = serializers.IntegerField()
    small_files = serializers.IntegerField()
    small_bytes = serializers.IntegerField()
    delete_ratio = serializers.FloatField()
    files_with_deletes = serializers.IntegerField()
    inlined_rows = serializers.IntegerField()
    held_files = serializers.IntegerField(help_text="That only older snapshots need.")
    held_bytes = serializers.IntegerField()
    orphans = serializers.IntegerField(help_text="That nothing names, when last looked for.")
    orphan_bytes = serializers.IntegerField()
    queries = serializers.IntegerField(help_text="That read it in the last seven days.")
    requests_saved = serializers.IntegerField(help_text="Of those, by fewer files.")
    bytes_saved = serializers.IntegerField(help_text="Of those, by rows that are gone for good.")


class CatalogMaintenanceSerializer(serializers.Serializer[Any]):
    """How a catalog is kept, how it stands, and what it needs now."""

    policy = MaintenancePolicySerializer(help_text="What holds.")
    own = MaintenancePolicySerializer(help_text="What is said here.")
    snapshots = serializers.IntegerField()
    oldest_snapshot_at = serializers.DateTimeField(allow_null=True)
    held_bytes = serializers.IntegerField(help_text="Of files that only older snapshots need.")
    files_to_delete = serializers.IntegerField(help_text="Replaced ones, some maybe still read.")
    orphans = serializers.IntegerField(help_text="That nothing names, when last looked for.")
    orphan_bytes = serializers.IntegerField()
    orphans_found_at = serializers.DateTimeField(allow_null=True)
    steps = MaintenanceStepSerializer(many=True)
    tables = TableHealthSerializer(many=True, help_text="What costs queries most comes first.")


class TableMaintenanceSerializer(serializers.Serializer[Any]):
    """How a table is kept, how it stands, and what it needs now."""

    policy = MaintenancePolicySerializer()
    own = MaintenancePolicySerializer()
    health = TableHealthSerializer()
    steps = MaintenanceStepSerializer(many=True)
    sort_proposals = SortProposalSerializer(many=True)


class StartMaintenanceSerializer(serializers.Serializer[Any]):
    """What to maintain: the catalog, or one table of it."""

    schema = serializers.CharField(default="", allow_blank=True)
    table = serializers.CharField(default="", allow_blank=True)
    sort_keys = serializers.ListField(
        child=serializers.CharField(),
        default=list,
        max_length=4,
        help_text="Write the table anew in the order of these columns.",
    )
    kinds = serializers.ListField(
        child=serializers.ChoiceField(choices=[k.value for k in StepKind if k != StepKind.SORT]),
        default=list,
        help_text="Take these steps only; empty takes all that are needed.",
    )


class MaintenanceRunSerializer(serializers.Serializer[Any]):
    """One run: its state, what it does now, and what it has done."""

    id = serializers.UUIDField()
    catalog = serializers.CharField(source="catalog.name")
    table = serializers.CharField(source="table_label")
    trigger = serializers.CharField()
    state = serializers.CharField()
    step = MaintenanceStepSerializer(allow_null=True)
    progress = serializers.JSONField()
    done = serializers.JSONField()
    bytes_written = serializers.IntegerField()
    files_removed = serializers.IntegerField()
    problem = serializers.JSONField(allow_null=True)
    created_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField(allow_null=True)


class MaintenanceRunListSerializer(serializers.Serializer[Any]):
    """The newest runs first."""

    results = MaintenanceRunSerializer(many=True)


class CatalogMaintenanceView(APIView):
    """The upkeep of a catalog."""

    required_scopes: ClassVar[RequiredScopes] = READ_AND_WRITE

    @extend_schema(
        operation_id="get_catalog_maintenance",
        responses=CatalogMaintenanceSerializer,
        tags=["maintenance"],
    )
    def get(self, request: Request, workspace: str, catalog: str) -> Response:
        """Return how a catalog is kept and what it needs now; nothing is changed by asking."""
        actor = actor_of(request)
        found = named_catalog(actor, workspace, catalog)
        return Response(CatalogMaintenanceSerializer(overview.of_catalog(actor, found)).data)

    @extend_schema(
        operation_id="change_catalog_maintenance",
        request=MaintenancePolicySerializer,
        responses=CatalogMaintenanceSerializer,
        tags=["maintenance"],
    )
    def patch(self, request: Request, workspace: str, catalog: str) -> Response:
        """Say how a catalog is kept; its tables inherit it."""
        actor = actor_of(request)
        found = named_catalog(actor, workspace, catalog)
        maintenance.change_policy(actor=actor, catalog=found, changes=_changes(request))
        return Response(CatalogMaintenanceSerializer(overview.of_catalog(actor, found)).data)


class TableMaintenanceView(APIView):
    """The upkeep of a table."""

    required_scopes: ClassVar[RequiredScopes] = READ_AND_WRITE

    @extend_schema(
        operation_id="get_table_maintenance",
        responses=TableMaintenanceSerializer,
        tags=["maintenance"],
    )
    def get(self, request: Request, **names: str) -> Response:
        """Return how a table is kept, how it stands, and what it needs now."""
        actor = actor_of(request)
        catalog, table = _table(actor, **names)
        return Response(TableMaintenanceSerializer(overview.of_table(actor, catalog, table)).data)

    @extend_schema(
        operation_id="change_table_maintenance",
        request=MaintenancePolicySerializer,
        responses=TableMaintenanceSerializer,
        tags=["maintenance"],
    )
    def patch(self, request: Request, **names: str) -> Response:
        """Say how a table is kept, where it differs from its catalog."""
        actor = actor_of(request)
        catalog, table = _table(actor, **names)
        changes = _changes(request)
        maintenance.change_policy(actor=actor, catalog=catalog, table=table, changes=changes)
        return Response(TableMaintenanceSerializer(overview.of_table(actor, catalog, table)).data)


class MaintenanceRunsView(APIView):
    """The runs of a catalog's upkeep."""

    required_scopes: ClassVar[RequiredScopes] = {
        "GET": Scope.CATALOG_READ,
        "POST": Scope.CATALOG_WRITE,
    }

    @extend_schema(
        operation_id="list_maintenance_runs",
        responses=MaintenanceRunListSerializer,
        tags=["maintenance"],
    )
    def get(self, request: Request, workspace: str, catalog: str) -> Response:
        """List the last runs, the newest first."""
        actor = actor_of(request)
        found = named_catalog(actor, workspace, catalog)
        runs = overview.history(actor, found)
        return Response(MaintenanceRunListSerializer({"results": runs}).data)

    @extend_schema(
        operation_id="start_maintenance",
        request=StartMaintenanceSerializer,
        responses={202: MaintenanceRunSerializer},
        tags=["maintenance"],
    )
    def post(self, request: Request, workspace: str, catalog: str) -> Response:
        """Begin a run of what is needed now; `GET …/maintenance` says before what that is."""
        actor = actor_of(request)
        found = named_catalog(actor, workspace, catalog)
        form = StartMaintenanceSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        given = form.validated_data
        run = maintenance.start_maintenance(
            actor=actor,
            catalog=found,
            table=_named(actor, found, given["schema"] or "main", given["table"]),
            sort_keys=tuple(given["sort_keys"]),
            kinds=tuple(map(StepKind, given["kinds"])),
        )
        return Response(MaintenanceRunSerializer(run).data, status=status.HTTP_202_ACCEPTED)


class MaintenanceRunView(APIView):
    """One run."""

    required_scopes: ClassVar[RequiredScopes] = {
        "GET": Scope.CATALOG_READ,
        "DELETE": Scope.CATALOG_WRITE,
    }

    @extend_schema(
        operation_id="get_maintenance_run",
        responses=MaintenanceRunSerializer,
        tags=["maintenance"],
    )
    def get(self, request: Request, workspace: str, run: UUID) -> Response:
        """Return where a run stands."""
        actor = actor_of(request)
        found = overview.find_run(actor, find_workspace(actor, workspace), run)
        return Response(MaintenanceRunSerializer(found).data)

    @extend_schema(
        operation_id="cancel_maintenance_run",
        responses=MaintenanceRunSerializer,
        tags=["maintenance"],
    )
    def delete(self, request: Request, workspace: str, run: UUID) -> Response:
        """Stop a run; what it has committed stays."""
        actor = actor_of(request)
        found = overview.find_run(actor, find_workspace(actor, workspace), run)
        stopped = maintenance.cancel_maintenance(actor=actor, run=found)
        return Response(MaintenanceRunSerializer(stopped).data)


def _changes(request: Request) -> dict[str, Any]:
    form = MaintenancePolicySerializer(data=request.data)
    form.is_valid(raise_exception=True)
    return dict(form.validated_data)


def _table(
    actor: Actor, workspace: str, catalog: str, schema: str, table: str
) -> tuple[Catalog, Table]:
    found = named_catalog(actor, workspace, catalog)
    newest = lake.latest_snapshot(found).snapshot_id
    return found, find_table(actor, found, newest, schema, table)


def _named(actor: Actor, catalog: Catalog, schema: str, table: str) -> Table | None:
    if not table:
        return None
    newest = lake.latest_snapshot(catalog).snapshot_id
    return find_table(actor, catalog, newest, schema, table)
