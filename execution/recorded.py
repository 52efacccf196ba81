"""The queries that ran, for governance: what they read, by whom and where, out of their plans."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

from django.db.models import Func, JSONField, Q, QuerySet, TextField, Value
from django.db.models.functions import Cast

from execution.domain import Place
from execution.models import Query
from governance.recorded import ReadTable, Recorded
from workspaces.models import Workspace

READ = '$.decisions[*] ? (@.action == "table.query").securable'
KEPT_SHAPES = 10_000


class QueryRecordings:
    """Reads rows by their index; of each plan only what a decision was about."""

    def count(self, workspace: Workspace, since: datetime) -> int:
        """Return how many queries were accepted since."""
        return _since(workspace, since).count()

    def batches(
        self, workspace: Workspace, since: datetime, size: int
    ) -> Iterator[Sequence[Recorded]]:
        """Return them, the oldest first. What is accepted meanwhile may be among them."""
        shapes = lru_cache(maxsize=KEPT_SHAPES)(_tables)
        rows = _since(workspace, since).order_by("created_at", "id")
        after = Q()
        while found := list(_told(rows.filter(after))[:size]):
            yield [_recorded(row, shapes(row[6], row[7])) for row in found]
            last_id, at = found[-1][0], found[-1][4]
            after = Q(created_at__gt=at) | Q(created_at=at, id__gt=last_id)


def _since(workspace: Workspace, since: datetime) -> QuerySet[Query]:
    return Query.objects.filter(workspace=workspace, created_at__gte=since)


def _told(rows: QuerySet[Query]) -> QuerySet[Query, tuple[Any, ...]]:
    return rows.values_list(
        "id",
        "principal_key",
        "device_id",
        "place",
        "created_at",
        "asked",
        _found("plan", READ),
        _found("plan", "$.tables[*]"),
    )


def _found(field: str, path: str) -> Cast:
    """Return the text of what a path finds: equal plans are then read once."""
    wanted = Cast(Value(path), TextField())
    found = Func(
        field,
        wanted,
        function="jsonb_path_query_array",
        template="%(function)s(%(expressions)s::jsonpath)",
        output_field=JSONField(),
    )
    return Cast(found, TextField())


def _recorded(row: tuple[Any, ...], tables: tuple[ReadTable, ...]) -> Recorded:
    query_id, principal_id, device_id, place, at, asked, *_ = row
    return Recorded(
        str(query_id),
        principal_id or UUID(int=0),
        device_id,
        place == Place.LOCAL,
        at,
        tables,
        mfa=bool(asked.get("mfa")),
        purpose=str(asked.get("purpose", "")),
        address=str(asked.get("address", "")),
    )


def _tables(securables: str, estimates: str) -> tuple[ReadTable, ...]:
    read: dict[str, tuple[dict[str, None], int]] = {}
    for one in json.loads(estimates):  # a table has several, where it is read at several snapshots
        columns, size = read.get(one["table"], ({}, 0))
        columns |= dict.fromkeys(one.get("columns", ()))
        read[one["table"]] = columns, size + int(one.get("scan_bytes") or 0)
    named = {one["key"]: one["label"] for one in json.loads(securables)}
    return tuple(
        ReadTable(
            key,
            label,
            tuple(read[label][0]) if label in read else (),
            read[label][1] if label in read else 0,
        )
        for key, label in sorted(named.items())
    )
