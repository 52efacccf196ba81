"""Options that several commands share, spelled once."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from upend.errors import UsageError

Command = TypeVar("Command", bound=Callable[..., Any])


def server(command: Command) -> Command:
    """Add what names the server and the workspace."""
    for option in (
        click.option("-w", "--workspace", help="The workspace, where you have several."),
        click.option("--profile", help="The profile of an earlier login."),
        click.option("--url", help="The server's address."),
    ):
        command = option(command)
    return command


def request(command: Command) -> Command:
    """Add what makes up a query: its text, place, catalog, snapshots and purpose."""
    for decorate in (
        click.option("--purpose", default="", help="What it is for; recorded with the query."),
        click.option(
            "--snapshot",
            "snapshots",
            multiple=True,
            metavar="CATALOG=ID",
            help="Read a catalog as of a snapshot; may be repeated.",
        ),
        click.option("--catalog", help="Where names without a catalog are looked up."),
        click.option(
            "--on",
            type=click.Choice(["auto", "server", "local"]),
            default="auto",
            show_default=True,
            help="Where to run.",
        ),
        click.option(
            "-f",
            "--file",
            type=click.Path(exists=True, dir_okay=False, path_type=Path),
            help="Read the SQL from a file.",
        ),
        click.argument("sql", required=False),
    ):
        command = decorate(command)
    return command


def sql_text(sql: str | None, file: Path | None) -> str:
    """Return the SQL: from the argument, the file, or standard input."""
    if sql is not None and file:
        raise UsageError(
            "Give the SQL either as an argument or as a file.", code="two-queries", hint=""
        )
    if file:
        return file.read_text(encoding="utf-8")
    if sql is not None and sql != "-":
        return sql
    if sys.stdin.isatty() and sql != "-":
        raise UsageError(
            "There is no SQL to run.",
            code="empty-query",
            hint='upend query "SELECT 1", or -f FILE, or on standard input.',
        )
    return sys.stdin.read()


def snapshot_ids(pairs: tuple[str, ...]) -> dict[str, int]:
    """Return the snapshots by catalog from `flights=42` pairs."""
    found: dict[str, int] = {}
    for pair in pairs:
        name, _, number = pair.rpartition("=")
        if not name or not number.isdigit():
            raise UsageError(
                f"{pair!r} does not name a snapshot.",
                code="invalid-snapshot",
                hint="Give it as CATALOG=ID, such as --snapshot flights=42.",
            )
        found[name] = int(number)
    return found
