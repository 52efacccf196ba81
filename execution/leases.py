"""What queries, devices and writers of extracts may still read, for whoever deletes files."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from django.db.models import Func, JSONField, QuerySet, TextField, Value
from django.db.models.functions import Cast
from django.utils import timezone

from catalog.maintenance.leases import SLACK, Leases
from catalog.models import Catalog
from execution.domain import QueryState
from execution.extracts.domain import ExtractState
from execution.models import Extract, GrantedFile, Query

OPEN = (QueryState.DELEGATED, QueryState.PREPARING, QueryState.QUEUED, QueryState.RUNNING)


class QueryLeases:
    """Reads the rows of what is open: a plan names its snapshot, a grant its files."""

    def leases(self, catalog: Catalog) -> Leases:
        """Return what may still be read of `catalog`, as of now."""
        found = [*_queries(catalog), *_extracts(catalog)]
        return Leases(
            snapshots=frozenset(snapshot for snapshot, _ in found),
            keys=_granted(catalog),
            since=min((moment for _, moment in found), default=None),
        )


def _queries(catalog: Catalog) -> list[tuple[int, datetime]]:
    """Return (snapshot, asked at) of each open query's tables in the catalog."""
    rows = Query.objects.filter(workspace_id=catalog.workspace_id, state__in=OPEN)
    return _pins(rows, "execution", "$.tables[*]", catalog)


def _extracts(catalog: Catalog) -> list[tuple[int, datetime]]:
    """Return the same of extracts that are to be written."""
    rows = Extract.objects.filter(catalog_id=catalog.id, state=ExtractState.PREPARING)
    return _pins(rows, "job", "$.table", catalog)


def _pins(
    rows: QuerySet[Any], field: str, path: str, catalog: Catalog
) -> list[tuple[int, datetime]]:
    named = f'{path} ? (@.catalog_id == "{catalog.id}").snapshot_id'
    found = Func(
        field,
        Cast(Value(named), TextField()),
        function="jsonb_path_query_array",
        template="%(function)s(%(expressions)s::jsonpath)",
        output_field=JSONField(),
    )
    told = rows.values_list(Cast(found, TextField()), "created_at")
    return [(number, moment) for text, moment in told for number in json.loads(text)]


def _granted(catalog: Catalog) -> frozenset[str]:
    """Return the objects that devices may fetch, or had an address of a moment ago."""
    files = GrantedFile.objects.filter(
        catalog_id=catalog.id, extract__isnull=True, grant__expires_at__gt=timezone.now() - SLACK
    )
    return frozenset(files.values_list("key", flat=True))
