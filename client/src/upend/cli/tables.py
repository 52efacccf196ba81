"""`upend tables`: what there is to query."""

from __future__ import annotations

import json
from typing import Any

import click
from rich import box
from rich.table import Table

from upend.cli import options
from upend.cli.screen import OUT, size
from upend.connection import connect
from upend.errors import UsageError

PARTS = 3


@click.command(short_help="List the tables you may see, or the columns of one.")
@click.argument("name", required=False, metavar="[CATALOG[.SCHEMA.TABLE]]")
@click.option("--json", "as_json", is_flag=True, help="Write them as JSON to stdout.")
@options.server
def tables(
    *,
    name: str | None,
    as_json: bool,
    url: str | None,
    profile: str | None,
    workspace: str | None,
) -> None:
    """List tables with their sizes; with CATALOG only its own, with a full name its columns."""
    parts = name.split(".") if name else []
    if len(parts) not in {0, 1, PARTS}:
        raise UsageError(
            f"{name!r} names neither a catalog nor a table.",
            code="invalid-name",
            hint="upend tables flights, or upend tables flights.main.airports",
        )
    with connect(url, profile=profile, workspace=workspace) as connection:
        if len(parts) == PARTS:
            found: Any = connection.table(*parts)
        else:
            found = connection.tables(parts[0] if parts else None)
    if as_json:
        click.echo(json.dumps(found, indent=2, ensure_ascii=False))
    else:
        OUT.print(_columns(found) if len(parts) == PARTS else _listing(found))


def _listing(found: list[dict[str, Any]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("table")
    table.add_column("rows", justify="right")
    table.add_column("size", justify="right")
    table.add_column("tags")
    for one in found:
        rows = one["record_count"]
        table.add_row(
            one["sql_name"],
            f"{rows:,}",
            size(one["file_size_bytes"]),
            ", ".join(one["tags"]),
        )
    return table


def _columns(one: dict[str, Any]) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("column")
    table.add_column("type")
    for column in one["columns"]:
        table.add_row(column["name"], column["type"])
    return table
