"""Masks by HMAC make the pseudonyms that RFC 2104 says, by a key that only engines ever hold."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import duckdb
import pytest
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st

from accounts.models import Organization
from audit.domain import Event
from audit.models import AuditRecord
from execution import gate, masking
from execution.engine import services as engine
from execution.engine.domain import EngineSpec
from execution.engine.needs import Need
from governance.models import MaskKey
from governance.services.mask_keys import mask_key
from tests.cast import Cast
from tests.execution.test_run_engine import SPEC, Collected
from upend import slices

KEY = bytes(range(32))
LONG_KEY = KEY * 3


def expected(text: str, key: bytes = KEY) -> str:
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


@pytest.fixture(scope="module")
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    con = duckdb.connect()
    slices.define_hmac(con, KEY)
    yield con
    con.close()


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=20))
def test_it_is_the_hmac_of_the_standard(con: Any, texts: list[str]) -> None:
    values = [*texts, "", "ü€😀", "a\0b", "x" * 1000]
    rows = con.execute("SELECT mask_hmac(t) FROM unnest(?::VARCHAR[]) AS r(t)", [values])
    assert [found for (found,) in rows.fetchall()] == [expected(text) for text in values]


def test_it_keeps_nulls_and_takes_keys_longer_than_a_block(con: Any) -> None:
    assert con.execute("SELECT mask_hmac(NULL)").fetchall() == [(None,)]
    other = duckdb.connect()
    slices.define_hmac(other, LONG_KEY)
    assert other.execute("SELECT mask_hmac('x')").fetchall() == [(expected("x", LONG_KEY),)]


VIEW = {
    "schema": "main",
    "name": "people",
    "table": "t1",
    "columns": [["email", 'mask_hmac("email")']],
}
LAKE = {
    "format": slices.FORMAT,
    "catalog": "lake",
    "snapshot_id": 1,
    "tables": {
        "ducklake_snapshot": {
            "columns": ["snapshot_id", "snapshot_time", "schema_version", "next_catalog_id",
                        "next_file_id"],
            "rows": [[1, "2000-01-01 00:00:00+00", 1, 9, 9]],
        },
        "ducklake_schema_versions": {
            "columns": ["begin_snapshot", "schema_version", "table_id"], "rows": [[1, 1, 1]],
        },
        "ducklake_table": {
            "columns": ["table_id", "table_uuid", "begin_snapshot", "schema_id", "table_name",
                        "path", "path_is_relative"],
            "rows": [[1, "00000000-0000-0000-0000-000000000001", 1, 0, "t1", "t1/", True]],
        },
        "ducklake_column": {
            "columns": ["column_id", "begin_snapshot", "table_id", "column_order", "column_name",
                        "column_type", "nulls_allowed", "default_value_type",
                        "default_value_dialect"],
            "rows": [[1, 1, 1, 1, "email", "varchar", True, "literal", "duckdb"]],
        },
        "ducklake_inlined_data_tables": {
            "columns": ["table_id", "table_name", "schema_version"],
            "rows": [[1, "ducklake_inlined_data_1_1", 1]],
        },
    },
    "inlined": [
        {
            "name": "ducklake_inlined_data_1_1",
            "columns": [["row_id", "BIGINT"], ["begin_snapshot", "BIGINT"],
                        ["end_snapshot", "BIGINT"], ["email", "VARCHAR"]],
            "rows": [["0", "1", None, "ana@x.y"]],
        }
    ],
    "files": [],
    "views": [VIEW],
}  # fmt: skip
RECORD = {
    "search_path": [["lake", "main"]],
    "tables": [
        {
            "catalog_id": "c",
            "table_uuid": "t",
            "snapshot_id": 1,
            "view": VIEW,
            "columns": ["email"],
            "data_file_ids": None,
        }
    ],
}


def test_it_masks_in_engines_and_in_those_that_are_kept() -> None:
    need = Need.of(RECORD, principal="ana", workspace="w", memory_bytes=2**29)
    made: list[bool] = []

    def spec(sql: str, *, with_slices: bool) -> EngineSpec:
        made.append(with_slices)
        held = replace(SPEC, sql=sql, search_path=[["lake", "main"]])
        return replace(held, slices=[LAKE], mask_key=KEY.hex()) if with_slices else held

    for sql in ("SELECT email FROM people", "SELECT max(email) AS email FROM lake.main.people"):
        sink = Collected()
        engine.run_in_session(
            need,
            lambda with_slices, sql=sql: spec(sql, with_slices=with_slices),  # type: ignore[misc]
            sink=sink,
            seconds=120,
            on_progress=lambda _: None,
            is_cancelled=lambda: False,
        )
        assert sink.table.to_pylist() == [{"email": expected("ana@x.y")}]
    engine.discard_spare()
    assert made == [True, False]


@pytest.mark.parametrize("name", ["mask_hmac", "MASK_HMAC", '"mask_hmac"', "main.mask_hmac"])
def test_it_cannot_be_called_by_queries(name: str) -> None:
    with pytest.raises(gate.SqlRefused):
        gate.check(f"SELECT {name}('guess')")


@pytest.mark.parametrize(
    "sql",
    ["FROM duckdb_functions()", "SELECT * FROM duckdb_logs()", "SELECT getvariable('mask_key')"],
)
def test_its_text_cannot_be_read_by_queries(sql: str) -> None:
    with pytest.raises(gate.SqlRefused):
        gate.check(sql)


@pytest.mark.django_db
def test_it_makes_one_sealed_key_for_each_organization(cast: Cast) -> None:
    key = mask_key(cast.organization.id)
    assert mask_key(cast.organization.id) == key
    row = MaskKey.objects.get()
    assert key not in bytes(row.sealed_key)
    (event,) = AuditRecord.objects.filter(event=Event.MASK_KEY_CREATED)
    assert key.hex() not in json.dumps([event.after, event.before, event.decision])
    other = Organization.objects.create(name="other", slug="other")
    assert mask_key(other.id) != key


@pytest.mark.django_db(transaction=True)
def test_it_makes_one_key_though_two_workers_need_it_at_once(cast: Cast) -> None:
    found: list[bytes] = []
    together = threading.Barrier(4)

    def need() -> None:
        together.wait()
        found.append(mask_key(cast.organization.id))
        connection.close()

    workers = [threading.Thread(target=need) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(found) == 4
    assert len(set(found)) == 1


@pytest.mark.django_db
def test_it_gives_the_key_to_engines_that_mask_by_it_and_to_no_others(cast: Cast) -> None:
    key = masking.key_for(RECORD, cast.organization.id)
    assert bytes.fromhex(key) == mask_key(cast.organization.id)
    plain = RECORD | {"tables": [{"view": VIEW | {"columns": [["email", None]]}}]}
    assert masking.key_for(plain, cast.organization.id) == ""
    assert masking.key_for({}, cast.organization.id) == ""
    assert key not in repr(replace(SPEC, mask_key=key))
