"""The reference page of the command line, written from the commands themselves."""

from __future__ import annotations

from collections.abc import Iterator

import click

from upend.cli import EXIT_CODES
from upend.cli.group import cli

WIDTH = 88
STREAMS = """\
Rows go to stdout, everything else to stderr. With `--json` and `--csv` stdout holds nothing but \
the rows; DECIMAL, HUGEINT and integers beyond 2^53 are strings in JSON."""
ENVIRONMENT = {
    "UPEND_CONFIG_DIR": "Folder of profiles, credentials and device keys, instead of the system's.",
    "UPEND_MEMORY": "Memory that local runs count on, such as `2GB`, instead of the machine's; "
    "a run uses at most 70% of it.",
    "UPEND_TOKEN": "Bearer token, instead of the login's; for jobs and notebooks.",
    "UPEND_URL": "Server, instead of the default profile's.",
    "UPEND_WORKSPACE": "Workspace, instead of the profile's.",
}


def page() -> str:
    """Return docs/reference/cli.md."""
    context = click.Context(cli, info_name="upend", terminal_width=WIDTH, max_content_width=WIDTH)
    parts = [
        "# Command line",
        "Written from the commands by `make schema`. `pip install ./client` brings `upend`.",
        STREAMS,
        "## Exit codes",
        _table("code", "meaning", {str(code): text for code, text in EXIT_CODES.items()}),
        "## Environment",
        _table("variable", "meaning", ENVIRONMENT),
    ]
    for path, text in _helps(cli, context):
        parts += [f"## {path}", f"```text\n{text}\n```"]
    return "\n\n".join(parts) + "\n"


def _helps(command: click.Command, context: click.Context) -> Iterator[tuple[str, str]]:
    yield context.command_path, command.get_help(context)
    if not isinstance(command, click.Group):
        return
    for name in command.list_commands(context):
        child = command.get_command(context, name)
        if child is not None:
            nested = click.Context(child, parent=context, info_name=name)
            nested.terminal_width = nested.max_content_width = WIDTH
            yield from _helps(child, nested)


def _table(first: str, second: str, rows: dict[str, str]) -> str:
    lines = [f"| {first} | {second} |", "|---|---|"]
    return "\n".join([*lines, *(f"| `{name}` | {text} |" for name, text in rows.items())])
