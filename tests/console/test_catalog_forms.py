"""Views, files in place and the way back in the console: looked at first, nothing typed is lost.

What the writer makes of the jobs is tried where the API is: here it is what is asked of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from django.test import Client
from django.utils.html import escape

from accounts.domain import Actor
from audit.models import AuditRecord
from catalog import storage
from catalog.domain import JobKind
from catalog.models import Job
from tests.catalog.lakes import WrittenLake, written_lake
from tests.catalog.test_register_files import good, put
from workspaces.models import Workspace

__all__ = ["written_lake"]

pytestmark = pytest.mark.django_db(transaction=True)

SignedIn = Callable[[Actor], Client]
PLACE = "/w/flight-ops/catalog/lake"


@pytest.fixture
def people(written_lake: WrittenLake) -> WrittenLake:
    written_lake.run("CREATE TABLE people AS SELECT i AS id, i * 10 AS paid FROM range(20) r(i)")
    return written_lake


@pytest.fixture
def client(people: WrittenLake, owner: Actor, signed_in: SignedIn) -> Client:
    return signed_in(owner)


def text(client: Client, address: str) -> str:
    return client.get(address).content.decode()


def job(kind: JobKind) -> Job:
    """Return the one job of a kind that was asked for."""
    return Job.objects.get(kind=kind)


def marked(page: str, field: str) -> bool:
    """Tell whether a field is said to be wrong, by a text that is there."""
    found = re.search(f'id="{field}"[^>]*aria-invalid="true" aria-describedby="([^"]*)"', page)
    return found is not None and f'id="{found[1]}" role="alert"' in page


def test_it_makes_a_view_after_a_look(client: Client) -> None:
    form, typed = f"{PLACE}/new-view", {"schema": "", "name": "rich", "comment": "Who pays."}
    assert f'href="{form}"' in text(client, PLACE)
    assert "A SELECT over tables of lake" in text(client, form)
    said = typed | {"sql": "SELECT id, paid\r\nFROM people"}
    shown = client.post(form, said | {"step": "look"}).content.decode()
    for told in ("It can be a view", "BIGINT", "SELECT id, paid\nFROM people", "Who pays."):
        assert told in shown
    assert not Job.objects.exists()
    made = client.post(form, said | {"step": "make"}, follow=True)
    assert made.redirect_chain == [(PLACE, 302)]
    assert "The view rich is being made" in made.content.decode()
    change = job(JobKind.CHANGE_VIEW).arguments["change"]
    assert (change["name"], change["comment"], "replaces" in change) == ("rich", "Who pays.", False)
    taken = client.post(form, typed | {"name": "people", "sql": "SELECT 1", "step": "make"})
    assert taken.status_code == 409
    assert marked(taken.content.decode(), "v-name")


def test_it_replaces_and_drops_a_view_after_a_look(client: Client, people: WrittenLake) -> None:
    people.run(
        "CREATE VIEW rich AS SELECT id, paid FROM people", "CREATE VIEW ids AS SELECT id FROM rich"
    )
    one = f"{PLACE}/main/rich/view"
    assert f'href="{one}/change"' in text(client, one)
    assert re.search("<textarea[^>]*>SELECT id, paid FROM people", text(client, f"{one}/change"))
    said = {"sql": "SELECT paid FROM people", "comment": "Who pays.", "name": "ignored"}
    shown = client.post(f"{one}/change", said | {"step": "look"}).content.decode()
    for told in ("Puts another text in the place of the view lake.main.rich", "lake.main.ids"):
        assert told in shown
    assert client.post(f"{one}/change", said | {"step": "make"}).status_code == 302
    change = job(JobKind.CHANGE_VIEW).arguments["change"]
    assert change["name"] == change["replaces"]["name"] == "rich"
    assert change["sql"].startswith("SELECT paid FROM ")
    Job.objects.all().delete()
    shown = text(client, f"{one}/drop")
    for told in ("Drops the view lake.main.rich", "lake.main.ids", "it may fail"):
        assert told in shown
    assert client.post(f"{one}/drop").status_code == 302
    assert job(JobKind.CHANGE_VIEW).arguments["change"]["op"] == "drop"
    assert client.get(f"{PLACE}/main/none/view/drop").status_code == 404


def test_it_says_beside_the_text_what_no_view_may_do_and_loses_nothing(client: Client) -> None:
    form = f"{PLACE}/new-view"
    cases = {
        "SELECT content\nFROM read_text('/etc/passwd')": "Line 2, column 6",
        "SELECT id FROM nothing": "no table",
        "SELECT nothing FROM people": "nothing",
        "FROM people AT (VERSION => 1)": "cannot be used here",
    }
    for sql, why in cases.items():
        said = {"name": "peep", "sql": sql, "comment": "Kept", "step": "look"}
        answer = client.post(form, said)
        page = answer.content.decode()
        assert answer.status_code >= 400, sql
        assert marked(page, "v-sql"), sql
        (told,) = re.findall(r'id="v-problem" role="alert">([^<]*)<', page)
        assert why in told, sql
        for kept in (sql, "peep", "Kept"):
            assert escape(kept) in page
    for said, field in (
        ({"name": "Not a name"}, "v-name"),
        ({"name": "fine", "schema": "pg_catalog"}, "v-schema"),
        ({"name": "fine", "schema": "nowhere"}, "v-schema"),
        ({"name": "fine", "comment": "x" * 3000}, "v-comment"),
    ):
        page = client.post(form, {"sql": "FROM people", "step": "look"} | said).content.decode()
        assert marked(page, field), field


def test_who_may_not_make_views_is_told_and_it_is_recorded(
    people: WrittenLake, analyst: Actor, signed_in: SignedIn
) -> None:
    client = signed_in(analyst)
    assert "<textarea" not in text(client, f"{PLACE}/new-view")
    said = {"name": "mine", "sql": "SELECT 1", "step": "look"}
    assert client.post(f"{PLACE}/new-view", said).status_code == 403
    assert AuditRecord.objects.filter(event="decision.denied", actor_id=analyst.id).count() == 1


def test_it_registers_files_after_showing_which(
    client: Client, people: WrittenLake, workspace: Workspace
) -> None:
    prefix, form = f"adopted/{workspace.id}/exports/", f"{PLACE}/register"
    storage.hosted().delete_prefix(prefix)
    assert prefix.removesuffix("exports/") in text(client, form)
    typed = {"prefix": prefix, "table": "t", "mode": "create", "allow_missing": "on"}
    nothing = client.post(form, typed | {"step": "look"}).content.decode()
    assert marked(nothing, "r-prefix")
    assert "There is no Parquet file" in nothing
    for name in ("a.parquet", "2026/b c.parquet", "notes.txt"):
        put(prefix, name, good())
    shown = client.post(form, typed | {"step": "look"}).content.decode()
    for told in ("2 files", "a.parquet", "2026/b c.parquet", "reads below"):
        assert told in shown
    assert "notes.txt" not in shown
    assert re.search(r'name="allow_missing" checked', shown)
    people.catalog.refresh_from_db()
    assert people.catalog.registered_prefixes == []
    wrong = typed | {"files": "a.parquet\nmissing.parquet", "step": "look"}
    page = client.post(form, wrong).content.decode()
    assert marked(page, "r-files")
    assert "1 cannot be found, such as &#x27;missing.parquet&#x27;" in page
    assert "a.parquet\nmissing.parquet</textarea>" in page
    for said, field in (
        ({"prefix": "catalogs/"}, "r-prefix"),
        ({"table": "Not a name"}, "r-table"),
        ({"mode": "append", "table": "nothing"}, "r-table"),
    ):
        page = client.post(form, typed | said | {"step": "look"}).content.decode()
        assert marked(page, field), field
    put(prefix, "z.parquet", {"id": ["text"], "name": ["n"]})
    page = client.post(form, typed | {"step": "look"}).content.decode()
    assert "1 does not fit, so that none would be registered" in page
    assert "its column id is VARCHAR, the table&#x27;s BIGINT" in page
    storage.hosted().delete(f"{prefix}z.parquet")
    answer = client.post(form, typed | {"step": "register"}, follow=True)
    assert "Files are being registered in t" in answer.content.decode()
    asked = job(JobKind.REGISTER).arguments
    assert (len(asked["urls"]), asked["allow_missing"], asked["mode"]) == (2, True, "create")
    assert f'<option value="{prefix}">' in text(client, form)


def test_it_takes_a_catalog_back_after_a_look(client: Client, people: WrittenLake) -> None:
    form, then = f"{PLACE}/rollback", people.snapshot.snapshot_id
    people.run("DELETE FROM people WHERE id < 5", "CREATE TABLE more (a INTEGER)")
    assert f'href="{form}"' in text(client, PLACE)
    assert f'href="?snapshot={then}"' in text(client, form)
    shown = text(client, f"{form}?snapshot={then}")
    for told in ("Drops the table main.more", "Rows now", f"Take lake back to {then}"):
        assert told in shown
    for wrong, why in (("x", "not the number"), ("9999", "has no snapshot 9999")):
        page = text(client, f"{form}?snapshot={wrong}")
        assert why in page
        assert f'value="{wrong}"' in page
        assert marked(page, "b-snapshot")
    newest = people.snapshot.snapshot_id
    assert "it is so already" in text(client, f"{form}?snapshot={newest}")
    assert client.post(form, {"snapshot": str(newest)}).status_code == 422
    answer = client.post(form, {"snapshot": str(then), "message": "A bad load"}, follow=True)
    assert f"goes back to snapshot {then}" in answer.content.decode()
    asked = job(JobKind.ROLL_BACK_CATALOG).arguments
    assert (asked["snapshot_id"], asked["message"]) == (then, "A bad load")


def test_it_says_that_a_new_catalog_has_nothing_to_go_back_to(
    written_lake: WrittenLake, owner: Actor, signed_in: SignedIn
) -> None:
    assert "Nothing to go back to" in text(signed_in(owner), f"{PLACE}/rollback")


def test_it_shows_what_comes_back_before_a_dropped_table_does(
    client: Client, people: WrittenLake, analyst: Actor, signed_in: SignedIn
) -> None:
    one = f"{PLACE}/dropped-tables/{people.table('people').table_uuid}/restore"
    people.run("DROP TABLE people")
    assert f'href="{one}"' in text(client, f"{PLACE}/settings")
    assert "with 20 rows" in text(client, one)
    assert signed_in(analyst).get(one).status_code == 403
    people.run("CREATE TABLE people (a INTEGER)")
    taken = client.get(one)
    assert taken.status_code == 409
    assert "is the name of another by now" in taken.content.decode()
    people.run("DROP TABLE people")
    assert client.post(one).status_code == 302
    assert job(JobKind.RESTORE_TABLE).arguments["table"] == "people"
