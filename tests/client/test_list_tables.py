"""`upend tables` against the real API: what it prints is what the server says."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from pytest_django.live_server_helper import LiveServer

from accounts.domain import Actor, Scope
from catalog import services as catalogs
from upend import cli
from workspaces.models import Workspace

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def at_server(  # noqa: PLR0917 - pytest passes fixtures by name
    workspace: Workspace,
    owner: Actor,
    signed_in: Callable[[Actor], Client],
    bearer: Callable[..., dict[str, str]],
    live_server: LiveServer,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Load one table and let the command line find the server."""
    catalog = catalogs.create_catalog(actor=owner, workspace=workspace, name="flights")
    catalogs.run_jobs(catalog.id)
    form = {"table": "t", "file": SimpleUploadedFile("my.csv", b"a,b\n1,x\n2,y\n")}
    signed_in(owner).post("/api/v1/workspaces/flight-ops/catalogs/flights/uploads", form)
    catalogs.run_jobs(catalog.id)
    token = bearer(owner, Scope.CATALOG_READ)["Authorization"].removeprefix("Bearer ")
    monkeypatch.setenv("UPEND_URL", live_server.url)
    monkeypatch.setenv("UPEND_TOKEN", token)
    monkeypatch.setenv("UPEND_WORKSPACE", workspace.slug)
    monkeypatch.setenv("UPEND_CONFIG_DIR", str(tmp_path))


@pytest.mark.usefixtures("at_server")
def test_it_lists_tables_with_rows_and_size(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["tables"]) == 0
    assert "flights.main.t" in capsys.readouterr().out
    assert cli.run(["tables", "flights", "--json"]) == 0
    [table] = json.loads(capsys.readouterr().out)
    assert (table["catalog"], table["sql_name"], table["record_count"]) == (
        "flights",
        "flights.main.t",
        2,
    )


@pytest.mark.usefixtures("at_server")
def test_it_lists_the_columns_of_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["tables", "flights.main.t"]) == 0
    words = capsys.readouterr().out.split()
    assert {"a", "BIGINT", "b", "VARCHAR"} <= set(words)


@pytest.mark.usefixtures("at_server")
def test_it_asks_whether_another_table_was_meant(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["tables", "flights.main.tt"]) == 3
    assert "Did you mean flights.main.t?" in capsys.readouterr().err
