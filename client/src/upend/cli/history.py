"""`upend history`: what ran lately, where, and how it ended."""

from __future__ import annotations

import json

import click
from rich import box
from rich.table import Table
from rich.text import Text

from upend.cli import options
from upend.cli.screen import COLOURS, OUT, size
from upend.connection import connect

TEXT_SHOWN = 60


@click.command(short_help="List your latest queries.")
@click.option("--limit", type=click.IntRange(1, 200), default=20, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Write them as JSON to stdout.")
@options.server
def history(
    *, limit: int, as_json: bool, url: str | None, profile: str | None, workspace: str | None
) -> None:
    """List the newest queries of the workspace that you may see."""
    with connect(url, profile=profile, workspace=workspace) as connection:
        found = connection.runner.history(limit)
    if as_json:
        click.echo(json.dumps(found, indent=2, ensure_ascii=False))
        return
    table = Table(box=box.SIMPLE_HEAD)
    for name in ("started", "place", "state", "rows", "fetched", "sql"):
        table.add_column(name, justify="right" if name in {"rows", "fetched"} else "left")
    for one in found:
        table.add_row(
            str(one["created_at"])[:19].replace("T", " "),
            Text(one["place"], style=COLOURS.get(one["place"], "")),
            one["state"],
            "" if one.get("row_count") is None else f"{one['row_count']:,}",
            "" if one.get("bytes_read") is None else size(one["bytes_read"]),
            Text(" ".join(one["sql"].split())[:TEXT_SHOWN]),
        )
    OUT.print(table)
