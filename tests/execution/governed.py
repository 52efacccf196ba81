"""Policies that hold in a workspace, and queries over governed tables from submission to rows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.db.models import F

from accounts import services as accounts
from accounts.domain import Actor
from accounts.models import Device
from accounts.selectors import actor_for_user
from catalog import storage
from execution import services
from execution.domain import RequestedPlace
from execution.models import Query
from execution.services import FileRequest
from governance.domain import PolicyKind, Securable, VersionState
from governance.models import Policy, PolicySet, PolicyVersion
from tests.cast import Cast
from tests.catalog.lakes import WrittenLake
from upend import jose, slices
from upend.device import DeviceKey
from workspaces.models import Workspace

Json = dict[str, Any]


@dataclass
class Laptop:
    """An approved device of a person, and the person acting on it."""

    key: DeviceKey
    device: Device
    actor: Actor


def laptop_of(cast: Cast, name: str) -> Laptop:
    """Enrol and approve a device of one of the cast."""
    key = DeviceKey(Ed25519PrivateKey.generate())
    device = accounts.enroll_device(
        actor=cast.actor(name), name=f"{name}'s laptop", public_jwk=key.public_jwk
    )
    if device.identity.is_approved is False:
        device = accounts.approve_device(actor=cast.actor("owner"), device=device)
    return Laptop(key, device, actor_for_user(cast.users[name], device=device.identity))


def publish(
    workspace: Workspace, name: str, kind: PolicyKind, scope: Securable, compiled: Json
) -> Policy:
    """Make a policy hold, as rows: what a check of its text would have compiled."""
    policy = Policy.objects.create(
        workspace=workspace, name=name, kind=kind, scope_key=scope.key, scope_label=scope.label
    )
    PolicyVersion.objects.create(
        policy=policy, number=1, state=VersionState.PUBLISHED, text="-", compiled=compiled,
        summary=f"The summary of {name}.",
    )  # fmt: skip
    changed(workspace)
    return policy


def changed(workspace: Workspace) -> None:
    """Say that what holds in the workspace is another."""
    PolicySet.objects.get_or_create(workspace=workspace)
    PolicySet.objects.filter(workspace=workspace).update(version=F("version") + 1)


def mask(
    lake: WrittenLake, table: str, column: str, *, spared: Sequence[Any] = (), **how: Any
) -> Policy:
    """Mask a column of a table for all but the spared; without more, by null."""
    found = table_of(lake, table)
    (key,) = [c.key for c in found.columns if c.name == column]
    compiled = {
        "columns": [{"name": column, "keys": [key]}],
        "tags": [],
        "mask": {"method": "null", **how},
        "except": list(spared),
    }
    return publish(
        lake.catalog.workspace, f"mask-{column.replace('.', '-')}", PolicyKind.MASK, found, compiled
    )


def row_filter(lake: WrittenLake, table: str, *template: Any, spared: Sequence[Any] = ()) -> Policy:
    """Filter the rows of a table for all but the spared."""
    compiled = {"template": list(template), "except": list(spared)}
    scope = table_of(lake, table)
    return publish(lake.catalog.workspace, "filter-rows", PolicyKind.ROW_FILTER, scope, compiled)


def table_of(lake: WrittenLake, table: str) -> Securable:
    """Return a table as policies name it."""
    return lake.table(table).securable(lake.catalog.securable)


def in_storage(lake: WrittenLake) -> None:
    """Put the lake's files where its catalog says they are."""
    for path in lake.directory.rglob("*.parquet"):
        key = f"{lake.catalog.prefix}{path.relative_to(lake.directory)}"
        storage.of_catalog(lake.catalog).put_bytes(key, path.read_bytes())


def ask(
    actor: Actor, workspace: Workspace, sql: str, on: str = "local", default_catalog: str = ""
) -> Query:
    """Submit a query."""
    asked = services.submit_query(
        actor=actor,
        workspace=workspace,
        sql=sql,
        requested=RequestedPlace(on),
        default_catalog=default_catalog,
        reuse=False,
    )
    return asked.query


def on_server(
    actor: Actor, workspace: Workspace, sql: str, default_catalog: str = ""
) -> list[list[Any]]:
    """Run a query on the server and return its rows as text."""
    text = f"SELECT COLUMNS(*)::VARCHAR FROM ({sql})"
    query = ask(actor, workspace, text, on="server", default_catalog=default_catalog)
    services.run_query(query.id, worker="test")
    query.refresh_from_db()
    assert query.problem is None, query.problem
    return services.read_page(actor=actor, query=query).rows


def on_device(
    laptop: Laptop, workspace: Workspace, sql: str, default_catalog: str = ""
) -> list[list[Any]]:
    """Run a query on the device, preparing its extracts, and return its rows as text."""
    text = f"SELECT COLUMNS(*)::VARCHAR FROM ({sql})"
    query = ask(laptop.actor, workspace, text, default_catalog=default_catalog)
    services.write_extracts("test")
    query.refresh_from_db()
    assert query.problem is None, query.problem
    return rows_of(laptop, query)


def rows_of(laptop: Laptop, query: Query) -> list[list[Any]]:
    """Run a delegated query as a device does, from its manifest."""
    body = manifest_of(laptop, query)
    found = located(body)
    con = slices.connect(memory_bytes=2**29, threads=2)
    slices.attach(con, found, body["query"]["search_path"])
    slices.lock(con, slices.paths(found))
    try:
        return [list(row) for row in con.execute(body["query"]["sql"]).fetchall()]
    finally:
        con.close()


def manifest_of(laptop: Laptop, query: Query) -> Json:
    """Return Upend's claims of the manifest of a delegated query."""
    text = services.issue_grant(actor=laptop.actor, query=query)
    claims: Json = json.loads(jose.decode(text.split(".")[1]))
    return dict(claims["upend"])


def located(body: Json) -> list[Json]:
    """Return the slices of a manifest with the addresses that its files redirect to."""
    return [
        one | {"files": [f | {"path": address_of(body, f["path"])} for f in one["files"]]}
        for one in body["slices"]
    ]


def address_of(body: Json, path: str) -> str:
    """Ask for one file of a grant as a device does; return where it lies."""
    grant_id, _, ordinal = path.rpartition("/files/")[2].partition("/")
    bearer = body["files"]["bearer"]
    return services.authorize_file(FileRequest(UUID(grant_id), int(ordinal), bearer))
