"""A workspace with lakes written by plain DuckDB, and what a plan's slices show of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

import duckdb

from accounts.domain import Actor
from catalog.models import Catalog
from execution import planning, slices
from execution.domain import Plan
from tests.catalog.lakes import WrittenLake
from upend import slices as engine
from workspaces.models import Workspace


def plan(actor: Actor, workspace: Workspace, sql: str, **options: object) -> Plan:
    """Return the plan of `sql`."""
    return planning.plan(actor=actor, workspace=workspace, sql=sql, **options)  # type: ignore[arg-type]


def built(plan: Plan, *lakes: WrittenLake) -> slices.Built:
    """Return the slices of a plan, from its record as a worker would read it back."""
    record = json.loads(json.dumps(planning.execution_record(plan)))
    directories = {lake.catalog.id: lake for lake in lakes}

    def locate(file: slices.SliceFile) -> str:
        lake = directories[file.catalog_id]
        return f"{lake.directory}/{file.key.removeprefix(lake.catalog.prefix)}"

    return slices.build(record, locate=locate)


@contextmanager
def locked(plan: Plan, *lakes: WrittenLake) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a locked engine that holds the slices of `plan` and nothing else."""
    found = built(plan, *lakes)
    json.dumps(found.slices)
    con = engine.connect(memory_bytes=2**30, threads=2)
    engine.attach(con, found.slices, plan.search_path)
    engine.lock(con, engine.paths(found.slices))
    yield con
    con.close()


def answer(con: duckdb.DuckDBPyConnection, sql: str) -> tuple[list[str], list[tuple[object, ...]]]:
    """Return the columns with their types, and the rows as text."""
    description = con.execute(sql).description or []
    columns = [f"{name} {kind}" for name, kind, *_ in description]
    text = con.execute(f"SELECT COLUMNS(*)::VARCHAR FROM ({sql.rstrip().rstrip(';')})").fetchall()
    return columns, text


def make_catalog(workspace: Workspace, name: str, like: Catalog) -> Catalog:
    """Create a second catalog that reads the same metadata as `like`, under another name."""
    return Catalog.objects.create(
        workspace=workspace,
        bucket=like.bucket,
        name=name,
        metadata_schema=f"{like.metadata_schema}_{name}",
        prefix=f"{like.prefix}{name}/",
    )
