"""`upend load`: a file becomes a table, or more rows of one."""

from __future__ import annotations

import json
from pathlib import Path

import click
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from upend.cli import options
from upend.cli.screen import ERR, size
from upend.connection import connect
from upend.errors import UsageError
from upend.loading import LoadStep

WORDS = {
    "queued": "waiting for the catalog's writer",
    "running": "writing",
    "succeeded": "committed",
}


@click.command(short_help="Load a file into a table.")
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("table", metavar="CATALOG.SCHEMA.TABLE")
@click.option("--append", is_flag=True, help="Append to a table that is there.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["csv", "json", "parquet"]),
    help="The file's format, where its name does not tell.",
)
@click.option(
    "--type",
    "types",
    multiple=True,
    metavar="COLUMN=TYPE",
    help="The type of a column of a new table; may be repeated.",
)
@click.option("--json", "as_json", is_flag=True, help="Write the commit as JSON to stdout.")
@click.option("-q", "--quiet", is_flag=True, help="Show no progress.")
@options.server
def load(
    *,
    file: Path,
    table: str,
    append: bool,
    form: str | None,
    types: tuple[str, ...],
    as_json: bool,
    quiet: bool,
    url: str | None,
    profile: str | None,
    workspace: str | None,
) -> None:
    """Load FILE into a table: all its rows or, where one does not fit, none.

    It goes part by part straight to the storage; what is interrupted goes on where it stopped.
    """
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TimeElapsedColumn(),
        console=ERR,
        transient=True,
        disable=quiet or not ERR.is_terminal,
    )
    task = bar.add_task("asking", total=None)

    def show(step: LoadStep) -> None:
        if step.state == "sending":
            words = f"sending · {size(step.sent)} of {size(step.size)}"
            bar.update(task, description=words, total=step.size, completed=step.sent)
        else:
            words = WORDS.get(step.state, step.state)
            bar.update(task, description=words, total=100, completed=step.percent or 0)

    with connect(url, profile=profile, workspace=workspace) as connection, bar:
        job = connection.load(
            file,
            table,
            mode="append" if append else "create",
            format=form or "",
            types=_types(types),
            on_step=show,
        )
    result = job["result"] or {}
    if as_json:
        click.echo(json.dumps(job, indent=2, ensure_ascii=False))
    else:
        rows = f"{result['rows']:,} rows" if result.get("rows") is not None else "Loaded"
        ERR.print(f"{rows} in {table}, snapshot {result['snapshot_id']}.", highlight=False)


def _types(pairs: tuple[str, ...]) -> dict[str, str]:
    """Return the types by column of `amount=DECIMAL(9,2)` pairs."""
    found: dict[str, str] = {}
    for pair in pairs:
        name, _, kind = pair.partition("=")
        if not name or not kind:
            raise UsageError(
                f"{pair!r} names no column with its type.",
                code="invalid-type",
                hint="Write it as COLUMN=TYPE, such as --type amount='DECIMAL(9,2)'.",
            )
        found[name] = kind
    return found
