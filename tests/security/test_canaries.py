"""What Upend knows of its engine and relies on: each test fails when an engine no longer does so.

They need nothing but DuckDB with its two extensions and sockets, so that `tests.security.upgrade`
can run them under another version. Each line marked ⚑ in the engine facts, and what pins it:

| Fact | Pinned by |
|---|---|
| A slice of absolute signed URLs works: delete files, inlined rows, renames, pruning; no HEAD | `test_it_reads_signed_urls_without_head`, `test_it_fetches_only_what_a_filter_leaves` |
| An in-memory lake attaches and is filled in one transaction, without a file | `test_it_fills_a_lake_in_memory` |
| Inlined rows with other types than the columns' are reinterpreted without an error | `test_it_still_misreads_inlined_rows_of_the_wrong_type`; that ours are right, for every type: `tests/execution/test_slice_attach.py` |
| A stable URL with another bearer is not fetched again | `test_it_keeps_what_it_fetched_when_the_bearer_changes` |
| A 307 is followed without `Authorization`, and what it led to is kept | `test_it_follows_a_redirect_without_the_bearer` |
| Without the fence a row filter leaks, with it it does not | `test_it_leaks_filtered_rows_without_the_fence`, `test_it_keeps_filtered_rows_behind_the_fence` |
| Masks are projections that nothing looks behind | `test_it_never_looks_behind_a_mask`; in the engine process: `tests/security/test_policy_corpus.py` |
| A mask reads the table's columns, its fields by function, and the macro of HMAC wherever it is used | `test_it_reads_columns_and_not_other_masks_in_a_mask`, `test_it_finds_the_macro_of_masks_from_every_database_of_the_engine` |
| `TRY` turns a calculation out of range into NULL | `tests/security/test_canaries_of_sql.py` |
| `stats()` sees through the fence, and is refused | `test_it_sees_through_the_fence_by_stats_alone` |
| EXPLAIN's scan node: unqualified table, projections, filters, cardinality | `test_it_explains_scans_in_the_shape_that_planning_reads`; every filter text: `tests/execution/test_bind.py` |
| EXPLAIN ANALYZE says how many files were read | `test_it_counts_the_files_it_read` |
| Locking does not stop a database scanner that is loaded | `test_it_reaches_other_hosts_where_a_scanner_is_loaded` |
| A locked engine still changes its search path | `test_it_changes_its_search_path_though_locked` |
| `allowed_paths` is exact; other files, settings and extensions stay shut | `test_it_opens_nothing_but_its_files`, `tests/execution/test_slice_attach.py` |
| `extract_statements` evaluates what it parses | `test_it_evaluates_pragmas_while_it_parses` |
| `json_serialize_sql` evaluates nothing and knows only SELECT | `test_it_serializes_without_evaluating` |
| Functions of the engine are listed, each allowed or refused | `tests/execution/test_gate.py`, `test_it_has_the_functions_that_were_read` |
| Text that nests too deeply ends in an error of the parser | `DOS-23` of the corpus |
| Deep JSON ends the process | `tests/execution/test_run_engine.py` |
"""  # noqa: E501 - a table has no line breaks

from __future__ import annotations

import hmac
import json
import socket
import threading
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tests.client.file_server import Files, serving
from tests.execution.frozen import freeze, live_lake
from tests.security.engine_names import pinned, present
from tests.security.signed_bucket import SIGNATURE, SignedBucket, signed_bucket
from upend import slices

PEOPLE = [
    "CREATE TABLE lake.main.people (id INTEGER, region VARCHAR, email VARCHAR, old VARCHAR)",
    "ALTER TABLE lake.main.people SET PARTITIONED BY (region)",
    (
        "INSERT INTO lake.main.people SELECT i, ['EU', 'US'][1 + i % 2], "
        "CASE WHEN i % 2 = 0 THEN 'user' || i ELSE 'HIDDEN' || i END, 'o' || i "
        "FROM range(2000) r(i)"
    ),
    "DELETE FROM lake.main.people WHERE id % 5 = 3",
    "INSERT INTO lake.main.people VALUES (9000, 'EU', 'inlined', 'o')",
    "ALTER TABLE lake.main.people RENAME old TO label",
    (
        "CREATE TABLE lake.main.plain AS SELECT i::INTEGER AS id, "
        "['EU', 'US'][1 + i % 2] AS region, "
        "CASE WHEN i % 2 = 0 THEN 'user' || i ELSE 'HIDDEN' || i END AS email FROM range(2000) r(i)"
    ),
]
TOTALS = "SELECT count(*), sum(id), min(email), max(label), max(region) FROM people"
SUMS = "SELECT count(*), sum(id), min(email), max(region) FROM plain"
PROBE = (
    "SELECT count(*) FROM plain WHERE (CASE WHEN region <> 'EU' THEN email "
    "ELSE '00000000-0000-0000-0000-000000000000' END)::UUID IS NOT NULL"
)
# One that the engine turns into a comparison (`^EU$`) would be evaluated first, and leak nothing.
FILTER = "regexp_matches(region, '^(EU|XX)$')"


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Generator[duckdb.DuckDBPyConnection]:
    con = live_lake(tmp_path_factory.mktemp("canaries"))
    for statement in PEOPLE:
        con.execute(statement)
    yield con
    con.close()


@pytest.fixture
def people(lake: duckdb.DuckDBPyConnection) -> slices.Slice:
    return freeze(lake, "people")


@pytest.fixture
def plain(lake: duckdb.DuckDBPyConnection) -> slices.Slice:
    """Rows of both regions in one file, nothing deleted: what is filtered is not pruned."""
    return freeze(lake, "plain")


def attached(one: slices.Slice, *, bearer: tuple[str, str] | None = None) -> Any:
    con = slices.connect(memory_bytes=2**29, threads=2)
    if bearer:
        slices.present_bearer(con, base_url=bearer[0], bearer=bearer[1])
    slices.attach(con, [one], [("lake", "main")])
    return con


def at(one: slices.Slice, base_url: str, suffix: str = "") -> slices.Slice:
    """Return the slice with its files below another address."""
    named = [f | {"path": f"{base_url}{f['ordinal']}{suffix}"} for f in one["files"]]
    return one | {"files": named}


# --- Slices --------------------------------------------------------------------------------------
def test_it_fills_a_lake_in_memory(people: slices.Slice, tmp_path: Path) -> None:
    before = set(tmp_path.parent.rglob("*.ducklake")) | set(Path.cwd().glob("*.ducklake*"))
    con = attached(people)
    slices.lock(con, slices.paths([people]))
    assert con.execute("SELECT count(*) FROM people").fetchall()[0][0] == 1601
    assert set(tmp_path.parent.rglob("*.ducklake")) | set(Path.cwd().glob("*.ducklake*")) == before


@pytest.fixture
def bucket(people: slices.Slice) -> Generator[SignedBucket]:
    with signed_bucket([Path(path) for path in slices.paths([people])]) as served:
        yield served


def test_it_reads_signed_urls_without_head(
    lake: duckdb.DuckDBPyConnection, people: slices.Slice, bucket: SignedBucket
) -> None:
    one = at(people, bucket.url, f"?{SIGNATURE}")
    con = attached(one)
    slices.lock(con, slices.paths([one]))
    assert len(people["tables"]["ducklake_delete_file"]["rows"]) == 2
    assert people["inlined"]
    expected = lake.execute(TOTALS.replace("people", "lake.main.people")).fetchall()
    assert con.execute(TOTALS).fetchall() == expected
    assert {kind for kind, _, _ in bucket.asked} == {"GET"}


def test_it_fetches_only_what_a_filter_leaves(people: slices.Slice, bucket: SignedBucket) -> None:
    one = at(people, bucket.url, f"?{SIGNATURE}")
    con = attached(one)
    slices.lock(con, slices.paths([one]))
    assert con.execute("SELECT count(*) FROM people WHERE region = 'EU'").fetchall() == [(801,)]
    assert 0 < len({ordinal for _, ordinal, _ in bucket.asked}) < len(bucket.paths)


def test_it_still_misreads_inlined_rows_of_the_wrong_type(
    lake: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    """⚑ The trap that slices avoid by carrying the columns' real types: wrong, and no error."""
    con = live_lake(tmp_path)
    con.execute("CREATE TABLE lake.main.t (id INTEGER, price DECIMAL(12, 2))")
    con.execute("INSERT INTO lake.main.t VALUES (1, 404966603.45), (2, 12.5)")
    total = "SELECT sum(price)::VARCHAR FROM t"
    right = freeze(con, "t")
    assert attached(right).execute(total).fetchall() == [("404966615.95",)]
    (rows,) = right["inlined"]
    as_text = [[n, "VARCHAR" if n == "price" else kind] for n, kind in rows["columns"]]
    wrong = right | {"inlined": [rows | {"columns": as_text}]}
    assert attached(wrong).execute(total).fetchall() != [("404966615.95",)]


# --- Fetching ------------------------------------------------------------------------------------
def test_it_keeps_what_it_fetched_when_the_bearer_changes(plain: slices.Slice) -> None:
    with serving(Files([Path(path) for path in slices.paths([plain])])) as files:
        con = attached(at(plain, files.base_url), bearer=(files.base_url, files.bearer))
        before = con.execute(SUMS).fetchall()
        fetched = files.bytes_sent
        assert fetched > 0
        files.bearer = "another-bearer"
        con.execute("DROP SECRET upend_files")
        slices.present_bearer(con, base_url=files.base_url, bearer=files.bearer)
        assert con.execute(SUMS).fetchall() == before
        assert files.bytes_sent == fetched


def test_it_follows_a_redirect_without_the_bearer(plain: slices.Slice) -> None:
    with serving(Files([Path(path) for path in slices.paths([plain])])) as files:
        one = at(plain, files.base_url)
        con = attached(one, bearer=(files.base_url, files.bearer))
        slices.lock(con, slices.paths([one]))
        con.execute(SUMS).fetchall()
        assert files.bytes_sent > 0
        assert set(files.authorizations_at_bucket) == {""}


# --- Policies ------------------------------------------------------------------------------------
def test_it_leaks_filtered_rows_without_the_fence(plain: slices.Slice) -> None:
    """⚑ Where this fails the fence may be unneeded: measure again before it is removed."""
    con = attached(plain)
    source = con.execute("SELECT sql FROM duckdb_views() WHERE NOT internal").fetchall()[0][0]
    hidden = source.rpartition(" FROM ")[2].rstrip(";")
    con.execute(f"CREATE VIEW unfenced AS SELECT * FROM {hidden} WHERE {FILTER}")
    with pytest.raises(duckdb.ConversionException, match="HIDDEN"):
        con.execute(PROBE.replace("plain", "unfenced"))


def test_it_keeps_filtered_rows_behind_the_fence(plain: slices.Slice) -> None:
    plain["views"][0]["row_filter"] = FILTER
    con = attached(plain)
    assert con.execute("SELECT count(*) FROM plain").fetchall() == [(1000,)]
    assert con.execute(PROBE).fetchall() == [(1000,)]
    for cast in ("::INTEGER", "::DATE", "::DOUBLE", "::BOOLEAN", "::TIMESTAMP", "::INTEGER[]"):
        told = _said(con, f"SELECT count(CASE WHEN region <> 'EU' THEN email END{cast}) FROM plain")
        assert "HIDDEN" not in told, cast
    joined = "SELECT count(*) FROM plain p JOIN range(9) r(i) ON p.email::INTEGER = r.i"
    assert "HIDDEN" not in _said(con, joined)


def test_it_never_looks_behind_a_mask(plain: slices.Slice) -> None:
    plain["views"][0]["columns"][2][1] = "'***'"
    con = attached(plain)
    for sql in (
        "SELECT email FROM plain",
        "SELECT plain FROM plain",
        "SELECT unnest(plain) FROM plain",
        "SELECT COLUMNS('em.*') FROM plain",
        "SELECT p.email FROM (SELECT plain AS p FROM plain)",
        "SELECT max(email::INTEGER) FROM plain",
        "SELECT min(email), max(email) FROM plain",
        "SELECT count(*) AS n FROM plain WHERE email = 'user4'",
        "SUMMARIZE plain",
    ):
        told = _said(con, sql)
        assert "HIDDEN" not in told, sql
        assert "user4" not in told, sql


def test_it_reads_columns_and_not_other_masks_in_a_mask(plain: slices.Slice) -> None:
    """⚑ A name in the select list of a view is the table's column, not what is shown of it."""
    plain["views"][0]["columns"][1][1] = "'***'"
    plain["views"][0]["columns"][2][1] = "region || '!'"
    con = attached(plain)
    shown = con.execute("SELECT DISTINCT region, email FROM plain ORDER BY email").fetchall()
    assert shown == [("***", "EU!"), ("***", "US!")]


def test_it_finds_the_macro_of_masks_from_every_database_of_the_engine(
    plain: slices.Slice,
) -> None:
    """⚑ It is temporary: no name of a lake leads to it, and it is of this connection alone."""
    plain["views"][0]["columns"][2][1] = "mask_hmac(email)"
    con = slices.connect(memory_bytes=2**29, threads=1)
    slices.define_hmac(con, b"key")
    slices.attach(con, [plain], [("lake", "main")])
    slices.lock(con, slices.paths([plain]))
    (shown,) = con.execute("SELECT email FROM lake.main.plain WHERE id = 4").fetchall()
    assert shown == (hmac.new(b"key", b"user4", "sha256").hexdigest(),)
    con.execute("USE lake.main")
    assert con.execute("SELECT email FROM plain WHERE id = 4").fetchall() == [shown]
    with con.cursor() as other:
        other.execute("USE lake.main")
        with pytest.raises(duckdb.CatalogException):
            other.execute("SELECT mask_hmac('x')")
    plan = str(con.execute("EXPLAIN SELECT 1 FROM plain WHERE email = 'x'").fetchall())
    assert "sha256" in plan  # the binder shows this to nobody, and engines explain nothing


def test_it_sees_through_the_fence_by_stats_alone(plain: slices.Slice) -> None:
    """⚑ Which is why the gate refuses it; see `refused_functions.txt`."""
    plain["views"][0]["row_filter"] = FILTER
    con = attached(plain)
    told = _said(con, "SELECT stats(region) FROM plain LIMIT 1")
    assert "US" in told
    assert "stats" not in pinned("functions.txt")


def _said(con: duckdb.DuckDBPyConnection, sql: str) -> str:
    """Return the rows or the error of a query as text."""
    try:
        return str(con.execute(sql).fetchall())
    except duckdb.Error as error:
        return str(error)


# --- Planning ------------------------------------------------------------------------------------
def test_it_explains_scans_in_the_shape_that_planning_reads(people: slices.Slice) -> None:
    con = attached(people)
    sql = "EXPLAIN (FORMAT json) SELECT email FROM people WHERE id >= 3 AND id < 900"
    (plan,) = json.loads(con.execute(sql).fetchall()[0][1])
    while plan["children"]:
        (plan,) = plan["children"]
    info = plan["extra_info"]
    assert plan["name"] == "DUCKLAKE_SCAN"
    assert info["Table"] == people["views"][0]["table"]
    assert "email" in info["Projections"]
    assert info["Filters"] == "id>=3 AND id<900"
    assert info["Estimated Cardinality"].isdigit()


def test_it_counts_the_files_it_read(people: slices.Slice) -> None:
    con = attached(people)
    sql = "EXPLAIN (ANALYZE, FORMAT json) SELECT sum(id) FROM people WHERE region = 'EU'"
    text = con.execute(sql).fetchall()[0][1]
    assert '"Total Files Read": "1"' in text


# --- Isolation -----------------------------------------------------------------------------------
def test_it_opens_nothing_but_its_files(people: slices.Slice, tmp_path: Path) -> None:
    other = tmp_path / "other.csv"
    other.write_text("a\n1\n")
    con = attached(people)
    slices.lock(con, slices.paths([people]))
    for sql in (
        f"FROM read_csv('{other}')",
        f"FROM '{other}'",
        "FROM read_text('/proc/self/environ')",
        f"FROM glob('{tmp_path}/*') WHERE file LIKE '%other%' AND error(file)",
        f"COPY (SELECT 1) TO '{tmp_path}/out.csv'",
        f"ATTACH '{tmp_path}/x.duckdb' AS x",
        "SET enable_external_access = true",
        "RESET allowed_paths",
        "SET lock_configuration = false",
        "SELECT * FROM postgres_scan('host=127.0.0.1', 'public', 'x')",
        "SELECT * FROM sqlite_scan('/x', 'x')",
    ):
        with pytest.raises(duckdb.Error):
            con.execute(sql).fetchall()
    assert not (tmp_path / "out.csv").exists()


def test_it_reaches_other_hosts_where_a_scanner_is_loaded() -> None:
    """⚑ Locking does not stop `postgres_scan`: engines must never load it."""
    path = slices.extension_path("postgres_scanner")
    if not path.exists():
        pytest.skip(f"there is no postgres_scanner for DuckDB {duckdb.__version__}")
    assert "postgres_scanner" not in slices.EXTENSIONS
    con = slices.connect(memory_bytes=2**28, threads=1)
    con.execute(f"LOAD '{path}'")
    slices.lock(con, [])
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(120)
        port = listener.getsockname()[1]
        knocked: list[bytes] = []

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                knocked.append(connection.recv(100))

        host = threading.Thread(target=answer)
        host.start()
        dsn = f"host=127.0.0.1 port={port} connect_timeout=3"
        with pytest.raises(duckdb.Error):
            con.execute(f"SELECT * FROM postgres_scan('{dsn}', 'public', 'x')")
        host.join()
    assert knocked


def test_it_changes_its_search_path_though_locked(people: slices.Slice) -> None:
    """⚑ `lock_configuration` leaves it open: only the gate keeps SET away."""
    con = attached(people)
    slices.lock(con, [])
    con.execute("SET search_path = 'lake.main'")
    con.execute("USE lake.main")


# --- Parsing -------------------------------------------------------------------------------------
def test_it_evaluates_pragmas_while_it_parses() -> None:
    """⚑ Which is why the gate calls `json_serialize_sql` and nothing else on raw text."""
    with pytest.raises(duckdb.InvalidInputException, match="evaluated"):
        duckdb.extract_statements("PRAGMA x(error('evaluated'))")


@pytest.mark.parametrize(
    "sql",
    [
        "PRAGMA x(error('evaluated'))",
        "SELECT 1; PRAGMA x(sleep_ms(60000))",
        "ATTACH '/nonexistent/x' AS x",
        "CALL x()",
        "INSTALL x",
        "SELECT * FROM read_text('/etc/passwd'); DROP TABLE x",
    ],
)
def test_it_serializes_without_evaluating(sql: str) -> None:
    con = duckdb.connect()
    started = time.monotonic()
    text = con.execute("SELECT json_serialize_sql(?::VARCHAR)", [sql]).fetchall()[0][0]
    found = json.loads(text)
    assert found["error"]
    assert "evaluated" not in found["error_message"]
    assert time.monotonic() - started < 30


def test_it_has_the_functions_that_were_read() -> None:
    """⚑ An upgrade adds functions: classify each as allowed or refused, then pin the new list."""
    con = slices.connect(memory_bytes=2**28, threads=1)
    for kind, file in (("scalar", "engine_functions.txt"), ("table", "engine_table_functions.txt")):
        now = present(con, kind)
        assert sorted(now - pinned(file)) == [], f"new {kind} functions"
        assert sorted(pinned(file) - now) == [], f"{kind} functions that are gone"
