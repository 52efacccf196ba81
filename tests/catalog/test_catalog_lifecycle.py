"""A catalog after it was made: renamed, put away, dropped, taken back, removed for good."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from accounts.domain import Actor
from audit.models import AuditRecord
from catalog import lake, selectors, storage
from catalog import services as catalogs
from catalog.domain import JobState, UploadFormat, UploadMode
from catalog.models import Catalog, Job
from catalog.services.lifecycle import CatalogGone
from catalog.writable import CatalogReadOnly
from execution import planning
from governance.services import AccessDenied
from tests.catalog.lakes import count_rows
from workspaces.models import Workspace

pytestmark = pytest.mark.django_db(transaction=True)


def append(actor: Actor, catalog: Catalog, mode: UploadMode = UploadMode.APPEND) -> Job:
    content = b"a\n1\n2\n"
    return catalogs.upload_table(
        actor=actor,
        catalog=catalog,
        schema="main",
        table="t",
        file=io.BytesIO(content),
        file_name="t.csv",
        size_bytes=len(content),
        format=UploadFormat.CSV,
        mode=mode,
    )


@pytest.fixture
def flights(workspace: Workspace, owner: Actor) -> Catalog:
    catalog = catalogs.create_catalog(actor=owner, workspace=workspace, name="flights")
    assert catalogs.run_jobs(catalog.id) == 1
    append(owner, catalog, UploadMode.CREATE)
    assert catalogs.run_jobs(catalog.id) == 1
    return catalog


def test_it_keeps_everything_under_a_new_name(
    flights: Catalog, workspace: Workspace, owner: Actor, analyst: Actor
) -> None:
    renamed = catalogs.change_catalog(actor=owner, catalog=flights, name="air", description="x")
    assert selectors.find_catalog(analyst, workspace, "air").id == flights.id
    planning.plan(actor=analyst, workspace=workspace, sql="SELECT a FROM air.t")
    with pytest.raises(selectors.UnknownCatalog):
        selectors.find_catalog(analyst, workspace, "flights")
    append(owner, renamed)
    catalogs.run_jobs(flights.id)
    assert count_rows(renamed, "t") == 4
    record = AuditRecord.objects.get(event="catalog.changed")
    assert (record.before, record.after) == (
        {"name": "flights", "description": ""},
        {"name": "air", "description": "x"},
    )


def test_it_reads_what_is_archived_and_writes_it_no_more(
    flights: Catalog, workspace: Workspace, owner: Actor, analyst: Actor
) -> None:
    catalogs.archive_catalog(actor=owner, catalog=flights)
    assert selectors.visible_catalogs(analyst, workspace, with_archived=False) == []
    planning.plan(actor=analyst, workspace=workspace, sql="SELECT a FROM flights.t")
    with pytest.raises(CatalogReadOnly):
        append(owner, flights)
    assert storage.hosted().keys(f"staging/{flights.id}/") == []
    catalogs.archive_catalog(actor=owner, catalog=flights, archived=False)
    append(owner, flights)
    catalogs.run_jobs(flights.id)
    assert count_rows(flights, "t") == 4


def test_it_refuses_queries_of_what_was_dropped_and_answers_them_once_it_is_back(
    flights: Catalog, workspace: Workspace, owner: Actor, analyst: Actor
) -> None:
    accepted = append(owner, flights)
    dropped = catalogs.drop_catalog(actor=owner, catalog=flights)
    assert dropped.remove_after is not None
    assert dropped.remove_after - timezone.now() > timedelta(days=6, hours=23)
    with pytest.raises(selectors.UnknownTable):
        planning.plan(actor=analyst, workspace=workspace, sql="SELECT a FROM flights.t")
    with pytest.raises(CatalogReadOnly):
        append(owner, flights)
    assert catalogs.remove_dropped() == 0
    catalogs.run_jobs(flights.id)
    accepted.refresh_from_db()
    assert accepted.state == JobState.SUCCEEDED  # it was promised before the drop
    [listed] = selectors.dropped_catalogs(owner, workspace)
    assert selectors.dropped_catalogs(analyst, workspace) == []
    catalogs.restore_catalog(actor=owner, catalog=listed)
    planning.plan(actor=analyst, workspace=workspace, sql="SELECT a FROM flights.t")
    assert count_rows(flights, "t") == 4


def test_it_frees_the_name_at_once_and_restores_under_another(
    flights: Catalog, workspace: Workspace, owner: Actor
) -> None:
    catalogs.drop_catalog(actor=owner, catalog=flights)
    catalogs.create_catalog(actor=owner, workspace=workspace, name="flights")
    dropped = selectors.find_dropped_catalog(owner, workspace, "flights")
    with pytest.raises(catalogs.CatalogNameTaken):
        catalogs.restore_catalog(actor=owner, catalog=dropped)
    restored = catalogs.restore_catalog(actor=owner, catalog=dropped, name="old_flights")
    assert (restored.id, count_rows(restored, "t")) == (flights.id, 2)


def test_it_removes_metadata_and_files_when_the_time_is_over(
    flights: Catalog, workspace: Workspace, owner: Actor
) -> None:
    workspace.drop_grace_days = 0
    workspace.save()
    flights.refresh_from_db()
    assert storage.hosted().keys(flights.prefix) == []  # two rows live in the metadata
    storage.hosted().put_bytes(f"{flights.prefix}left.parquet", b"x")
    catalogs.drop_catalog(actor=owner, catalog=flights)
    assert (catalogs.remove_dropped(), catalogs.remove_dropped()) == (1, 0)
    with pytest.raises(CatalogGone):
        catalogs.restore_catalog(actor=owner, catalog=flights)
    assert catalogs.run_jobs(flights.id) == 1
    assert storage.hosted().keys(flights.prefix) == []
    with pytest.raises(lake.CatalogNotReady):
        lake.latest_snapshot(flights)
    assert catalogs.remove_dropped() == 0
    assert selectors.dropped_catalogs(owner, workspace) == []


def test_it_lets_only_who_manages_it_change_it(flights: Catalog, analyst: Actor) -> None:
    for change in (catalogs.archive_catalog, catalogs.drop_catalog, catalogs.change_catalog):
        with pytest.raises(AccessDenied):
            change(actor=analyst, catalog=flights)


def test_it_shows_settings_and_takes_what_was_dropped_back(
    flights: Catalog, owner: Actor, signed_in: Callable[[Actor], Client]
) -> None:
    client: Client = signed_in(owner)
    page = "/w/flight-ops/catalog/flights/settings"
    assert b"Drop flights" in client.get(page).content
    refused = client.post(page, {"step": "drop", "confirm": "flihgts"})
    assert (refused.status_code, b"Type flights to drop it" in refused.content) == (422, True)
    assert client.post(page, {"step": "archive"}).status_code == 302
    assert b'catalog/flights"' not in client.get("/w/flight-ops/catalog").content
    assert client.post(page, {"step": "unarchive"}).status_code == 302
    assert client.post(page, {"step": "drop", "confirm": "flights"}).status_code == 302
    listed = client.get("/w/flight-ops/catalog").content.decode()
    assert "in 6 days" in listed.replace("\xa0", " ")
    restore = f"/w/flight-ops/dropped-catalogs/{flights.id}/restore"
    assert client.post(restore, {"name": "flights"}).status_code == 302
    assert client.get("/w/flight-ops/catalog/flights").status_code == 200
