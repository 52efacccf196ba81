"""`upend register`: Parquet files that lie in the bucket become part of a table."""

from __future__ import annotations

import json
from typing import Any

import click
from rich import box
from rich.table import Table
from rich.text import Text

from upend.cli import options
from upend.cli.load import WORDS
from upend.cli.screen import ERR, OUT, size
from upend.connection import connect
from upend.errors import QueryFailed


@click.command(short_help="Make Parquet files in the bucket part of a table, without copying.")
@click.argument("table", metavar="CATALOG.SCHEMA.TABLE")
@click.argument("prefix")
@click.argument("files", nargs=-1, metavar="[FILE]...")
@click.option("--create", is_flag=True, help="Make the table, with the first file's columns.")
@click.option("--allow-missing", is_flag=True, help="Columns that a file lacks are NULL.")
@click.option("--ignore-extra", is_flag=True, help="Leave out columns that the table lacks.")
@click.option("--skip-registered", is_flag=True, help="Pass over files that are in the table.")
@click.option("--dry-run", is_flag=True, help="Only say which files, and which do not fit.")
@click.option("--json", "as_json", is_flag=True, help="Write the commit as JSON to stdout.")
@options.server
def register(
    *,
    table: str,
    prefix: str,
    files: tuple[str, ...],
    create: bool,
    allow_missing: bool,
    ignore_extra: bool,
    skip_registered: bool,
    dry_run: bool,
    as_json: bool,
    url: str | None,
    profile: str | None,
    workspace: str | None,
) -> None:
    """Register the FILEs below PREFIX, or every .parquet file there: all or, if one fits not, none.

    They stay where they are in the catalog's bucket; Upend reads them, and never changes them. A
    dry run reads their footers; it fails where a file does not fit, as registering would.
    """
    with (
        connect(url, profile=profile, workspace=workspace) as connection,
        ERR.status("asking") as status,
    ):
        job = connection.register(
            table,
            prefix,
            files,
            mode="create" if create else "append",
            allow_missing=allow_missing,
            ignore_extra=ignore_extra,
            skip_registered=skip_registered,
            dry_run=dry_run,
            on_state=lambda state, _: status.update(WORDS.get(state, state)),
        )
    if as_json:
        click.echo(json.dumps(job, indent=2, ensure_ascii=False))
    elif dry_run:
        _show(job)
    else:
        _tell(job, table)
    if dry_run and job["misfits"]:
        raise _refused(job)


def _tell(job: dict[str, Any], table: str) -> None:
    result = job["result"] or {}
    told = f"{result.get('files', 0):,} files with {result.get('rows') or 0:,} rows"
    ERR.print(f"{told} in {table}, snapshot {result.get('snapshot_id')}.", highlight=False)


def _show(found: dict[str, Any]) -> None:
    """Print the files of a dry run, each with its rows or why it does not fit."""
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("file")
    table.add_column("size", justify="right")
    table.add_column("rows", justify="right")
    table.add_column("does not fit")
    for one in found["files"]:
        rows = "" if one["rows"] is None else f"{one['rows']:,}"
        table.add_row(Text(one["name"]), size(one["size_bytes"]), rows, Text(one["problem"]))
    OUT.print(table)
    count = len(found["files"])
    told = (
        f"{count:,} file{'s' * (count != 1)}, {size(found['size_bytes'])}, {found['rows']:,} rows"
    )
    left = (
        f" in those that were opened; {found['unopened']:,} were not" if found["unopened"] else ""
    )
    passed = f" {found['skipped']:,} are in the table already." if found["skipped"] else ""
    ERR.print(f"{told}{left}.{passed}", highlight=False)


def _refused(found: dict[str, Any]) -> QueryFailed:
    """Return what registering the files would end with."""
    return QueryFailed(
        f"{found['misfits']:,} of {len(found['files']):,} files do not fit the table.",
        code="files-do-not-fit",
        hint="None would be registered. Leave them out, or write them anew.",
    )
