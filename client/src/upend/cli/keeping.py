"""What the commands of upkeep share: a dry run, or a run that is followed to its end."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, TypedDict, TypeVar, Unpack

import click
from rich import box
from rich.table import Table

from upend.cli import options
from upend.cli.screen import ERR, OUT, size
from upend.connection import connect
from upend.errors import UsageError
from upend.upkeep import Kept

Command = TypeVar("Command", bound=Callable[..., Any])
PARTS = 3


class Chosen(TypedDict):
    """What the options of every command of upkeep give it."""

    dry_run: bool
    no_wait: bool
    as_json: bool
    url: str | None
    profile: str | None
    workspace: str | None


def of_upkeep(command: Command) -> Command:
    """Add the options of every command of upkeep."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Write what was found as JSON."),
        click.option("--no-wait", is_flag=True, help="Begin it, and do not wait for its end."),
        click.option("--dry-run", is_flag=True, help="Say what it would do, and do nothing."),
        options.server,
    ):
        command = option(command)
    return command


def kept_of(name: str, *, tables: bool = False) -> Kept:
    """Return the catalog, or the table where those are taken, of a name."""
    parts = name.split(".")
    if len(parts) == 1:
        return Kept(name)
    if tables and len(parts) == PARTS:
        return Kept(*parts)
    wanted = "CATALOG or CATALOG.SCHEMA.TABLE" if tables else "CATALOG"
    raise UsageError(f"{name!r} is not {wanted}.", code="invalid-name", hint=f"Name a {wanted}.")


def keep(kept: Kept, kinds: Sequence[str], **chosen: Unpack[Chosen]) -> None:
    """Say what steps of these kinds would do, or take them."""
    with connect(
        url=chosen["url"], profile=chosen["profile"], workspace=chosen["workspace"]
    ) as connection:
        if chosen["dry_run"]:
            steps = connection.upkeep.needed(kept, kinds)
            found: Any = {"steps": steps}
            if "orphans" in kinds:
                found |= connection.upkeep.orphans(kept.catalog)
        else:
            follow = None if chosen["no_wait"] else _say_step
            found = connection.upkeep.run(kept, kinds, follow)
    if chosen["as_json"]:
        click.echo(json.dumps(found, indent=2))
    elif chosen["dry_run"]:
        _show_needed(kept, found)
    else:
        _show_run(kept, found)


def _say_step(run: dict[str, Any]) -> None:
    step = run["step"] or {}
    if ERR.is_terminal:
        ERR.print(f"{step.get('kind', 'waiting')} {step.get('table', '')}", end="\r")


def _show_needed(kept: Kept, found: dict[str, Any]) -> None:
    steps = [step for step in found["steps"] if step["kind"] != "orphans"]
    if steps:
        table = Table(box=box.SIMPLE_HEAD)
        for name in ("step", "table", "why"):
            table.add_column(name)
        table.add_column("rewrites", justify="right")
        for step in steps:
            rewrites = size(step["size_bytes"]) if step["size_bytes"] else ""
            table.add_row(step["kind"], step["table"], step["why"], rewrites)
        OUT.print(table)
    if "orphans" in found:
        count, total = found["orphans"], size(found["orphan_bytes"])
        ERR.print(f"{count:,} objects that nothing names, {total}, would be deleted.")
    if not steps and not found.get("orphans"):
        ERR.print(f"{kept.label} needs nothing of that.")


def _show_run(kept: Kept, run: dict[str, Any]) -> None:
    done = len(run["done"])
    ERR.print(
        f"{kept.label}: {run['state']}, {done} step{'' if done == 1 else 's'},"
        f" {size(run['bytes_written'])} written, {run['files_removed']:,} files deleted."
        f" Run {run['id']}."
    )
