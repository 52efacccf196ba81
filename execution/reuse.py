"""When two runs must give the same rows: one digest of all that a result depends on.

The execution record names every table with its state, the columns that are shown, the masks and
the row filter: what the principal's rights make of it, and not whose rights they are. Two
principals share a digest where governance lets both see exactly the same.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any
from uuid import UUID

import duckdb

from accounts.composed import Composed, numbered
from catalog import lake
from catalog.models import Catalog
from execution import planning
from execution.domain import Plan
from execution.engine.domain import RESULT_FORMAT
from execution.repeatable import is_repeatable
from workspaces.models import Workspace

Json = dict[str, Any]


_catalogs = Composed(lambda **ids: Catalog.objects.filter(id__in=ids.values()).order_by())


def key_of(plan: Plan, workspace: Workspace) -> str:
    """Return the digest of the result of `plan`; empty where no two runs need to agree.

    Sessions have nothing of their own that SQL could see: the time zone is UTC, settings and
    variables cannot be read, and a policy about the principal carries its values in its text.
    """
    if not plan.query.is_repeatable or not all(is_repeatable(t["view"]) for t in plan.tables):
        return ""
    record = planning.execution_record(plan)
    parts = {
        "workspace": str(workspace.id),
        "sql": plan.query.digest,
        "search_path": record["search_path"],
        "tables": _at_their_states(record["tables"]),
        "limits": [workspace.max_result_rows, workspace.max_result_bytes],
        "engine": duckdb.__version__,
        "formats": [record["format"], RESULT_FORMAT],
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _at_their_states(tables: list[Json]) -> list[Json]:
    """Return the tables with the time of their last change in place of the snapshot's number.

    The files to read are left out: they follow from the state and from the text.
    """
    by_lake: dict[tuple[str, int], list[Json]] = {}
    for table in tables:
        by_lake.setdefault((table["catalog_id"], table["snapshot_id"]), []).append(table)
    asked = numbered("catalog", {UUID(catalog_id) for catalog_id, _ in by_lake})
    catalogs = {row.id: row for row in _catalogs.ask(len(asked), **asked)}
    found = []
    for (catalog_id, snapshot_id), members in by_lake.items():
        ids = [member["table_id"] for member in members]
        states = lake.unchanged_since(catalogs[UUID(catalog_id)], ids, snapshot_id)
        for member in members:
            state = states[member["table_id"]]
            found.append(
                {
                    "table": [catalog_id, member["table_uuid"]],
                    "since": [state.snapshot_id, str(state.committed_at)],
                    "view": member["view"],
                    "shown_in": member.get("shown_in", ""),
                }
            )
    return found
