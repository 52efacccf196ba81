"""`upend connectors` against the real API: looked at, run, paused and resumed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from django.utils import timezone
from pytest_django.live_server_helper import LiveServer

from accounts.domain import Scope
from catalog import services as catalogs
from catalog.connectors.sources import GivenSource
from catalog.domain import ConnectorKind
from catalog.models import Connector, ConnectorRun
from catalog.services import connectors
from tests.cast import Cast
from tests.customer import CustomerStorage
from upend import cli

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def at_server(  # noqa: PLR0917 - pytest passes fixtures by name
    cast: Cast,
    customer_storage: CustomerStorage,
    bearer: Callable[..., dict[str, str]],
    live_server: LiveServer,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Connector:
    """Make a connector that ran once, and let the command line find the server."""
    owner = cast.actor("owner")
    catalog = catalogs.create_catalog(actor=owner, workspace=cast.workspace, name="flights")
    catalogs.run_jobs(catalog.id)
    bucket = customer_storage.connect(owner, cast.workspace, prefix="")
    made = connectors.create_connector(
        actor=owner,
        catalog=catalog,
        name="daily orders",
        source=GivenSource(ConnectorKind.PARQUET, bucket=bucket, path="out/"),
        target_schema="main",
        target_table="orders",
        interval_seconds=3600,
    )
    ConnectorRun.objects.create(
        connector=made, number=1, state="succeeded", rows=1234, problem="out/b was left out.",
        finished_at=timezone.now(),
    )  # fmt: skip
    scopes = (Scope.CATALOG_READ, Scope.CATALOG_WRITE)
    token = bearer(owner, *scopes)["Authorization"].removeprefix("Bearer ")
    monkeypatch.setenv("UPEND_URL", live_server.url)
    monkeypatch.setenv("UPEND_TOKEN", token)
    monkeypatch.setenv("UPEND_WORKSPACE", cast.workspace.slug)
    monkeypatch.setenv("UPEND_CONFIG_DIR", str(tmp_path))
    return made


def test_it_lists_shows_runs_pauses_and_resumes(
    at_server: Connector, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "flights.daily orders"
    assert cli.run(["connectors"]) == 0
    listed = capsys.readouterr().out
    for told in (name, "Theirs: out/**/*.parquet", "main.orders", "1,234"):
        assert told in listed
    assert cli.run(["connectors", "--json"]) == 0
    [one] = json.loads(capsys.readouterr().out)
    assert (one["catalog"], one["kind"]) == ("flights", "parquet")
    assert cli.run(["connectors", "show", name]) == 0
    assert "out/b was left out." in capsys.readouterr().out
    for verb, said in (("pause", "is paused"), ("resume", "goes on"), ("run", "worker is free")):
        assert cli.run(["connectors", verb, name]) == 0
        assert said in capsys.readouterr().err
        at_server.refresh_from_db()
        assert bool(at_server.paused_at) is (verb == "pause")
    assert cli.run(["connectors", "run", "flights.none"]) == 3
    assert "no connector 'none'" in capsys.readouterr().err
    assert cli.run(["connectors", "show", "flights"]) == 2
