"""An encrypted lake answers as a plain one does; its keys go with its files and nowhere else."""

from __future__ import annotations

import base64
import io
import json
import logging

import pyarrow.parquet as pq
import pytest

from accounts import keys
from audit.models import AuditRecord
from catalog import lake, storage
from execution.models import Extract, Query
from execution.services.running import engine_spec
from tests.cast import Cast
from tests.catalog.lakes import WrittenLake, encrypted_lake
from tests.execution import governed
from tests.execution.governed import Laptop, ask, mask, on_device, on_server, row_filter
from workspaces.models import Workspace

__all__ = ["encrypted_lake"]

pytestmark = pytest.mark.django_db

QUESTIONS = (
    "SELECT count(*), sum(id), min(name), max(name) FROM people",
    "SELECT * FROM people WHERE id >= 995 ORDER BY id",
    "SELECT name, amount FROM people JOIN orders ON person = people.id ORDER BY amount LIMIT 5",
)


@pytest.fixture
def laptop(cast: Cast) -> Laptop:
    return governed.laptop_of(cast, "analyst")


@pytest.fixture
def people(encrypted_lake: WrittenLake) -> WrittenLake:
    """Two tables with files, deletes and inlined rows, in the bucket."""
    encrypted_lake.run(
        "CALL lake.set_option('data_inlining_row_limit', 0)",
        "CREATE TABLE people AS SELECT i AS id, 'secret' || i AS name FROM range(1000) r(i)",
        "CREATE TABLE orders AS SELECT i AS person, i * 3 AS amount FROM range(500) r(i)",
        "DELETE FROM people WHERE id % 10 = 4",
        "CALL lake.set_option('data_inlining_row_limit', 100)",
        "INSERT INTO people VALUES (5000, 'late')",
    )
    governed.in_storage(encrypted_lake)
    return encrypted_lake


def keys_of(lake: WrittenLake) -> dict[str, str]:
    """Return the key of each file, by the end of its path."""
    schema = f"__ducklake_metadata_lake.{lake.catalog.metadata_schema}"
    rows = lake.run(
        f"SELECT path, encryption_key FROM {schema}.ducklake_data_file UNION ALL"
        f" SELECT path, encryption_key FROM {schema}.ducklake_delete_file"
    )
    return dict(rows)


def files_of(lake: WrittenLake, table: str) -> set[str]:
    """Return the names of a table's files."""
    return {path.name for path in (lake.directory / "main" / table).rglob("*.parquet")}


def extract_secrets() -> set[str]:
    """Return what opens the extracts there are, as DuckLake spells keys."""
    rows = Extract.objects.select_related("workspace").exclude(sealed_secret=b"")
    found = [keys.unseal(bytes(row.sealed_secret), row.binding) for row in rows]
    return {base64.b64encode(secret).decode() for secret in found}


def named(slices: list[dict[str, object]]) -> set[str]:
    """Return the keys that slices carry."""
    text = json.dumps(slices)
    return {key for key in text.split('"') if key.endswith("==") and len(key) == 24}


@pytest.mark.parametrize("sql", QUESTIONS)
def test_it_answers_as_plain_duckdb_does_in_every_place(
    people: WrittenLake, workspace: Workspace, laptop: Laptop, sql: str
) -> None:
    plain = [[str(value) for value in row] for row in people.run(sql)]
    assert on_server(laptop.actor, workspace, sql) == plain
    assert on_device(laptop, workspace, sql) == plain


def test_it_has_nothing_readable_in_the_bucket(people: WrittenLake) -> None:
    found = storage.hosted().keys(people.catalog.prefix)
    assert len(found) == len(keys_of(people)) == 3
    for key in found:
        content = storage.hosted().read(key)
        assert content[-4:] == b"PARE"
        assert b"secret" not in content
    assert lake.is_encrypted(people.catalog)


def test_it_gives_the_keys_of_the_granted_files_alone(
    people: WrittenLake, workspace: Workspace, laptop: Laptop
) -> None:
    every = keys_of(people)
    sql = "SELECT sum(amount) FROM orders"
    mine = {key for path, key in every.items() if path in files_of(people, "orders")}
    assert len(mine) == 1
    assert named(engine_spec(ask(laptop.actor, workspace, sql, on="server")).slices) == mine
    body = governed.manifest_of(laptop, ask(laptop.actor, workspace, sql))
    assert named(body["slices"]) == mine


def test_it_writes_keys_into_no_record_plan_log_or_repr(
    people: WrittenLake,
    workspace: Workspace,
    laptop: Laptop,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    mask(people, "orders", "amount", method="null")
    for sql in QUESTIONS:
        on_device(laptop, workspace, sql)
    spec = engine_spec(ask(laptop.actor, workspace, QUESTIONS[0], on="server"))
    on_server(laptop.actor, workspace, QUESTIONS[0])
    said = repr(spec) + caplog.text + "".join(capfd.readouterr())
    for model in (AuditRecord, Query, Extract):
        said += str(list(model.objects.values()))
    for key in {*keys_of(people).values(), *(extract_secrets())}:
        assert key not in said
        assert base64.b64decode(key).hex() not in said


# --- Governed extracts ------------------------------------------------------------------------
def test_it_encrypts_extracts_of_it(
    people: WrittenLake, workspace: Workspace, laptop: Laptop
) -> None:
    mask(people, "people", "name", method="constant", value="***")
    row_filter(people, "people", "id < 500")
    sql = "SELECT id, name FROM people ORDER BY id"
    rows = on_device(laptop, workspace, sql)
    assert rows == on_server(laptop.actor, workspace, sql)
    assert rows[0] == ["0", "***"]
    (key,) = storage.hosted().keys(f"extracts/{workspace.id}/")
    content = storage.hosted().read(key)
    assert content[-4:] == b"PARE"
    with pytest.raises(OSError, match="encrypted"):
        pq.ParquetFile(io.BytesIO(content))
    assert len(extract_secrets()) == 1
    assert not extract_secrets() & set(keys_of(people).values())
