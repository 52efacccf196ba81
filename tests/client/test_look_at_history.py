"""The history of tables by the command line: snapshots, differences, and the way back."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.db import connection
from pytest_django.live_server_helper import LiveServer

from accounts.domain import Actor, Scope
from catalog import lake
from catalog import services as catalogs
from catalog.models import Catalog
from tests.catalog.test_take_tables_back import written
from upend import cli
from workspaces.models import Workspace

pytestmark = pytest.mark.django_db(transaction=True)

NAME = "flights.main.pilots"
Captured = pytest.CaptureFixture[str]


@pytest.fixture
def flights(  # noqa: PLR0917 - pytest passes fixtures by name
    workspace: Workspace,
    owner: Actor,
    bearer: Callable[..., dict[str, str]],
    live_server: LiveServer,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Catalog:
    """Make a table, and let the command line find the server."""
    catalog = catalogs.create_catalog(actor=owner, workspace=workspace, name="flights")
    catalogs.run_jobs(catalog.id)
    made = "CREATE TABLE lake.main.pilots AS SELECT i AS id, 'p' || i AS name FROM range(2) r(i)"
    written(catalog, owner, made)
    scopes = (Scope.CATALOG_READ, Scope.CATALOG_WRITE, Scope.QUERY_RUN)
    token = bearer(owner, *scopes)["Authorization"].removeprefix("Bearer ")
    monkeypatch.setenv("UPEND_URL", live_server.url)
    monkeypatch.setenv("UPEND_TOKEN", token)
    monkeypatch.setenv("UPEND_WORKSPACE", workspace.slug)
    monkeypatch.setenv("UPEND_CONFIG_DIR", str(tmp_path))
    return catalog


@contextmanager
def writing(catalog: Catalog) -> Iterator[None]:
    """Have a worker carry out the catalog's jobs meanwhile."""
    stop = threading.Event()

    def work() -> None:
        while not stop.wait(0.2):
            catalogs.run_jobs(catalog.id)
        connection.close()

    worker = threading.Thread(target=work)
    worker.start()
    try:
        yield
    finally:
        stop.set()
        worker.join()


def test_it_shows_what_changed_and_takes_a_table_back(
    flights: Catalog, owner: Actor, capsys: Captured
) -> None:
    def said(*arguments: str, code: int = 0) -> str:
        assert cli.run(list(arguments)) == code
        captured = capsys.readouterr()
        return captured.out + captured.err

    assert json.loads(said("snapshots", "flights", "--json"))[0]["author"] == owner.label
    first = str(lake.latest_snapshot(flights).snapshot_id)
    written(flights, owner, "INSERT INTO lake.main.pilots VALUES (7, 'seven')")
    assert "Added rows to main.pilots" in said("snapshots", NAME)
    with writing(flights):
        shown = said("diff", NAME, first, "--rows", "10")
    assert "rows 2 → 3" in shown
    assert "seven" in shown
    described = said("describe", NAME)
    assert "3 rows" in described
    assert {"id", "BIGINT", "VARCHAR"} <= set(described.split())

    assert "3 rows become 2." in said("rollback", NAME, first, "--dry-run")
    assert "3 rows" in said("describe", NAME)
    with writing(flights):
        assert "Done, as snapshot" in said("rollback", NAME, first, "--yes", "-m", "Twice")
    assert "2 rows" in said("describe", NAME)
    assert "no snapshot 999999" in said("rollback", NAME, "999999", "--dry-run", code=3)
