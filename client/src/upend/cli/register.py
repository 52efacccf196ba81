"""`upend register`: Parquet files that lie in the bucket become part of a table."""

from __future__ import annotations

import json

import click

from upend.cli import options
from upend.cli.load import WORDS
from upend.cli.screen import ERR
from upend.connection import connect


@click.command(short_help="Make Parquet files in the bucket part of a table, without copying.")
@click.argument("table", metavar="CATALOG.SCHEMA.TABLE")
@click.argument("prefix")
@click.argument("files", nargs=-1, metavar="[FILE]...")
@click.option("--create", is_flag=True, help="Make the table, with the first file's columns.")
@click.option("--allow-missing", is_flag=True, help="Columns that a file lacks are NULL.")
@click.option("--ignore-extra", is_flag=True, help="Leave out columns that the table lacks.")
@click.option("--skip-registered", is_flag=True, help="Pass over files that are in the table.")
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
    as_json: bool,
    url: str | None,
    profile: str | None,
    workspace: str | None,
) -> None:
    """Register the FILEs below PREFIX, or every .parquet file there: all or, if one fits not, none.

    They stay where they are in the catalog's bucket; Upend reads them, and never changes them.
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
            on_state=lambda state, _: status.update(WORDS.get(state, state)),
        )
    if as_json:
        click.echo(json.dumps(job, indent=2, ensure_ascii=False))
        return
    result = job["result"] or {}
    told = f"{result.get('files', 0):,} files with {result.get('rows') or 0:,} rows"
    ERR.print(f"{told} in {table}, snapshot {result.get('snapshot_id')}.", highlight=False)
