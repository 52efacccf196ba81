"""`upend adopt`: a DuckLake that was made elsewhere becomes a catalog, after a look at it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import click

from upend.adopting import Adopting
from upend.cli import options
from upend.cli.screen import ERR, size
from upend.connection import connect
from upend.errors import Refused, UsageError

DSN = "UPEND_LAKE_DSN"
MARKS = {"blocking": "[red]must be mended[/red]", "note": "[yellow]note[/yellow]"}


@click.command(short_help="Make a DuckLake that was made elsewhere a catalog.")
@click.argument("name")
@click.option(
    "--file",
    type=click.Path(path_type=Path),
    help="The metadata, as a DuckDB or SQLite file on this machine.",
)
@click.option("--key", help="The metadata, as a file in the bucket.")
@click.option(
    "--database", is_flag=True, help=f"The metadata is in PostgreSQL: {DSN}, or asked for."
)
@click.option("--store", type=click.Choice(["duckdb", "sqlite"]), help="What wrote the file.")
@click.option("--schema", default="", help="The schema of its tables; main, or public.")
@click.option("--bucket", default="", help="The connected bucket with the lake's files.")
@click.option("--prefix", default="", help="Below which they lie; as the lake says, without.")
@click.option("--read-only", is_flag=True, help="Others go on writing it; Upend follows.")
@click.option("-y", "--yes", is_flag=True, help="Adopt without asking, if nothing is in the way.")
@click.option("--json", "as_json", is_flag=True, help="Write the adoption as JSON to stdout.")
@options.server
def adopt(
    *,
    name: str,
    file: Path | None,
    key: str | None,
    database: bool,
    store: str | None,
    schema: str,
    bucket: str,
    prefix: str,
    read_only: bool,
    yes: bool,
    as_json: bool,
    url: str | None,
    profile: str | None,
    workspace: str | None,
) -> None:
    """Have a lake read and checked, show what was found, and make it the catalog NAME.

    Nothing is adopted before you say yes. Its files stay where they are.
    """
    asked = _source(file, key, database=database, store=store) | {
        "name": name,
        "mode": "read_only" if read_only else "managed",
        "source_schema": schema,
        "bucket": bucket,
        "prefix": prefix,
    }
    with connect(url, profile=profile, workspace=workspace) as connection:
        with ERR.status("asking") as status:
            adopting = Adopting(
                connection.api,
                connection.workspace,
                lambda one: status.update(f"{one['state']} · {_rows(one):,} rows of metadata"),
            )
            adoption = adopting.ask(asked, file)
        _show(adoption)
        if not adoption["report"]["is_adoptable"]:
            raise Refused(
                "The lake cannot be adopted as it is; nothing was changed.",
                code="lake-not-adoptable",
                hint="Mend what is said above, then ask again.",
            )
        if not yes and not click.confirm(f"Adopt it as {name}?", err=True):
            adopting.cancel(adoption)
            raise click.Abort
        with ERR.status("adopting"):
            adoption = adopting.confirm(adoption)
    if as_json:
        click.echo(json.dumps(adoption, indent=2, ensure_ascii=False))
    else:
        ERR.print(f"{name} is a catalog now.", highlight=False)


def _source(
    file: Path | None, key: str | None, *, database: bool, store: str | None
) -> dict[str, str]:
    """Return the fields that say where the metadata is. Raises `UsageError` unless one does."""
    if sum((file is not None, key is not None, database)) != 1:
        raise UsageError(
            "Say where the lake's metadata is.",
            code="no-source",
            hint="Give one of --file FILE, --key KEY or --database.",
        )
    if database:
        dsn = os.environ.get(DSN) or click.prompt("DSN", hide_input=True, err=True)
        return {"metadata_store": "postgresql", "dsn": dsn}
    if key is not None:
        return {"metadata_store": store or "duckdb", "metadata_key": key}
    return {"metadata_store": store} if store else {}


def _rows(adoption: dict[str, Any]) -> int:
    return int((adoption["progress"] or {}).get("rows", 0))


def _show(adoption: dict[str, Any]) -> None:
    """Show what is in the lake, and what was found."""
    report = adoption["report"]
    ERR.print(
        f"{report['tables']:,} tables, {report['views']:,} views,"
        f" {report['snapshots']:,} snapshots, {report['files']:,} files,"
        f" {size(report['bytes'])}, {report['rows']:,} rows",
        highlight=False,
    )
    for one in report["findings"]:
        ERR.print(f"  {MARKS.get(one['severity'], one['severity'])}", end=" ")
        ERR.print(f"{one['detail']} {one['hint']}", highlight=False, markup=False)
