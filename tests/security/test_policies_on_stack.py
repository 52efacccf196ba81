"""Published policies on a running Upend: nothing that they hide is anywhere that its people get.

Every hidden value is a canary of its own: a digest that nobody writes down. It is looked for in
whatever the API and the console answer, in the log, and in what engines leave on the disk.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.security.conftest import API, FINAL, Target, files_below
from tests.security.corpus import ATTACKS, Attack, runs
from tests.security.test_policy_corpus import EXTRACTS

pytestmark = pytest.mark.stack

ROWS = 200
SPARED = "except: [{user: owner@corpus.example}]\n"
POLICIES = {
    "mask-email": ("mask", f"columns: [email]\nmethod: hmac\n{SPARED}"),
    "mask-iban": ("mask", f"columns: [info.iban]\nmethod: null\n{SPARED}"),
    "mask-pay": ("mask", f"columns: [pay]\nmethod: bucket\nwidth: 1000\n{SPARED}"),
    "hide-ssn": ("mask", f"columns: [ssn]\nmethod: hide\n{SPARED}"),
    "own-region": (
        "row_filter",
        f"where: regexp_matches(region, '^(EU|XX)$') AND principal.email <> ''\n{SPARED}",
    ),
}
STATEMENTS = [a for a in ATTACKS if a.category == "policy" and "sales" in a.sql]
EVERYTHING = "SELECT * FROM staff ORDER BY id"
DIGEST = re.compile(rb"[0-9a-f]{32}")
FORMATS = ("json", "arrow", "parquet", "csv")


def digest(kind: str, number: int) -> str:
    return hashlib.md5(f"{kind}{number}".encode(), usedforsecurity=False).hexdigest()


HIDDEN = frozenset(
    {digest(kind, n) for kind in ("email", "iban", "ssn") for n in range(ROWS)}
    | {digest("note", n) for n in range(1, ROWS, 2)}
)
"""All of the masked and hidden columns, and the notes of the rows of the other region."""


def canaries_in(content: bytes) -> list[str]:
    return sorted({m.decode() for m in DIGEST.findall(content)} & HIDDEN)


@pytest.fixture(scope="module")
def governed(target: Target) -> Iterator[Target]:
    """Publish the policies as the owner of the workspace does."""
    with owner_of(target) as owner:
        for name, (kind, text) in POLICIES.items():
            new = {"name": name, "kind": kind, "on": "shop.main.staff", "text": text}
            made = owner.post(f"{API}/policies", json=new)
            assert made.status_code == 201, made.text
            draft = owner.get(f"{API}/policies/{name}/versions/1")
            read = {"If-Match": draft.headers["ETag"]}
            body = {"reason": "The corpus begins."}
            published = owner.post(f"{API}/policies/{name}:publish", json=body, headers=read)
            assert published.status_code == 200, published.text
        yield target
        for name in POLICIES:
            body = {"reason": "The corpus is over."}
            retired = owner.post(f"{API}/policies/{name}:retire", json=body)
            assert retired.status_code == 200, retired.text


def owner_of(target: Target) -> httpx.Client:
    headers = {"Authorization": f"Bearer {target.seeded['owner']}"}
    return httpx.Client(base_url=target.stack.url, headers=headers, timeout=60)


def asked(
    target: Target, sql: str, forms: Sequence[str] = ("json",)
) -> tuple[bytes, dict[str, Any]]:
    """Ask by every way that shows something before or after a run; return all that was said."""
    said = [target.http.post(f"{API}/plans", json={"sql": sql, "catalog": "shop"})]
    answer = target.submit(sql)
    said.append(answer)
    query = answer.json()
    exports: list[bytes] = []
    if answer.status_code == 201:
        query = target.finished(answer)
        address = f"{API}/queries/{query['id']}"
        said.append(target.http.get(address))
        said.append(target.http.get(f"{address}/events"))
        exports = [exported(target, address, form) for form in forms]
    return b"\n".join([*(one.content for one in said), *exports]), query


def exported(target: Target, address: str, form: str) -> bytes:
    """Return the result in a format, read from the bucket and unpacked where it is led there."""
    while (answer := target.http.get(f"{address}/result?format={form}")).status_code == 202:
        time.sleep(0.05)
    if answer.status_code != 307:
        return answer.content
    body = httpx.get(answer.headers["Location"], timeout=60).content
    match form:
        case "arrow":
            return spelled(pa.ipc.open_file(body).read_all())
        case "parquet":
            return spelled(pq.ParquetFile(io.BytesIO(body)).read())
    return body


def spelled(table: pa.Table) -> bytes:
    """Return every value of a table, whose columns may share names."""
    return str([column.to_pylist() for column in table.columns]).encode()


@runs(STATEMENTS)
def test_it_withstands(attack: Attack, governed: Target) -> None:
    said, query = asked(governed, attack.sql.replace("sales", "staff"))
    assert canaries_in(said) == []
    if attack.code:
        assert query["reason_code"] == attack.code
    elif attack.expected == "ok:masked":
        assert query["state"] == "succeeded"
    elif attack.expected in {"ok:empty", "ok:no_hidden_value"}:
        assert query["state"] in FINAL


@pytest.mark.parametrize("name", EXTRACTS)
def test_it_lets_nothing_out_by(name: str, governed: Target) -> None:
    said, _ = asked(governed, EXTRACTS[name].replace("sales", "staff"))
    assert canaries_in(said) == []


def test_it_shows_each_what_they_may_see_and_shares_no_rows(governed: Target) -> None:
    """The control of this file: who is spared sees the canaries, from a result of their own."""
    said, first = asked(governed, EVERYTHING, FORMATS)
    assert canaries_in(said) == []
    assert first["row_count"] == ROWS // 2
    again = governed.finished(governed.submit(EVERYTHING))
    assert again["cached"] is not None
    with owner_of(governed) as owner:
        mine = Target(governed.stack, governed.seeded)
        mine.http.close()
        mine.http = owner
        told, whole = asked(mine, EVERYTHING, FORMATS)
    assert whole["cached"] is None
    assert whole["row_count"] == ROWS
    assert len(canaries_in(told)) == len(HIDDEN)


def test_it_refuses_to_show_the_result_of_who_sees_more(governed: Target) -> None:
    with owner_of(governed) as owner:
        owners = owner.post(f"{API}/queries", json={"sql": EVERYTHING, "catalog": "shop"}).json()
    answer = governed.http.get(f"{API}/queries/{owners['id']}/result")
    assert answer.status_code in {404, 409}
    assert canaries_in(answer.content) == []


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT ssn FROM staff",
        "SELECT max(email::INTEGER) FROM staff",
        "SELECT max(CASE WHEN region <> 'EU' THEN note ELSE '1' END::INTEGER) FROM staff",
        "SELECT info.iban::INTEGER, note::DATE FROM staff",
        "SELECT staff.nope FROM staff",
        "SELECT mask_hmac(email) FROM staff",
        "SELECT count(*) FROM staff WHERE pay = 10",
    ],
)
def test_it_says_nothing_in_errors(governed: Target, sql: str) -> None:
    said, _ = asked(governed, sql)
    assert canaries_in(said) == []
    assert b"sha256" not in said


def test_it_shows_nothing_of_it_in_the_catalog(governed: Target) -> None:
    table = governed.http.get(f"{API}/catalogs/shop/tables/main/staff")
    assert [c["name"] for c in table.json()["columns"]] == [
        "id", "region", "email", "pay", "info", "note",
    ]  # fmt: skip
    history = governed.http.get(f"{API}/queries?limit=100")
    events = governed.http.get(f"{API}/events?limit=100")
    assert canaries_in(table.content + history.content + events.content) == []


def test_it_leaves_nothing_on_the_disk(governed: Target) -> None:
    """The log, what services write beside it, and what engines spilled; not the lake itself."""
    _, query = asked(governed, "SELECT s.* FROM staff s, range(2000) ORDER BY s.email LIMIT 3")
    assert query["state"] in FINAL
    engines = Path(tempfile.gettempdir()) / f"upend-engines-{os.getuid()}"
    stores = {"postgres", "s3"}
    written = [
        path
        for root in (governed.stack.directory, engines)
        for path in files_below(root)
        if path.is_file() and not stores.intersection(p.name for p in path.parents)
    ]
    assert governed.stack.log in written
    found = {str(path): canaries_in(content(path)) for path in written}
    assert {path: canaries for path, canaries in found.items() if canaries} == {}


def content(path: Path) -> bytes:
    """Return a file's bytes; one that is gone by now holds nothing."""
    try:
        return path.read_bytes()
    except OSError:
        return b""
