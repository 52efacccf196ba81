"""Lakes made elsewhere in the console: said where, looked at, adopted or thrown away."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client

from accounts.domain import Actor
from catalog.adoption.running import run_adoption
from catalog.domain import AdoptionSource
from catalog.models import Adoption, Catalog
from tests.catalog.foreign import Lakes, foreign

__all__ = ["foreign"]
pytestmark = pytest.mark.django_db(transaction=True)

SignedIn = Callable[[Actor], Client]
PAGES = "/w/flight-ops/adoptions"
SAID = {"store": "duckdb", "mode": "managed", "name": "ours", "description": "All of it"}


def text(client: Client, address: str, **headers: str) -> str:
    return client.get(address, headers=headers).content.decode()


def test_it_adopts_a_file_after_a_look_at_what_was_found(
    foreign: Lakes, owner: Actor, analyst: Actor, signed_in: SignedIn
) -> None:
    lake = foreign.make(AdoptionSource.DUCKDB)
    lake.run(
        "CREATE TABLE t AS SELECT range AS i FROM range(5000)",
        "CREATE VIEW peep AS SELECT content FROM read_text('/etc/passwd')",
    )
    lake.close()
    assert lake.file is not None
    assert "Only owners of" in text(signed_in(analyst), f"{PAGES}/new")
    with lake.file.open("rb") as file:
        assert signed_in(analyst).post(f"{PAGES}/new", SAID | {"file": file}).status_code == 403
    client = signed_in(owner)
    assert "No lake was adopted yet" in text(client, PAGES)
    with lake.file.open("rb") as file:
        asked = client.post(f"{PAGES}/new", SAID | {"file": file})
    adoption = Adoption.objects.get()
    one = f"{PAGES}/{adoption.id}"
    assert (asked.status_code, asked.headers["Location"]) == (302, one)
    assert "Waiting for a worker" in text(client, one)
    assert 'hx-trigger="load delay:1s"' in text(client, one)
    run_adoption(adoption.id)
    fragment = text(client, one, **{"HX-Request": "true"})
    assert fragment.lstrip().startswith('<div id="standing"')
    assert "hx-trigger" not in fragment
    for told in ("It can be adopted", "1 views hold what the SQL gate refuses", "peep", "Adopt it"):
        assert told in fragment
    assert client.post(f"{one}/confirm").status_code == 302
    run_adoption(adoption.id)
    assert "ours is a catalog" in text(client, one)
    assert Catalog.objects.get().name == "ours"
    again = client.post(f"{one}/confirm")
    assert again.status_code == 409
    assert "The adoption of ours is adopted" in again.content.decode()


def test_it_says_what_must_be_mended_and_keeps_what_was_typed(
    foreign: Lakes, owner: Actor, signed_in: SignedIn
) -> None:
    client = signed_in(owner)
    dsn = "postgresql://lake:open-sesame@10.0.0.1/lake"
    said = SAID | {"store": "postgresql", "dsn": dsn, "prefix": "lakes/sales/"}
    refused = client.post(f"{PAGES}/new", said)
    page = refused.content.decode()
    assert refused.status_code == 422
    assert "lakes/sales/" in page
    assert "open-sesame" not in page
    nothing = client.post(f"{PAGES}/new", SAID)
    assert "There is no metadata to read" in nothing.content.decode()
    lake = foreign.make(AdoptionSource.DUCKDB)
    lake.run("CREATE TABLE t AS SELECT range AS i FROM range(5000)")
    lake.run("UPDATE __ducklake_metadata_theirs.ducklake_data_file SET path = 's3://x/y.parquet',"
             " path_is_relative = false")  # fmt: skip
    lake.close()
    assert lake.file is not None
    with lake.file.open("rb") as file:
        client.post(f"{PAGES}/new", SAID | {"file": file})
    adoption = Adoption.objects.get()
    run_adoption(adoption.id)
    page = text(client, f"{PAGES}/{adoption.id}")
    for told in ("It cannot be adopted as it is", "must be mended", "main.t", "Ask again"):
        assert told in page
    assert "Adopt it as" not in page
    prefilled = text(client, f"{PAGES}/new?name=again&store=sqlite")
    assert 'value="again"' in prefilled
    assert 'value="sqlite" checked' in prefilled
    thrown = client.post(f"{PAGES}/{adoption.id}/cancel", follow=True)
    assert "was not adopted" in thrown.content.decode()
