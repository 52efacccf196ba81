"""Lakes that plain DuckDB made elsewhere, their metadata in each store that it knows.

Their files lie in the suite's bucket, where a workspace may keep lakes of its own.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import duckdb
import psycopg
import pytest
from django.conf import settings as upend_settings
from django.db import connection
from duckdb_extensions import import_extension
from psycopg.conninfo import make_conninfo
from pytest_django import Settings

from accounts.domain import Actor
from catalog import services as catalogs
from catalog.adoption.running import run_adoption
from catalog.domain import AdoptionMode, AdoptionSource
from catalog.models import Adoption, Bucket
from catalog.services.adoptions import Source
from tests.catalog.lakes import conninfo
from tests.tcp import relay
from workspaces.models import Workspace

SECRET = "s3cret-of-the-customer"


@dataclass
class ForeignLake:
    """A lake and the plain DuckDB that writes it."""

    kind: AdoptionSource
    bucket: Bucket
    prefix: str
    target: str
    con: duckdb.DuckDBPyConnection
    options: str = ""
    schema: str = ""
    file: Path | None = None
    dsn: str = ""
    history: list[int] = field(default_factory=list)

    def run(self, *statements: str) -> list[Any]:
        """Run statements in the lake; return the rows of the last one."""
        found: list[Any] = []
        for statement in statements:
            found = self.con.execute(statement).fetchall()
        return found

    def close(self) -> None:
        """Let go of the lake, so that its file is whole."""
        self.con.execute("USE memory")
        self.con.execute("DETACH theirs")

    def open(self, snapshot: int | None = None) -> None:
        """Attach the lake again: to read it at a snapshot, or to write it."""
        at = "" if snapshot is None else f", READ_ONLY, SNAPSHOT_VERSION {snapshot}"
        self.con.execute(f"ATTACH '{self.target}' AS theirs ({self.options}{at})")
        self.con.execute("USE theirs")

    def source(self) -> Source:
        """Return where Upend finds the metadata."""
        if self.file is None:
            return Source(self.kind, schema=self.schema, dsn=self.dsn)
        file = io.BytesIO(self.file.read_bytes())
        return Source(self.kind, file=file, file_name=self.file.name)


def requested(
    actor: Actor, lake: ForeignLake, mode: AdoptionMode = AdoptionMode.MANAGED, name: str = "ours"
) -> Adoption:
    """Return the adoption of a lake, read and checked."""
    adoption = catalogs.request_adoption(
        actor=actor, bucket=lake.bucket, name=name, mode=mode, source=lake.source()
    )
    run_adoption(adoption.id)
    adoption.refresh_from_db()
    return adoption


def adopted(
    actor: Actor, lake: ForeignLake, mode: AdoptionMode = AdoptionMode.MANAGED, name: str = "ours"
) -> Adoption:
    """Return the adoption of a lake, which is a catalog now."""
    adoption = requested(actor, lake, mode, name)
    assert adoption.state == "checked", (adoption.problem, adoption.report)
    catalogs.confirm_adoption(actor=actor, adoption=adoption)
    run_adoption(adoption.id)
    adoption = Adoption.objects.select_related("catalog__bucket").get(id=adoption.id)
    assert adoption.state == "adopted", adoption.problem
    return adoption


class Lakes:
    """Makes lakes in one workspace."""

    def __init__(self, workspace: Workspace, directory: Path, port: int) -> None:
        self.workspace, self.directory, self.port = workspace, directory, port
        self.bucket, _ = Bucket.objects.get_or_create(
            workspace=workspace, bucket_name=upend_settings.S3["bucket"], prefix="catalogs/"
        )
        self.made: list[ForeignLake] = []

    def make(self, kind: AdoptionSource, *, encrypted: bool = False) -> ForeignLake:
        """Return an empty lake, attached and in use."""
        name = f"theirs_{uuid4().hex[:8]}"
        prefix = f"adopted/{self.workspace.id}/{name}/"
        lake = ForeignLake(kind, self.bucket, prefix, "", engine())
        options = [f"DATA_PATH 's3://{self.bucket.bucket_name}/{prefix}'"]
        if kind is AdoptionSource.POSTGRESQL:
            with psycopg.connect(conninfo(), autocommit=True) as session:
                session.execute(f"CREATE SCHEMA {name}")
            lake.target, lake.schema = f"ducklake:postgres:{conninfo()}", name
            lake.dsn = customer_dsn(self.port)
            options.append(f"META_SCHEMA '{name}'")
        else:
            lake.file = self.directory / f"{name}.{kind}"
            via = "sqlite:" if kind is AdoptionSource.SQLITE else ""
            lake.target = f"ducklake:{via}{lake.file}"
        if encrypted:
            options.append("ENCRYPTED")
        lake.options = ", ".join(options)
        lake.open()
        self.made.append(lake)
        return lake


def engine() -> duckdb.DuckDBPyConnection:
    """Return plain DuckDB with the bucket's keys."""
    con = duckdb.connect(":memory:")
    for name in ("ducklake", "httpfs", "postgres_scanner", "sqlite_scanner"):
        import_extension(name, con=con)
        con.load_extension(name)
    s3 = upend_settings.S3
    con.execute("SET TimeZone = 'UTC'")
    con.execute(
        "CREATE SECRET storage (TYPE s3, URL_STYLE 'path', USE_SSL false,"
        f" KEY_ID '{s3['access_key_id']}', SECRET '{s3['secret_access_key']}',"
        f" REGION '{s3['region']}', ENDPOINT '{urlsplit(s3['endpoint']).netloc}')"
    )
    return con


def customer_dsn(port: int) -> str:
    """Return the DSN of the customer's database, by TCP."""
    given = connection.get_connection_params()
    return make_conninfo(
        host="127.0.0.1",
        port=port,
        user=given["user"],
        password=given.get("password") or SECRET,
        dbname=given["dbname"],
        sslmode="disable",
    )


@pytest.fixture
def foreign(db: None, workspace: Workspace, tmp_path: Path, settings: Settings) -> Iterator[Lakes]:
    """Return a maker of lakes, whose PostgreSQL answers by TCP as a customer's would."""
    with relay() as port:
        settings.STORAGE_ALLOWED_HOSTS = frozenset({f"127.0.0.1:{port}"})
        lakes = Lakes(workspace, tmp_path, port)
        yield lakes
        for lake in lakes.made:
            lake.con.close()
