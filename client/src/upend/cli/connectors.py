"""`upend connectors`: what is pulled into catalogs, and how it goes."""

from __future__ import annotations

import json
from typing import Any

import click
from rich import box
from rich.table import Table

from upend.cli import options
from upend.cli.screen import OUT, moment
from upend.connection import connect
from upend.errors import UsageError

NAME_HINT = "upend connectors show flights.orders"


@click.group(
    invoke_without_command=True,
    short_help="List what is pulled into catalogs; run, pause and resume it.",
)
@click.option("--json", "as_json", is_flag=True, help="Write them as JSON to stdout.")
@options.server
@click.pass_context
def connectors(
    context: click.Context,
    /,
    *,
    as_json: bool,
    url: str | None,
    profile: str | None,
    workspace: str | None,
) -> None:
    """List the connectors of the catalogs that you manage."""
    context.obj = {"url": url, "profile": profile, "workspace": workspace}
    if context.invoked_subcommand:
        return
    with connect(**context.obj) as connection:
        found = connection.connectors()
    if as_json:
        click.echo(json.dumps(found, indent=2, ensure_ascii=False))
    else:
        OUT.print(_listing(found))


@connectors.command(short_help="Show one with its last runs.")
@click.argument("name", metavar="CATALOG.CONNECTOR")
@click.option("--json", "as_json", is_flag=True, help="Write it as JSON to stdout.")
@click.pass_obj
def show(servers: dict[str, str | None], name: str, *, as_json: bool) -> None:
    """Show where a connector reads, how far it is, its last runs and files that it left out."""
    with connect(**servers) as connection:
        found = connection.connector(*_parts(name))
    if as_json:
        click.echo(json.dumps(found, indent=2, ensure_ascii=False))
        return
    state = "paused" if found["paused_at"] else f"next run {moment(found['next_run_at'])}"
    OUT.print(f"{_origin(found)} -> {_target(found)}, {found['mode']}, {state}", soft_wrap=True)
    if found["watermark"]:
        OUT.print(f"{found['watermark_column'] or 'state'} {found['watermark']}", soft_wrap=True)
    OUT.print(_runs(found["runs"]))
    for one in found["files"]:
        OUT.print(f"{one['key']}: {one['problem']}", soft_wrap=True, markup=False)


@connectors.command(short_help="Run one now.")
@click.argument("name", metavar="CATALOG.CONNECTOR")
@click.pass_obj
def run(servers: dict[str, str | None], name: str) -> None:
    """Run a connector without waiting for its time; files that it left out are tried again."""
    with connect(**servers) as connection:
        found = connection.run_connector(*_parts(name))
    click.echo(f"{found['name']} runs as soon as a worker is free.", err=True)


def _paused(verb: str, *, is_paused: bool, said: str) -> click.Command:
    @connectors.command(verb, short_help=f"{verb.capitalize()} one.")
    @click.argument("name", metavar="CATALOG.CONNECTOR")
    @click.pass_obj
    def command(servers: dict[str, str | None], name: str) -> None:
        with connect(**servers) as connection:
            found = connection.pause_connector(*_parts(name), is_paused=is_paused)
        click.echo(f"{found['name']} {said}.", err=True)

    command.help = f"{verb.capitalize()} a connector."
    return command


pause = _paused("pause", is_paused=True, said="is paused")
resume = _paused("resume", is_paused=False, said="goes on")


def _parts(name: str) -> tuple[str, str]:
    catalog, _, connector = name.partition(".")
    if not catalog or not connector:
        message = f"{name!r} does not name a connector."
        raise UsageError(message, code="invalid-name", hint=NAME_HINT)
    return catalog, connector


def _listing(found: list[dict[str, Any]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    for title in ("connector", "from", "into", "last run", "rows", "next run"):
        table.add_column(title, justify="right" if title == "rows" else "left")
    for one in found:
        last = one["runs"][0] if one["runs"] else None
        table.add_row(
            f"{one['catalog']}.{one['name']}",
            _origin(one),
            _target(one),
            f"{last['state']} {moment(last['started_at'])}" if last else "none yet",
            f"{last['rows']:,}" if last and last["rows"] is not None else "",
            "paused" if one["paused_at"] else moment(one["next_run_at"]),
        )
    return table


def _runs(runs: list[dict[str, Any]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    for title in ("run", "state", "began", "rows", "says"):
        table.add_column(title, justify="right" if title in {"run", "rows"} else "left")
    for one in runs:
        rows = "" if one["rows"] is None else f"{one['rows']:,}"
        began = moment(one["started_at"])
        table.add_row(str(one["number"]), one["state"], began, rows, one["problem"])
    return table


def _origin(one: dict[str, Any]) -> str:
    source = one["source"]
    if "bucket" in source:
        return f"{one['kind']} {source['bucket']}: {source['path']} {one['source_table']}".strip()
    place = f"{source['host']}:{source['port']}/{source['dbname']}"
    return f"{one['kind']} {place} {one['source_schema']}.{one['source_table']}"


def _target(one: dict[str, Any]) -> str:
    return f"{one['target_schema']}.{one['target_table']}"
