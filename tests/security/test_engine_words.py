"""What an engine says of an error reaches only the owners of the data, and without any of it."""

from __future__ import annotations

import re
import string
from collections.abc import Callable

import duckdb
import pytest
from django.test import Client
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from accounts.domain import Actor
from catalog.models import Bucket, Catalog
from execution import services
from execution.bind import BindError, HiddenTable, bind
from execution.domain import QueryState
from execution.engine.redaction import MAX_CHARACTERS, PLACEHOLDER, redact, vocabulary
from execution.models import Query
from governance.domain import ColumnMask, Obligations, RowFilter
from tests.cast import Cast
from tests.execution.rows import make_query
from tests.execution.tables import table
from workspaces.models import Workspace

SAID = {
    "Conversion Error: Could not convert string 'tom@example.org' to INT32": (
        "Conversion Error: Could not convert string … to INT32"
    ),
    "Conversion Error: Could not convert string 'it's\n5 o'clock' to INT32": (
        "Conversion Error: Could not convert string … to INT32"
    ),
    "Out of Range Error: Overflow in addition of INT32 (2147483647 + 1)!": (
        "Out of Range Error: Overflow in addition of INT32 (… + 1)!"
    ),
    'Binder Error: Referenced column "nam" not found in FROM clause!\n'
    'Candidate bindings: "ssn", "name"\n\nLINE 1: SELECT nam FROM s_0123456789abcdef.main.t1': (
        "Binder Error: Referenced column … not found in FROM clause!"
    ),
    "HTTP Error: HTTP GET error on 'https://b.example/k?X-Amz-Signature=ab' (HTTP 403)": (
        "HTTP Error: HTTP GET error on … (HTTP …)"
    ),
    "IO Error: No files found that match the pattern /lake/main/t1/ducklake-01.parquet": (
        "IO Error: No files found that match the pattern …"
    ),
    "INTERNAL Error: m_0123456789abcdef.ducklake_table h_99 192.168.7.1:5432": "INTERNAL Error: …",
    "": "",
}

SENTENCES = [
    "SELECT {value}::INTEGER",
    "SELECT {value}::UUID",
    "SELECT {value}::DATE",
    "SELECT {value}::STRUCT(a INTEGER)",
    "SELECT {value}::JSON",
    "SELECT {value}::DECIMAL(3, 2)",
    "SELECT {value}::ENUM('a', 'b')",
    "SELECT strptime({value}, '%Y')",
    "SELECT strptime('x', {value})",
    "SELECT regexp_matches('x', '(' || {value})",
    "SELECT date_trunc({value}, DATE '2020-01-01')",
    "SELECT json_extract({value}, '$')",
    "SELECT {name} FROM (SELECT 1 AS {name}_beside)",
    "SELECT {name}.{name} FROM (SELECT 1 AS {name}_x) {name}",
    "SELECT * FROM {name}_table",
    "SELECT 1 AS x FROM (SELECT 1 AS {name}, 2 AS {name}) WHERE {name} = 1",
    "SELECT {name}_function(1)",
    "SELECT format('{{:d}}', {value})",
    "SELECT CASE WHEN true THEN error({value}) END",
    "SELECT * FROM read_parquet('/srv/' || {value})",
    "SELECT * FROM '/srv/{plain}.parquet'",
    "SELECT {value} + INTERVAL 1 DAY - {value}",
    "SELECT list_aggregate([1], {value})",
    "SELECT from_base64({value})",
    "SELECT {value}::BLOB",
    "SELECT {value}::TIMESTAMP AT TIME ZONE {value}",
    "SELECT {value}::INTEGER[]",
]  # fmt: skip


@pytest.mark.parametrize("text", SAID)
def test_it_keeps_what_is_said_and_not_of_what(text: str) -> None:
    assert redact(text) == SAID[text]


secrets = st.one_of(
    st.text(string.ascii_letters, min_size=6, max_size=20),
    st.text(string.ascii_letters + string.digits + "_-.@/:", min_size=6, max_size=30),
    st.integers(10**3, 10**30).map(str),
    st.text(min_size=4, max_size=30),
)


def leaks(secret: str, shown: str) -> list[str]:
    """Return the parts of a secret that can be read in what is shown, but for engine words."""
    parts = [p.lower() for p in re.findall(r"\w{3,}", secret)]
    return [part for part in parts if part in re.findall(r"\w+", shown.lower())]


@settings(max_examples=400, deadline=None)
@given(secrets, st.sampled_from(SENTENCES))
@example("o'clock' and 'tea", "SELECT {value}::INTEGER")
@example("ab\nLINE 1: passw0rd-1", "SELECT {value}::UUID")
def test_it_lets_no_planted_secret_through(secret: str, sentence: str) -> None:
    assume("\x00" not in secret and secret.isprintable())
    assume(not {p.lower() for p in re.findall(r"\w{3,}", secret)} & vocabulary())
    con = duckdb.connect(config={"threads": 1})
    value = "'" + secret.replace("'", "''") + "'"
    name = '"' + secret.replace('"', '""') + '"'
    plain = secret.replace("'", "")
    beside = (name[:-1] + "_").replace("{", "{{").replace("}", "}}")  # as it is, after `format`
    sql = sentence.replace("{name}_", beside).format(value=value, name=name, plain=plain)
    # The value comes from a table too, as data does, and not only from the text of the query.
    con.execute("CREATE TABLE data AS SELECT $1 AS v", [secret])
    stored = sql.replace(value, "v") + ("" if " FROM " in sql else " FROM data")
    for text in (sql, stored):
        said = error_of(con, text)
        assert leaks(secret, redact(said)) == [], said


def error_of(con: duckdb.DuckDBPyConnection, sql: str) -> str:
    """Return what the engine says of `sql`, empty where it runs."""
    try:
        con.execute(sql).fetchall()
    except duckdb.Error as error:
        return str(error)
    return ""


@settings(max_examples=500, deadline=None)
@given(st.text(), st.lists(secrets, min_size=1, max_size=4))
def test_it_lets_nothing_through_that_is_not_a_word_of_the_engine(
    text: str, planted: list[str]
) -> None:
    shown = redact(text + " ".join(planted) + text)
    words = re.findall(r"[^\s()\[\]{},;]+", shown)
    for word in words:
        bare = word.strip(".:!?").lower()
        assert bare in vocabulary() | {PLACEHOLDER, ""} or re.fullmatch("[0-9]{1,2}", bare), word
    assert len(shown) <= MAX_CHARACTERS


def test_it_suggests_no_column_that_is_hidden_and_no_hidden_name() -> None:
    people = table("people", {"id": "INTEGER", "salary": "INTEGER", "name": "VARCHAR"})
    obligations = Obligations(
        masks=(ColumnMask("name", "'secret-mask'", "mask"),),
        row_filters=(RowFilter("id <> 4711", "own"),),
        hidden_columns=frozenset({"salary"}),
    )
    for sql in (
        "SELECT salar FROM people",
        "SELECT people.salar FROM people",
        "SELECT id + name FROM people",
        "SELECT name::STRUCT(a INTEGER).b FROM people",
        "SELECT people.nam FROM people ORDER BY people.salar",
        "SELECT c2 FROM people",
    ):
        with pytest.raises(BindError) as refused:
            bind(sql, [HiddenTable("t1", people, obligations)], [("lake", "main")])
        told = str(refused.value.as_dict())
        assert not re.search(r"salary|secret-mask|4711|\bt1\b|[hms]_[0-9a-f]{16}", told), told


# --- Who reads it -----------------------------------------------------------------------------
SignedIn = Callable[[Actor], Client]


def words_for(client: Client, query: Query) -> str:
    answer = client.get(f"/api/v1/workspaces/flight-ops/queries/{query.id}")
    assert answer.status_code == 200
    assert "tom" not in answer.content.decode().replace(query.sql, "").lower()
    return str(answer.json()["engine_error"])


@pytest.fixture
def failed(workspace: Workspace, analyst: Actor) -> Query:
    bucket = Bucket.objects.create(
        workspace=workspace, name="hosted", bucket_name="upend", prefix="catalogs/"
    )
    catalog = Catalog.objects.create(
        workspace=workspace, bucket=bucket, name="lake", metadata_schema="lake_x", prefix="x/"
    )
    table = {"key": f"table:{catalog.id}/{workspace.id}", "label": "lake.main.people"}
    plan = {"decisions": [{"action": "table.query", "securable": table}], "sql": ""}
    query = make_query(workspace, analyst, "SELECT ('t' || 'om')::INTEGER", plan=plan)
    services.run_query(query.id, worker="test")
    query.refresh_from_db()
    assert query.state == QueryState.FAILED
    return query


def test_it_tells_the_owners_of_the_data_what_the_engine_said(
    failed: Query, cast: Cast, signed_in: SignedIn
) -> None:
    said = "Conversion Error: Could not convert string … to INT32"
    assert failed.engine_error == said
    assert words_for(signed_in(cast.actor("owner")), failed) == said
    for name in ("analyst", "steward", "auditor"):
        assert words_for(signed_in(cast.actor(name)), failed) == ""


def test_it_tells_nobody_once_a_table_is_gone(
    failed: Query, cast: Cast, signed_in: SignedIn
) -> None:
    Catalog.objects.update(dropped_at=failed.created_at)
    assert words_for(signed_in(cast.actor("owner")), failed) == ""


def test_it_does_not_tell_in_lists(failed: Query, cast: Cast, signed_in: SignedIn) -> None:
    page = signed_in(cast.actor("owner")).get("/api/v1/workspaces/flight-ops/queries").json()
    assert [query["engine_error"] for query in page["results"]] == [""]
