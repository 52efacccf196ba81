"""`upend whoami`: which server, as whom, from which device."""

from __future__ import annotations

import json

import click

from upend.cli import options
from upend.cli.login import person_label
from upend.connection import connect


@click.command(short_help="Show the server, the person and the device in use.")
@click.option("--json", "as_json", is_flag=True, help="Write it as JSON to stdout.")
@options.server
def whoami(*, as_json: bool, url: str | None, profile: str | None, workspace: str | None) -> None:
    """Ask the server who it takes you for."""
    with connect(url, profile=profile, workspace=workspace) as connection:
        person = connection.api.get("/api/v1/me", prove=True)
        facts = {
            "server": connection.profile.url,
            "profile": connection.profile.name,
            "person": person_label(person),
            "device": _device(person.get("device"), has_key=connection.api.device is not None),
            "workspaces": [one["slug"] for one in connection.workspaces()],
        }
    if as_json:
        click.echo(json.dumps(facts, indent=2))
        return
    for name, value in facts.items():
        text = ", ".join(value) if isinstance(value, list) else value
        click.echo(f"{name:<11} {text}")


def _device(device: dict[str, str] | None, *, has_key: bool) -> str:
    if device:
        return f"{device['name']} ({device['status']})"
    return "not enrolled (upend login)" if has_key else "none (upend login enrols this machine)"
