"""Many tables, people and policies for benchmarks, as the rows that decisions read."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import cedarpy
from django.db import connection
from psycopg import sql

from benchmarks.stage import Stage, save, stage

if TYPE_CHECKING:
    from django.db.backends.utils import CursorWrapper

COLUMNS = ("id", "email", "region", "amount", "day")

TABLES = """
INSERT INTO {schema}.ducklake_table
    (table_id, table_uuid, begin_snapshot, end_snapshot, schema_id, table_name, path,
     path_is_relative)
SELECT 100000 + n, gen_random_uuid(), s.snapshot_id, NULL, m.schema_id,
       't' || lpad(n::text, 6, '0'), 't' || n || '/', true
FROM generate_series(%(first)s, %(first)s + %(tables)s - 1) AS n,
     (SELECT max(snapshot_id) AS snapshot_id FROM {schema}.ducklake_snapshot) AS s,
     (SELECT schema_id FROM {schema}.ducklake_schema WHERE schema_name = 'main') AS m
"""

TABLE_COLUMNS = """
INSERT INTO {schema}.ducklake_column
    (column_id, begin_snapshot, end_snapshot, table_id, column_order, column_name, column_type,
     nulls_allowed)
SELECT c.number, t.begin_snapshot, NULL, t.table_id, c.number, c.name, 'varchar', true
FROM {schema}.ducklake_table AS t,
     unnest(%(columns)s::text[]) WITH ORDINALITY AS c (name, number)
WHERE t.table_id >= 100000 + %(first)s
"""


def measured(name: str, tables: int, measure: Callable[[Stage], dict[str, Any]]) -> None:
    """Measure over a lake of so many tables; print the figures, or keep them with `--save`."""
    with stage() as here:
        document = here.catalog("big")
        with connection.cursor() as cursor:
            fill(cursor, schema=document["lakes"]["big"]["schema"], tables=tables)
        figures = measure(here)
    if "--save" in sys.argv:
        save(name, figures)
    else:
        sys.stdout.write(json.dumps(figures, indent=2) + "\n")


def fill(cursor: CursorWrapper, *, schema: str, tables: int, first: int = 1) -> None:
    """Give a lake this many tables of five columns, without data, numbered from `first`."""
    name = sql.Identifier(schema)
    for text in (TABLES, TABLE_COLUMNS):
        values: dict[str, int | list[str]] = {
            "tables": tables,
            "first": first,
            "columns": list(COLUMNS),
        }
        cursor.execute(sql.SQL(text).format(schema=name), values)
    for table in ("ducklake_table", "ducklake_column"):
        cursor.execute(sql.SQL("ANALYZE {}.{}").format(name, sql.Identifier(table)))


def people(organization: Any, workspace: Any, count: int) -> list[Any]:
    """Create people in five groups, members by turns, directly or through their group."""
    from accounts.models import Group, User
    from workspaces.models import Membership

    groups = [Group.objects.create(organization=organization, name=f"g{n}") for n in range(5)]
    for group in groups[:2]:
        Membership.objects.create(workspace=workspace, group=group, role="analyst")
    found = []
    for number in range(count):
        user = User.objects.create(
            organization=organization, username=f"c{number}", email=f"c{number}@crowd.example"
        )
        groups[number % 5].users.add(user)
        if number % 5 > 1:
            role = "steward" if number % 7 == 0 else "analyst"
            Membership.objects.create(workspace=workspace, user=user, role=role)
        found.append(user)
    return found


def publish(workspace: Any, catalog: Any, tables: list[Any], count: int) -> None:
    """Publish policies as rows: of 100, 2 on the workspace, 3 on the catalog, 95 on tables.

    On tables they are access policies, masks and row filters by turns.
    """
    from governance import securables
    from governance.models import Policy, PolicySet, PolicyVersion

    scopes = {0: securables.workspace(workspace), 1: securables.workspace(workspace)}
    rows, versions = [], []
    for number in range(count):
        place = number % 100
        scope = scopes.get(place, catalog.securable if place < 5 else tables[number % len(tables)])
        kind, compiled = _compiled(number, scope, is_wide=place < 5)
        policy = Policy(
            workspace=workspace, name=f"p{number}", kind=kind, scope_key=scope.key,
            scope_label=scope.label,
        )  # fmt: skip
        rows.append(policy)
        versions.append(
            PolicyVersion(
                policy=policy,
                number=1,
                state="published",
                text="-",
                compiled=compiled,
                summary=f"What policy {number} says.",
            )
        )
    Policy.objects.bulk_create(rows)
    PolicyVersion.objects.bulk_create(versions)
    held, _ = PolicySet.objects.get_or_create(workspace=workspace)
    held.version += 1
    held.save()


def _compiled(number: int, scope: Any, *, is_wide: bool) -> tuple[str, dict[str, Any]]:
    if is_wide or number % 3 == 0:
        about = "" if is_wide else scope.key
        return "access", access(
            f'forbid (principal, action == Action::"table.append", resource)'
            f' when {{ resource.tags.contains("tag{number}") }};', about
        )  # fmt: skip
    if number % 3 == 1:
        return "mask", mask(scope, "email")
    return "row_filter", {
        "template": [
            {"column": {"name": "region", "keys": []}}, " = ", {"principal": "region"}
        ],
        "except": [{"kind": "role", "key": "owner"}],
    }  # fmt: skip


def access(text: str, about: str = "") -> dict[str, Any]:
    """Return Cedar text, compiled."""
    bodies = json.loads(cedarpy.policies_to_json_str(text))["staticPolicies"].values()
    return {"statements": [{"summary": "-", "about": about, "body": body} for body in bodies]}


def mask(_scope: Any, column: str) -> dict[str, Any]:
    """Return a mask of a column for all but owners, compiled."""
    return {
        "columns": [{"name": column, "keys": []}],
        "tags": [],
        "mask": {"method": "null"},
        "except": [{"kind": "role", "key": "owner"}],
    }
