"""A catalog with a table that rows are sent to, and what stands in it afterwards."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest

from accounts.domain import Actor
from catalog import lake as lakes
from catalog import services as catalogs
from catalog.domain import JobState
from catalog.ingest.acceptance import Sent
from catalog.ingest.domain import IngestMode, OnError, RowFormat
from catalog.models import Catalog, IngestBatch, Job
from catalog.services import jobs
from catalog.writer import kept, process
from catalog.writer.gateway import open_way
from catalog.writer.session import Lake, Spec
from tests.catalog.lakes import conninfo
from workspaces.models import Workspace

TABLE = "CREATE TABLE lake.main.t (id BIGINT NOT NULL, name VARCHAR, n INTEGER)"


@dataclass
class Shop:
    """A catalog, who sends rows to it, and a connection to the live lake."""

    catalog: Catalog
    actor: Actor
    lake: Lake

    def work(self) -> None:
        """Do all that waits."""
        assert jobs.run_jobs(self.catalog.id) > 0
        failed = Job.objects.filter(catalog=self.catalog).exclude(state=JobState.SUCCEEDED)
        assert not failed.exists(), failed[0].problem

    def send(
        self,
        rows: list[dict[str, Any]] | bytes,
        *,
        form: RowFormat = RowFormat.NDJSON,
        mode: IngestMode = IngestMode.APPEND,
        on_error: OnError = OnError.REJECT,
        keys: tuple[str, ...] = (),
        key: str = "",
    ) -> IngestBatch:
        """Send rows; they wait for their commit."""
        body = rows if isinstance(rows, bytes) else b"\n".join(json.dumps(r).encode() for r in rows)
        return catalogs.send_rows(
            actor=self.actor,
            catalog=self.catalog,
            schema="main",
            table="t",
            sent=Sent(body, form, mode, on_error, keys),
            key=key,
        )

    def rows(self, columns: str = "*", table: str = "t") -> list[tuple[Any, ...]]:
        """Return what the table holds, in the order in which it was written."""
        return self.lake.execute(f'SELECT {columns} FROM lake.main."{table}" ORDER BY rowid')


@pytest.fixture
def shop(workspace: Workspace, owner: Actor) -> Iterator[Shop]:
    """Make a catalog with one table."""
    catalog = catalogs.create_catalog(actor=owner, workspace=workspace, name="shop")
    job = Job.objects.get(catalog=catalog)
    with psycopg.connect(conninfo(), autocommit=True) as session:
        session.execute(f'CREATE SCHEMA "{catalog.metadata_schema}"')
    lake = Lake.attach(Spec.of(process.spec_of(job, "", open_way(catalog).given)))
    lake.execute(TABLE)
    lakes.create_indexes(catalog)
    Job.objects.filter(id=job.id).update(state=JobState.SUCCEEDED)
    yield Shop(catalog, owner, lake)
    lake.con.close()
    kept.end_all()
