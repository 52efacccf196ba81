"""What a policy hides stays hidden from every trick of the corpus, asked of an extract on a device.

The engine of a device holds nothing but the extract: what is not in the file cannot come out of
it. The tricks are asked all the same, and all that is handed out is searched.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator

import duckdb
import pyarrow.parquet as pq
import pytest

from catalog import storage
from execution import gate, services
from tests.cast import Cast
from tests.catalog.lakes import WrittenLake, written_lake
from tests.execution import governed
from tests.security.test_policy_corpus import EMPTY, EXTRACTS, MASKED, PROBES, hidden_in
from upend import slices
from workspaces.models import Workspace

__all__ = ["written_lake"]

HANDED_OUT = ("@x.com", "HIDDEN", "NO1", "SSN", '"US"')
"""As `SECRETS`; the region on its own, because it is also the start of a word."""


@pytest.fixture
def device(
    written_lake: WrittenLake, workspace: Workspace, cast: Cast
) -> Iterator[duckdb.DuckDBPyConnection]:
    """An analyst's engine with the extract of `sales`, once all that it was given was searched."""
    written_lake.run(
        "CALL lake.set_option('data_inlining_row_limit', 0)",
        "CREATE TABLE sales AS SELECT i::INTEGER AS id, ['EU', 'US'][1 + i % 2] AS region, "
        "CASE WHEN i % 2 = 0 THEN 'user' || i || '@x.com' ELSE 'HIDDEN' || i END AS email, "
        "'SSN' || i AS ssn, {'iban': 'NO1' || i, 'bank': 'B' || i % 3} AS info "
        "FROM range(1000) r(i)",
        "CALL lake.set_option('data_inlining_row_limit', 100)",
        "INSERT INTO sales VALUES (5000, 'US', 'HIDDEN5000', 'SSN', {'iban': 'NO1', 'bank': 'B'})",
    )
    governed.in_storage(written_lake)
    governed.mask(written_lake, "sales", "email", method="constant", value="***")
    governed.mask(written_lake, "sales", "info.iban", method="constant", value="***")
    governed.mask(written_lake, "sales", "ssn", method="hide")
    governed.row_filter(written_lake, "sales", "regexp_matches(region, '^(EU|XX)$')")
    laptop = governed.laptop_of(cast, "analyst")
    query = governed.ask(laptop.actor, workspace, "SELECT * FROM sales")
    services.write_extracts("test")
    query.refresh_from_db()
    body = governed.manifest_of(laptop, query)
    assert [word for word in HANDED_OUT if word in json.dumps(body["slices"])] == []
    _search_file(workspace)
    found = governed.located(body)
    con = slices.connect(memory_bytes=2**29, threads=1)
    slices.attach(con, found, body["query"]["search_path"])
    slices.lock(con, slices.paths(found))
    yield con
    con.close()


def _search_file(workspace: Workspace) -> None:
    """Search the extract byte by byte, and its values and statistics once more unpacked."""
    (key,) = storage.hosted().keys(f"extracts/{workspace.id}/")
    content = storage.hosted().read(key)
    file = pq.ParquetFile(io.BytesIO(content))
    shown = [content.decode("latin-1"), json.dumps(file.read().to_pylist()), str(file.schema)]
    for group in range(file.num_row_groups):
        columns = file.metadata.row_group(group)
        shown += [str(columns.column(i).statistics) for i in range(columns.num_columns)]
    assert [word for word in HANDED_OUT for text in shown if word in text] == []


def asked(con: duckdb.DuckDBPyConnection, sql: str) -> list[object]:
    """Return the rows of checked SQL, or what its error says."""
    gate.check(sql)
    try:
        relation = con.execute(sql)
        return [[c[0] for c in relation.description or []], relation.fetchall()]
    except duckdb.Error as error:
        return [str(error)]


def test_it_shows_what_is_masked_only_masked(device: duckdb.DuckDBPyConnection) -> None:
    tricks = {attack.id: attack.sql for attack in MASKED} | EXTRACTS
    found = {name: hidden_in(asked(device, sql)) for name, sql in tricks.items()}
    assert {name: words for name, words in found.items() if words} == {}
    for attack in MASKED:
        assert device.execute(attack.sql).fetchall(), attack.id


def test_it_compares_and_casts_masked_values_alone(device: duckdb.DuckDBPyConnection) -> None:
    for attack in EMPTY:
        assert device.execute(attack.sql).fetchall() == [], attack.id
    for attack in PROBES:
        assert device.execute(attack.sql).fetchall() == [(500,)], attack.id


def test_it_has_no_column_that_is_hidden(device: duckdb.DuckDBPyConnection) -> None:
    with pytest.raises(duckdb.BinderException):
        device.execute("SELECT ssn FROM sales")
