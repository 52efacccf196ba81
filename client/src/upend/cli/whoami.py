"""`upend whoami`: which server, as whom, from which device."""

from __future__ import annotations

import json

import click

from upend.cli import options
from upend.cli.login import person_label
from upend.connection import Connection, connect


@click.command(short_help="Show the server, the person and the device in use.")
@click.option("--json", "as_json", is_flag=True, help="Write it as JSON to stdout.")
@options.server
def whoami(*, as_json: bool, url: str | None, profile: str | None, workspace: str | None) -> None:
    """Ask the server who it takes you for."""
    with connect(url, profile=profile, workspace=workspace) as connection:
        person = connection.api.get("/api/v1/me")
        facts = {
            "server": connection.profile.url,
            "profile": connection.profile.name,
            "person": person_label(person),
            "device": _device(connection),
            "workspaces": [one["slug"] for one in connection.workspaces()],
        }
    if as_json:
        click.echo(json.dumps(facts, indent=2))
        return
    for name, value in facts.items():
        text = ", ".join(value) if isinstance(value, list) else value
        click.echo(f"{name:<11} {text}")


def _device(connection: Connection) -> str:
    if connection.api.device is None:
        return "none (upend login enrols this machine)"
    found = connection.devices()
    key = connection.api.device.thumbprint
    mine = next((one for one in found if one.get("thumbprint") == key), None)
    return f"{mine['name']} ({mine['status']})" if mine else "not enrolled"
