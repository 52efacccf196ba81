"""Views stand in the place of their names, are judged as a whole, and read as who asks."""

from __future__ import annotations

import pytest
from django.db import connection

from accounts.domain import Actor
from catalog.selectors import UnknownTable
from execution.expansion import ViewNotSafe
from tests.catalog.lakes import WrittenLake, written_lake
from tests.execution.governed import mask
from tests.execution.lakes import locked, plan
from workspaces.models import Workspace

__all__ = ["written_lake"]

pytestmark = pytest.mark.django_db(transaction=True)

TABLES = (
    "CREATE TABLE people (id INTEGER, email VARCHAR, paid INTEGER)",
    "INSERT INTO people SELECT i, 'p' || i || '@x.example', i * 10 FROM range(20) r(i)",
    "CREATE SCHEMA raw",
    "CREATE TABLE raw.planes (id INTEGER)",
    "INSERT INTO raw.planes VALUES (1), (2)",
)
VIEWS = (
    "CREATE VIEW rich AS SELECT id, email FROM people WHERE paid > 100 -- only those",
    "CREATE VIEW named(one, two) AS SELECT id, email FROM lake.main.people",
    "CREATE VIEW nested AS SELECT r.id FROM rich r JOIN named n ON n.one = r.id",
    "CREATE VIEW raw.own AS WITH p AS (FROM planes) SELECT * FROM p",
)
QUERIES = [
    "SELECT * FROM rich ORDER BY id",
    "SELECT x.two FROM named x WHERE one < 3 ORDER BY 1",
    "SELECT named.one FROM lake.main.named ORDER BY 1 LIMIT 2",
    "SELECT count(*) FROM nested, lake.rich",
    "SELECT * FROM lake.raw.own ORDER BY id",
    "WITH rich AS (SELECT 1 AS a) SELECT * FROM rich",
    "SELECT id FROM people WHERE id IN (SELECT id FROM rich) ORDER BY id",
    "DESCRIBE rich",
]


def answer(
    written: WrittenLake, actor: Actor, workspace: Workspace, sql: str
) -> list[tuple[object, ...]]:
    """Return the rows that the plan's slices give."""
    found = plan(actor, workspace, sql)
    with locked(found, written) as con:
        return con.execute(found.query.sql).fetchall()


def test_it_answers_as_the_engine_does_over_its_own_views(
    written_lake: WrittenLake, owner: Actor, workspace: Workspace
) -> None:
    written_lake.run(*TABLES, *VIEWS)
    for sql in QUERIES:
        found = answer(written_lake, owner, workspace, sql)
        assert found == written_lake.run(sql), sql


def test_it_reads_of_the_tables_only_what_the_query_needs(
    written_lake: WrittenLake, owner: Actor, workspace: Workspace
) -> None:
    written_lake.run(*TABLES, *VIEWS)
    found = plan(owner, workspace, "SELECT id FROM rich")
    assert [(scan.table_key, scan.columns) for scan in found.scans] == [
        (written_lake.table("people").key, ("id", "paid"))
    ]


UNSAFE = [
    ("SELECT content FROM read_text('/etc/passwd')", "read_text"),
    ("SELECT 1) AS x, (SELECT 2", "parsed"),
    ("SELECT * FROM lake.main.bad", "reads itself"),
    ("SELECT * FROM other.main.people", "another catalog"),
    ("SELECT getenv('HOME')", "getenv"),
    ("ATTACH 'x' AS y", "SELECT"),
]


def test_it_refuses_stored_views_that_are_not_safe(
    written_lake: WrittenLake, owner: Actor, workspace: Workspace
) -> None:
    written_lake.run(*TABLES, "CREATE VIEW bad AS SELECT 1 AS a")
    for stored, says in UNSAFE:
        store(written_lake, stored)
        with pytest.raises(ViewNotSafe, match=says) as refused:
            plan(owner, workspace, "SELECT * FROM bad")
        assert refused.value.extra["reason_code"] == "view_not_safe"
    store(written_lake, 'SELECT * FROM "/etc/passwd"')
    with pytest.raises(UnknownTable):
        plan(owner, workspace, "SELECT * FROM bad")


def store(written: WrittenLake, sql: str) -> None:
    """Put a text in the place of a view's, as a hostile lake may."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {written.catalog.metadata_schema}.ducklake_view SET sql = %s", [sql]
        )


def test_it_reads_a_view_with_the_rights_of_who_asks(
    written_lake: WrittenLake, owner: Actor, analyst: Actor, workspace: Workspace
) -> None:
    written_lake.run(*TABLES, *VIEWS)
    mask(written_lake, "people", "email")
    sql = "SELECT two FROM named WHERE one = 3"
    assert answer(written_lake, analyst, workspace, sql) == [(None,)]
    assert plan(owner, workspace, sql).tables[0]["view"]["columns"][1][1] is not None


def test_it_bounds_how_deep_views_nest(
    written_lake: WrittenLake, owner: Actor, workspace: Workspace
) -> None:
    written_lake.run(*TABLES, "CREATE VIEW v0 AS SELECT id FROM people")
    written_lake.run(*(f"CREATE VIEW v{n} AS FROM v{n - 1}" for n in range(1, 10)))
    assert answer(written_lake, owner, workspace, "SELECT count(*) FROM v7") == [(20,)]
    with pytest.raises(ViewNotSafe, match="deeper"):
        plan(owner, workspace, "SELECT count(*) FROM v9")
