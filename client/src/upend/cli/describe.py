"""`upend describe`: what one table is."""

from __future__ import annotations

import json

import click
from rich import box
from rich.table import Table
from rich.text import Text

from upend.cli import options
from upend.cli.screen import OUT, size
from upend.connection import connect
from upend.loading import Target


@click.command(short_help="Show one table: its columns, keys, size and comment.")
@click.argument("name", metavar="CATALOG.SCHEMA.TABLE")
@click.option("--json", "as_json", is_flag=True, help="Write it as JSON to stdout.")
@options.server
def describe(
    *,
    name: str,
    as_json: bool,
    url: str | None,
    profile: str | None,
    workspace: str | None,
) -> None:
    """Show a table as it is now: what policies hide from you is not told."""
    target = Target.of(name)
    with connect(url, profile=profile, workspace=workspace) as connection:
        found = connection.table(target.catalog, target.schema, target.table)
    if as_json:
        click.echo(json.dumps(found, indent=2, ensure_ascii=False))
        return
    OUT.print(
        f"{found['sql_name']}: {found['record_count']:,} rows, {found['file_count']:,} files,"
        f" {size(found['file_size_bytes'])}, snapshot {found['snapshot']['snapshot_id']}",
        highlight=False,
    )
    for what, text in (
        ("comment", found["comment"]),
        ("tags", ", ".join(found["tags"])),
        ("partitioned by", ", ".join(found["partition_by"])),
        ("sorted by", ", ".join(found["sort_by"])),
    ):
        if text:
            OUT.print(Text(f"{what}: {text}"))
    table = Table(box=box.SIMPLE_HEAD)
    for column in ("column", "type", "nulls", "comment"):
        table.add_column(column)
    for one in found["columns"]:
        nulls = "" if one.get("nulls_allowed", True) else "never"
        table.add_row(Text(one["name"]), Text(one["type"]), nulls, Text(one.get("comment") or ""))
    OUT.print(table)
