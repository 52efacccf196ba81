"""`upend query`: run a SELECT and show, or write, its rows."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from upend.cli import formats, options, screen
from upend.cli.progress import ProgressLine
from upend.connection import connect
from upend.result import Result

FILE = click.Path(dir_okay=False, writable=True, path_type=Path)


@click.command(short_help="Run a SELECT, on the server or on this machine.")
@options.request
@click.option("--json", "form", flag_value="json", help="Write rows as JSON, exact, to stdout.")
@click.option("--csv", "form", flag_value="csv", help="Write rows as CSV to stdout.")
@click.option("--parquet", type=FILE, help="Write rows to a Parquet file.")
@click.option("--arrow", type=FILE, help="Write rows to an Arrow IPC file.")
@click.option("--limit", type=click.IntRange(0), help="Show or write at most this many rows.")
@click.option(
    "--timeout", type=click.FloatRange(0, min_open=True), help="Cancel after this many seconds."
)
@click.option(
    "--cache/--no-cache",
    default=True,
    help="Take the rows of an equal query where the server has them, or run it anew.",
)
@click.option("-q", "--quiet", is_flag=True, help="No progress and no summary on stderr.")
@options.server
def query(
    *,
    sql: str | None,
    file: Path | None,
    on: str,
    catalog: str | None,
    snapshots: tuple[str, ...],
    purpose: str,
    form: str | None,
    parquet: Path | None,
    arrow: Path | None,
    limit: int | None,
    timeout: float | None,
    cache: bool,
    quiet: bool,
    url: str | None,
    profile: str | None,
    workspace: str | None,
) -> None:
    """Run SQL (one SELECT), given as an argument, with -f, or on standard input.

    Ctrl-C cancels the query, on the server too. Progress and the summary go to stderr: stdout
    holds nothing but rows.
    """
    text = options.sql_text(sql, file)
    with (
        connect(url, profile=profile, workspace=workspace) as connection,
        ProgressLine(quiet=quiet) as progress,
    ):
        result = connection.sql(
            text,
            on=on,
            catalog=catalog,
            snapshots=options.snapshot_ids(snapshots),
            timeout=timeout,
            cache=cache,
            purpose=purpose,
            on_progress=progress.show,
        )
    rows = len(result)
    shown = result if limit is None else result.head(limit)
    _write(shown, form, parquet, arrow)
    if not quiet:
        screen.summarize(result, rows)


def _write(result: Result, form: str | None, parquet: Path | None, arrow: Path | None) -> None:
    if parquet:
        formats.write_parquet(result, parquet)
    if arrow:
        formats.write_arrow(result, arrow)
    if form == "json":
        formats.write_json(result, sys.stdout)
    elif form == "csv":
        formats.write_csv(result, sys.stdout)
    elif not parquet and not arrow:
        screen.show_rows(result)
