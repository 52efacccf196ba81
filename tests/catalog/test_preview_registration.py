"""What registering files would do is told from their footers, as registering tells it itself."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest
from django.test import Client

from accounts.domain import Actor
from catalog import storage
from catalog.domain import JobKind, UploadMode
from catalog.models import Catalog, Job
from catalog.registration.footers import TAIL_BYTES
from catalog.services.registering import Registration
from catalog.services.registration_preview import RegistrationPreview, preview_registration
from tests.catalog.test_register_files import catalog, good, prefix, put, registered, run

__all__ = ["catalog", "prefix"]

pytestmark = pytest.mark.django_db(transaction=True)

API = "/api/v1/workspaces/flight-ops/catalogs/flights/registrations"
COLUMNS = "a SMALLINT, b BIGINT, c UINTEGER, d DOUBLE, e DECIMAL(18,4), f TIMESTAMP, g VARCHAR"
TYPES = (
    pa.int8(),
    pa.int32(),
    pa.int64(),
    pa.uint8(),
    pa.uint32(),
    pa.float32(),
    pa.float64(),
    pa.decimal128(9, 2),
    pa.decimal128(18, 6),
    pa.timestamp("ms"),
    pa.timestamp("ns"),
    pa.timestamp("us", "UTC"),
    pa.date32(),
    pa.string(),
    pa.binary(),
)


def previewed(owner: Actor, catalog: Catalog, prefix: str, **asked: Any) -> RegistrationPreview:
    options = {"schema": "main", "table": "t", "mode": UploadMode.APPEND} | asked
    wanted = Registration(prefix=prefix, **options)
    return preview_registration(actor=owner, catalog=catalog, asked=wanted)


def told(shown: RegistrationPreview) -> dict[str, str]:
    return {one.name.removesuffix(".parquet"): one.problem for one in shown.files if one.problem}


def test_it_foretells_which_types_do_not_fit(catalog: Catalog, prefix: str, owner: Actor) -> None:
    run(owner, catalog, f"CREATE TABLE lake.main.t ({COLUMNS})")
    for column in "abcdefg":
        for number, kind in enumerate(TYPES):
            put(prefix, f"{column}{number}.parquet", {column: pa.nulls(2, kind)})
    shown = previewed(owner, catalog, prefix, allow_missing=True)
    job = registered(owner, catalog, prefix, allow_missing=True)
    assert job.problem is not None
    counted = re.match(r"(\d+) of (\d+) files do not fit t", job.problem["detail"])
    assert counted is not None, job.problem
    assert (shown.misfits, len(shown.files)) == (int(counted[1]), int(counted[2]))
    assert set(re.findall(r"(\w+)\.parquet: ", job.problem["detail"])) <= told(shown).keys()
    assert told(shown)["b6"] == "its column b is DOUBLE, the table's BIGINT"


def test_it_opens_files_and_writes_nothing(
    catalog: Catalog, prefix: str, owner: Actor, signed_in: Callable[[Actor], Client]
) -> None:
    run(owner, catalog, "CREATE TABLE lake.main.t (id BIGINT NOT NULL, name VARCHAR)")
    put(prefix, "good.parquet", good())
    put(prefix, "short.parquet", {"id": [1]})
    put(prefix, "noid.parquet", {"name": ["a"]})
    put(prefix, "wide.parquet", good() | {"more": list(range(10))})
    for name, content in (
        ("broken", b"PAR1 no, it is not one"),
        ("empty", b""),
        ("fake", b"PAR1" * 9),
    ):
        storage.hosted().put_bytes(f"{prefix}{name}.parquet", content)
    before = Job.objects.count()
    body = {"table": "t", "prefix": prefix, "dry_run": True}
    answer = signed_in(owner).post(API, json.dumps(body), content_type="application/json")
    assert answer.status_code == 200, answer.content
    found = answer.json()
    assert {one["name"]: one["problem"] for one in found["files"]} == {
        "broken.parquet": "it is no Parquet file",
        "empty.parquet": "it is no Parquet file",
        "fake.parquet": "its footer is too long",
        "good.parquet": "",
        "noid.parquet": "it has no column id, which must not be NULL",
        "short.parquet": "it has no column name",
        "wide.parquet": "its column more is none of the table",
    }
    assert (found["rows"], found["misfits"], found["is_new_prefix"]) == (22, 6, True)
    assert found["columns"][0] == {"name": "id", "type": "BIGINT"}
    assert Job.objects.count() == before
    catalog.refresh_from_db()
    assert catalog.registered_prefixes == []
    lax = previewed(owner, catalog, prefix, allow_missing=True, ignore_extra=True)
    assert told(lax).keys() == {"broken", "empty", "fake", "noid"}


def test_it_previews_a_new_table_and_what_it_has_already(
    catalog: Catalog, prefix: str, owner: Actor
) -> None:
    wide = {f"column_{n:04}_{'x' * 40}": [n] for n in range(1000)}
    assert len(put(prefix, "wide.parquet", wide)) > TAIL_BYTES
    shown = previewed(owner, catalog, prefix, mode=UploadMode.CREATE)
    assert (len(shown.columns), shown.rows, shown.misfits) == (1000, 1, 0)
    storage.hosted().delete(f"{prefix}wide.parquet")
    put(prefix, "a.parquet", good())
    put(prefix, "b.parquet", {"id": ["text"], "name": ["n"]})
    shown = previewed(owner, catalog, prefix, mode=UploadMode.CREATE)
    assert shown.columns == (("id", "BIGINT"), ("name", "VARCHAR"))
    assert told(shown) == {"b": "its column id is VARCHAR, the table's BIGINT"}
    made = registered(owner, catalog, prefix, mode=UploadMode.CREATE, files=("a.parquet",))
    assert (made.kind, made.problem) == (JobKind.REGISTER, None)
    put(prefix, "b.parquet", good(10))
    again = previewed(owner, catalog, prefix)
    assert told(again) == {"a": "it is in the table already"}
    assert not again.is_new
    rest = previewed(owner, catalog, prefix, skip_registered=True)
    assert ([one.name for one in rest.files], rest.skipped, rest.rows) == (["b.parquet"], 1, 10)
