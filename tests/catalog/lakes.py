"""Lakes for tests, written by plain DuckDB: what the reader finds must be what DuckDB reads."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pytest
from django.db import connection
from duckdb_extensions import import_extension
from psycopg.conninfo import make_conninfo

from catalog import lake
from catalog.domain import Snapshot, Table
from catalog.models import Bucket, Catalog
from workspaces.models import Workspace


def conninfo() -> str:
    """Return the libpq string of the database the test runs in."""
    given = connection.get_connection_params()
    known = {"dbname", "user", "password", "host", "port"}
    return make_conninfo(**{k: v for k, v in given.items() if k in known and v})


@dataclass
class WrittenLake:
    """A catalog and the plain DuckDB that writes it."""

    catalog: Catalog
    con: duckdb.DuckDBPyConnection
    directory: Path

    def run(self, *statements: str) -> list[Any]:
        """Run statements in the lake; return the rows of the last one."""
        found: list[Any] = []
        for statement in statements:
            found = self.con.execute(statement).fetchall()
        return found

    @property
    def snapshot(self) -> Snapshot:
        """Return the newest snapshot."""
        return lake.latest_snapshot(self.catalog)

    def table(self, name: str = "t", schema: str = "main", at: int | None = None) -> Table:
        """Return a table as the reader sees it."""
        snapshot_id = self.snapshot.snapshot_id if at is None else at
        found = lake.table(self.catalog, snapshot_id, schema, name)
        assert found is not None
        return found


@pytest.fixture
def written_lake(db: None, workspace: Workspace, tmp_path: Path) -> Iterator[WrittenLake]:
    """Create an empty lake: metadata in PostgreSQL, files in a directory."""
    with empty_lake(workspace, tmp_path) as lake:
        yield lake


@pytest.fixture
def encrypted_lake(db: None, workspace: Workspace, tmp_path: Path) -> Iterator[WrittenLake]:
    """Create an empty lake whose files are encrypted."""
    with empty_lake(workspace, tmp_path, is_encrypted=True) as lake:
        yield lake


@contextmanager
def empty_lake(
    workspace: Workspace, directory: Path, *, is_encrypted: bool = False
) -> Iterator[WrittenLake]:
    """Create a lake called `lake` with its files below `directory`."""
    schema = f"lake_{secrets.token_hex(6)}"
    with psycopg.connect(conninfo(), autocommit=True) as session:
        session.execute(f"CREATE SCHEMA {schema}")
    bucket = Bucket.objects.create(
        workspace=workspace, name="hosted", bucket_name="upend", prefix="catalogs/"
    )
    catalog = Catalog.objects.create(
        workspace=workspace,
        bucket=bucket,
        name="lake",
        metadata_schema=schema,
        prefix=f"catalogs/{schema}/",
        is_encrypted=is_encrypted,
    )
    con = duckdb.connect()
    for name in ("ducklake", "postgres_scanner", "httpfs"):  # the last one brings encryption
        import_extension(name, con=con)
        con.load_extension(name)
    con.execute(
        f"ATTACH 'ducklake:postgres:{conninfo()}' AS lake (META_SCHEMA '{schema}',"
        f" DATA_PATH '{directory}/'{', ENCRYPTED' if is_encrypted else ''})"
    )
    con.execute("USE lake")
    yield WrittenLake(catalog, con, directory)
    con.close()


def count_rows(catalog: Catalog, table: str, schema: str = "main") -> int:
    """Return the exact number of rows in a table at the newest snapshot."""
    newest = lake.latest_snapshot(catalog).snapshot_id
    found = lake.table(catalog, newest, schema, table)
    assert found is not None
    return found.record_count
