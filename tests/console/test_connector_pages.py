"""Connectors in the console: tried and made by a form, looked after on a page, no secret shown."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.conf import settings
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts import keys
from accounts.domain import Actor
from catalog import services as catalogs
from catalog.models import Catalog, Connector, ConnectorFile, ConnectorRun
from tests.cast import Cast
from tests.customer import CustomerStorage

pytestmark = pytest.mark.django_db(transaction=True)

W = "/w/flight-ops"
SECRET = "typed-canary-9/@?#"
PLACE = "127.0.0.1:59999"


@pytest.fixture
def flights(cast: Cast) -> Catalog:
    catalog = catalogs.create_catalog(
        actor=cast.actor("owner"), workspace=cast.workspace, name="flights"
    )
    catalogs.run_jobs(catalog.id)
    return catalog


@pytest.fixture
def client(cast: Cast, flights: Catalog, signed_in: Callable[[Actor], Client]) -> Client:
    return signed_in(cast.actor("owner"))


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Return what a person types; nothing listens at the address."""
    hosts = settings.STORAGE_ALLOWED_HOSTS | {PLACE}
    monkeypatch.setattr(settings, "STORAGE_ALLOWED_HOSTS", hosts)
    return {
        "kind": "mysql", "name": "till", "host": "127.0.0.1", "port": "59999", "dbname": "shop",
        "user": "reader", "password": SECRET, "sslmode": "require", "source_table": "sales",
        "mode": "append", "watermark_column": "id", "target_table": "sales",
        "interval_minutes": "15",
    }  # fmt: skip


def test_it_makes_looks_after_and_deletes_a_connector(
    client: Client, flights: Catalog, typed: dict[str, str]
) -> None:
    empty = client.get(f"{W}/catalog/flights/connectors").content.decode()
    assert "Nothing is pulled into flights yet" in empty
    answer = client.post(f"{W}/new-connector/flights", typed, follow=True)
    page = answer.content.decode()
    assert answer.redirect_chain == [(f"{W}/connectors/flights/till", 302)]
    assert "has begun its first run" in page
    made = Connector.objects.get()
    assert (made.interval_seconds, made.source_schema) == (900, "shop")
    dsn = keys.unseal(bytes(made.sealed_dsn), made.binding).decode()
    assert "typed-canary-9%2F%40%3F%23@127.0.0.1:59999" in dsn
    ConnectorRun.objects.create(
        connector=made, number=1, state="failed", problem="Nobody answers there.",
        finished_at=timezone.now(),
    )  # fmt: skip
    listed = client.get(f"{W}/catalog/flights/connectors").content.decode()
    page = client.get(f"{W}/connectors/flights/till").content.decode()
    for told in ("Nobody answers there.", "127.0.0.1:59999/shop", "MySQL or MariaDB"):
        assert told in listed
        assert told in page
    for step, told in (("pause", "is paused"), ("resume", "goes on"), ("run", "worker is free")):
        said = client.post(f"{W}/connectors/flights/till/{step}", follow=True).content.decode()
        assert told in said
    changed = {"interval_minutes": "30", "password": f"{SECRET}new"}
    client.post(f"{W}/connectors/flights/till/change", changed)
    made.refresh_from_db()
    assert made.interval_seconds == 1800
    assert "canary-9%2F%40%3F%23new@" in keys.unseal(bytes(made.sealed_dsn), made.binding).decode()
    refused = client.post(f"{W}/connectors/flights/till/change", {"interval_minutes": "0"})
    assert refused.status_code == 422
    assert "canary" not in listed + page + refused.content.decode()
    gone = client.post(f"{W}/connectors/flights/till/delete", follow=True)
    assert gone.redirect_chain == [(f"{W}/catalog/flights/connectors", 302)]
    assert not Connector.objects.exists()


def test_it_keeps_what_was_typed_but_for_the_password(
    client: Client, typed: dict[str, str]
) -> None:
    for changes, told in (
        ({"watermark_column": ""}, "name a column that only grows"),
        ({"host": "db@elsewhere"}, "The host is missing"),
        ({"interval_minutes": "x"}, "a number of minutes"),
    ):
        answer = client.post(f"{W}/new-connector/flights", typed | changes)
        page = answer.content.decode()
        assert answer.status_code == 422
        assert told in page
        assert 'value="sales"' in page
        assert "canary" not in page
    assert not Connector.objects.exists()


def test_it_tries_a_source_and_says_what_is_wrong(
    client: Client, cast: Cast, typed: dict[str, str], customer_storage: CustomerStorage
) -> None:
    said = client.post(f"{W}/new-connector/flights", typed | {"step": "check"}).content.decode()
    assert "refused" in said
    assert "<html" not in said  # a part of the page: what was typed stays
    form = client.get(f"{W}/new-connector/flights?kind=parquet").content.decode()
    assert "No bucket to read from yet" in form
    bucket = customer_storage.connect(cast.actor("owner"), cast.workspace, prefix="")
    form = client.get(f"{W}/new-connector/flights?kind=parquet").content.decode()
    assert str(bucket.id) in form
    wanted = {"kind": "parquet", "bucket": str(bucket.id), "path": "out/", "step": "check"}
    said = client.post(f"{W}/new-connector/flights", wanted).content.decode()
    assert "No object of Theirs fits out/**/*.parquet" in said


def test_it_shows_files_that_were_left_out(
    client: Client, flights: Catalog, cast: Cast, customer_storage: CustomerStorage
) -> None:
    bucket = customer_storage.connect(cast.actor("owner"), cast.workspace, prefix="")
    asked = {
        "kind": "parquet", "name": "files", "bucket": str(bucket.id), "path": "out/",
        "mode": "append", "target_table": "files", "interval_minutes": "5",
    }  # fmt: skip
    client.post(f"{W}/new-connector/flights", asked)
    ConnectorFile.objects.create(
        connector=Connector.objects.get(), key="out/<b>.parquet", size_bytes=1, state="failed",
        modified_at=timezone.now(), problem="It is no Parquet.",
    )  # fmt: skip
    page = client.get(f"{W}/connectors/flights/files").content.decode()
    assert "out/&lt;b&gt;.parquet" in page
    assert "It is no Parquet." in page


def test_it_is_for_who_manages_the_catalog(
    client: Client,
    cast: Cast,
    typed: dict[str, str],
    signed_in: Callable[[Actor], Client],
) -> None:
    client.post(f"{W}/new-connector/flights", typed)
    steward = signed_in(cast.actor("steward"))
    address = f"{W}/catalog/flights/connectors"
    assert address in client.get(f"{W}/catalog/flights").content.decode()
    assert address not in steward.get(f"{W}/catalog/flights").content.decode()
    assert "till" not in steward.get(f"{W}/catalog/flights/connectors").content.decode()
    form = steward.get(f"{W}/new-connector/flights").content.decode()
    assert 'name="password"' not in form
    assert steward.post(f"{W}/new-connector/flights", typed).status_code == 403
    assert steward.get(f"{W}/connectors/flights/till").status_code == 404
    assert steward.post(f"{W}/connectors/flights/till/delete").status_code == 404
    assert Connector.objects.exists()


def test_it_asks_the_database_no_more_for_more_connectors(
    client: Client, flights: Catalog, cast: Cast, customer_storage: CustomerStorage
) -> None:
    bucket = customer_storage.connect(cast.actor("owner"), cast.workspace, prefix="")

    def more(name: str) -> None:
        made = Connector.objects.create(
            catalog=flights, name=name, kind="parquet", bucket=bucket, source={"path": "out/"},
            target_table=name, mode="append", interval_seconds=60, user_id=cast.actor("owner").id,
        )  # fmt: skip
        for number in (1, 2):
            ended = {"state": "succeeded", "finished_at": timezone.now()}
            ConnectorRun.objects.create(connector=made, number=number, rows=number, **ended)
        ConnectorFile.objects.create(
            connector=made, key=f"out/{name}.parquet", size_bytes=1, state="failed",
            modified_at=timezone.now(), problem="It is no Parquet.",
        )  # fmt: skip

    def statements(path: str) -> int:
        with CaptureQueriesContext(connection) as asked:
            assert client.get(path).status_code == 200
        return len(asked)

    api = "/api/v1/workspaces/flight-ops/catalogs/flights/connectors"
    paths = (f"{W}/catalog/flights/connectors", api)
    more("one")
    assert [statements(path) for path in paths]  # what is remembered is remembered now
    before = [statements(path) for path in paths]
    for name in ("three", "two"):
        more(name)
    assert [statements(path) for path in paths] == before
    listed = client.get(api).json()["results"]
    assert [[run["number"] for run in one["runs"]] for one in listed] == [[2, 1]] * 3
    assert [one["files"][0]["key"] for one in listed] == [
        f"out/{name}.parquet" for name in ("one", "three", "two")
    ]
