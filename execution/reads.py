"""What recorded queries read of tables, and by which filters: what upkeep would save follows."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from datetime import datetime
from typing import Any

from django.db.models import Count, Func, JSONField, TextField, Value
from django.db.models.functions import Cast

from catalog.domain import ColumnFilter
from catalog.maintenance.recorded import Reads
from execution.domain import QueryState
from execution.models import Query
from workspaces.models import Workspace

KEPT_SHAPES = 2_000
"""Plans that differ in what they read of tables: the most frequent are enough to measure by."""

SHOWN = re.compile(r"(?P<column>\S+) (?P<operator>=|<=|>=|<|>) (?P<value>.+)")


class QueryReads:
    """Adds up what plans say that they read."""

    def reads(self, workspace: Workspace, since: datetime) -> dict[str, Reads]:
        """Return what the queries since then read, by the label of the table."""
        shapes = (
            Query.objects.filter(
                workspace=workspace, created_at__gte=since, cached_from__isnull=True
            )
            .exclude(state=QueryState.CANCELLED)
            .values(read=_tables())
            .annotate(times=Count("id"))
            .order_by("-times")[:KEPT_SHAPES]
        )
        found: dict[str, list[tuple[dict[str, Any], int]]] = defaultdict(list)
        for shape in shapes:
            for table in json.loads(shape["read"]):
                found[table["table"]].append((table, shape["times"]))
        return {label: _added(read) for label, read in found.items()}


def _tables() -> Cast:
    wanted = Cast(Value("$.tables[*]"), TextField())
    found = Func(
        "plan",
        wanted,
        function="jsonb_path_query_array",
        template="%(function)s(%(expressions)s::jsonpath)",
        output_field=JSONField(),
    )
    return Cast(found, TextField())


def _added(read: list[tuple[dict[str, Any], int]]) -> Reads:
    filters: Counter[tuple[ColumnFilter, ...]] = Counter()
    for table, times in read:
        known = tuple(one for text in table.get("filters", ()) for one in _filter(text))
        if known:
            filters[known] += times
    return Reads(
        queries=sum(times for _, times in read),
        files=sum(int(table.get("files") or 0) * times for table, times in read),
        scan_bytes=sum(int(table.get("scan_bytes") or 0) * times for table, times in read),
        filters=tuple(filters.most_common()),
    )


def _filter(text: str) -> list[ColumnFilter]:
    found = SHOWN.fullmatch(text)
    if found is None:
        return []
    value = found["value"].strip("'")
    return [ColumnFilter(found["column"].strip('"'), found["operator"], (value,))]
