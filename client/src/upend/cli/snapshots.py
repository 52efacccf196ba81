"""`upend snapshots`: what changed, when and by whom."""

from __future__ import annotations

import json

import click
from rich import box
from rich.table import Table
from rich.text import Text

from upend.cli import options
from upend.cli.screen import OUT
from upend.connection import connect


@click.command(short_help="List the snapshots of a catalog or table.")
@click.argument("name", metavar="CATALOG[.SCHEMA.TABLE]")
@click.option("--limit", type=click.IntRange(1, 200), default=20, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Write them as JSON to stdout.")
@options.server
def snapshots(
    *,
    name: str,
    limit: int,
    as_json: bool,
    url: str | None,
    profile: str | None,
    workspace: str | None,
) -> None:
    """List the newest snapshots of a catalog, or those that touched one table."""
    with connect(url, profile=profile, workspace=workspace) as connection:
        found = connection.past.snapshots(name, limit=limit)
    if as_json:
        click.echo(json.dumps(found, indent=2, ensure_ascii=False))
        return
    table = Table(box=box.SIMPLE_HEAD)
    for column in ("snapshot", "when", "who", "what changed"):
        table.add_column(column, justify="right" if column == "snapshot" else "left")
    for one in found:
        tags = "".join(f" [{tag}]" for tag in one.get("tags", ()))
        table.add_row(
            str(one["snapshot_id"]),
            str(one["snapshot_time"])[:19].replace("T", " "),
            Text(one["author"] or "upend"),
            Text(f"{one.get('words') or one.get('message', '')}{tags}"),
        )
    OUT.print(table)
