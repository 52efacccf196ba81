"""`upend health`, `compact`, `expire`, `clean` and `buckets` against the real API."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from django.conf import settings
from pytest_django.live_server_helper import LiveServer

import upend
from accounts.domain import Actor, Scope
from catalog import services as catalogs
from catalog import storage
from catalog.domain import JobKind
from catalog.maintenance import standings
from catalog.models import BucketKey, Catalog, MaintenanceRun
from tests.catalog.test_register_files import put
from upend import cli
from upend.upkeep import Kept
from workspaces.models import Workspace

pytestmark = pytest.mark.django_db(transaction=True)

Out = pytest.CaptureFixture[str]


@pytest.fixture
def events(
    workspace: Workspace,
    owner: Actor,
    bearer: Callable[..., dict[str, str]],
    live_server: LiveServer,
    monkeypatch: pytest.MonkeyPatch,
) -> Catalog:
    """A lake with a table of nine small files, which the command line finds."""
    catalog = catalogs.create_catalog(actor=owner, workspace=workspace, name="events")
    insert = "INSERT INTO lake.main.t SELECT range FROM range(500)"
    given = {"statements": ["CREATE TABLE lake.main.t (i INTEGER)", *[insert] * 9]}
    catalogs.enqueue_job(actor=owner, catalog=catalog, kind=JobKind.STATEMENTS, arguments=given)
    catalogs.run_jobs(catalog.id)
    scopes = (Scope.CATALOG_READ, Scope.CATALOG_WRITE, Scope.ADMIN)
    token = bearer(owner, *scopes)["Authorization"].removeprefix("Bearer ")
    monkeypatch.setenv("UPEND_URL", live_server.url)
    monkeypatch.setenv("UPEND_TOKEN", token)
    monkeypatch.setenv("UPEND_WORKSPACE", workspace.slug)
    return catalog


@pytest.fixture(autouse=True)
def _at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UPEND_CONFIG_DIR", str(tmp_path))


def test_it_says_what_compacting_would_do_and_does_it(events: Catalog, capsys: Out) -> None:
    standings.measure(events)
    assert cli.run(["health"]) == 0
    [line] = [one for one in capsys.readouterr().out.splitlines() if "events.main.t" in one]
    assert line.split()[:2] == ["events.main.t", "merge"]
    assert cli.run(["compact", "events", "--dry-run"]) == 0
    assert "9 files of less than" in capsys.readouterr().out
    assert not MaintenanceRun.objects.exists()

    assert cli.run(["compact", "events.main.t", "--no-wait"]) == 0
    assert "events.main.t: running" in capsys.readouterr().err
    catalogs.run_jobs(events.id)
    run = MaintenanceRun.objects.get()
    assert [step["kind"] for step in run.done] == ["merge"]
    assert cli.run(["compact", "events", "--dry-run"]) == 0
    assert "needs nothing of that" in capsys.readouterr().err


def test_it_says_which_files_could_be_registered(
    events: Catalog, workspace: Workspace, capsys: Out
) -> None:
    prefix = f"adopted/{workspace.id}/exports/"
    storage.hosted().delete_prefix(prefix)
    put(prefix, "good.parquet", {"i": pa.array([1, 2], pa.int32())})
    register = ["register", "events.main.t", prefix, "--dry-run"]
    assert cli.run(register) == 0
    assert "1 file, " in capsys.readouterr().err
    put(prefix, "bad.parquet", {"i": ["text"]})
    assert cli.run(register) == 5
    shown = capsys.readouterr()
    assert "bad.parquet" in shown.out
    assert "1 of 2 files do not fit the table." in shown.err
    assert cli.run([*register, "--json"]) == 5
    assert json.loads(capsys.readouterr().out)["misfits"] == 1
    assert cli.run([*register[:3], "--dry-run", "good.parquet"]) == 0
    assert not Catalog.objects.get().registered_prefixes


def test_it_follows_a_run_to_its_end(events: Catalog, capsys: Out) -> None:
    def work() -> None:
        catalogs.run_jobs(events.id)

    with upend.connect() as connection:
        run = connection.upkeep.run(Kept("events"), ("merge",), on_step=lambda _: work())
    assert (run["state"], len(run["done"])) == ("succeeded", 1)
    capsys.readouterr()
    assert cli.run(["expire", "events", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["done"] == []


def test_it_counts_orphans_before_it_deletes_them(
    events: Catalog, capsys: Out, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "MAINTENANCE_ORPHAN_SECONDS", -60)
    key = f"{events.prefix}main/t/ducklake-01a201f7-c710-7133-b91b-88565f284bf1.parquet"
    storage.hosted().put_bytes(key, b"xyz")
    assert cli.run(["clean", "events", "--dry-run"]) == 0
    assert "1 objects that nothing names, 3 B" in capsys.readouterr().err
    assert key in storage.hosted().keys(events.prefix)
    assert cli.run(["clean", "events", "--no-wait"]) == 0
    catalogs.run_jobs(events.id)
    assert key not in storage.hosted().keys(events.prefix)


@pytest.mark.usefixtures("events")
def test_it_connects_checks_and_rotates_a_bucket(
    capsys: Out, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"theirs-{secrets.token_hex(4)}"
    storage.hosted().client.create_bucket(Bucket=name)
    monkeypatch.setenv("UPEND_BUCKET_SECRET", settings.S3["secret_access_key"])
    place = ["--bucket", name, "--endpoint", settings.S3["endpoint"], "--region", "us-east-1"]
    key = ["--key-id", settings.S3["access_key_id"]]
    assert cli.run(["buckets", "add", "Our lake", *place, "--prefix", "lake/", *key]) == 0
    told = capsys.readouterr()
    assert "Outside the prefix is refused" in told.out
    assert settings.S3["secret_access_key"] not in told.out + told.err
    assert cli.run(["buckets"]) == 0
    assert f"{name}/lake/" in capsys.readouterr().out
    assert cli.run(["buckets", "show", "Our lake"]) == 0
    assert json.loads(capsys.readouterr().out)["bucket_name"] == name
    assert cli.run(["buckets", "check", "Our lake", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["outcome"] == "warning"
    monkeypatch.setenv("UPEND_BUCKET_SECRET", "wrong")
    assert cli.run(["buckets", "rotate", "Our lake", *key]) == 3
    assert "bucket-key-refused" in capsys.readouterr().err
    assert BucketKey.objects.count() == 1
