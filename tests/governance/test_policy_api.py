"""Policies over the REST API: who may call what, what they are shown, what conflicts say."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.domain import Actor, Scope
from accounts.models import User
from governance import inventory, securables
from governance.domain import PolicyKind
from governance.models import Ownership, PolicyVersion
from governance.services import policies
from tests.cast import Cast
from tests.catalog.lakes import WrittenLake

ACTORS = ("owner", "steward", "analyst", "agent", "auditor", "outsider", "nobody")
POLICIES = "/api/v1/workspaces/flight-ops/policies"
MASK = "columns: [email]\nmethod: null\n"
FORBID = (
    'forbid (principal == User::"analyst@demo-air.example", action == Action::"catalog.browse",'
    ' resource == Table::"lake.main.secret");\n'
)
READ = (200, 200, 200, 200, 200, 404, 401)
AUTHORED = (200, 200, 403, 403, 403, 404, 401)
PUBLISHED = (200, 403, 403, 403, 403, 404, 401)
NEW = {"name": "new", "kind": "mask", "on": "lake.main.people", "text": MASK}
ACCESS: list[tuple[str, str, tuple[int, ...], dict[str, Any]]] = [
    ("GET", "", READ, {}),
    ("POST", "", (201, 201, 403, 403, 403, 404, 401), NEW),
    ("POST", ":check", AUTHORED, NEW),
    ("GET", ":export", READ, {}),
    ("POST", ":apply", READ, {"files": ""}),
    ("GET", ":settings", READ, {}),
    ("PATCH", ":settings", PUBLISHED, {"requires_approval": True}),
    ("GET", "/hidden-email", READ, {}),
    ("PATCH", "/hidden-email", AUTHORED, {"description": "Why."}),
    ("DELETE", "/begun", (204, 204, 403, 403, 403, 404, 401), {}),
    ("DELETE", "/hidden-email", (409, 409, 403, 403, 403, 404, 401), {}),
    ("POST", "/hidden-email:draft", (201, 201, 403, 403, 403, 404, 401), {}),
    ("POST", "/begun:draft", (409, 409, 403, 403, 403, 404, 401), {}),
    ("GET", "/begun/versions", READ, {}),
    ("GET", "/begun/versions/1", READ, {}),
    ("GET", "/begun/versions/7", (404, 404, 404, 404, 404, 404, 401), {}),
    ("PATCH", "/begun/versions/1", AUTHORED, {"text": MASK}),
    ("DELETE", "/begun/versions/1", (204, 204, 403, 403, 403, 404, 401), {}),
    ("GET", "/begun:diff?before=1&after=1", READ, {}),
    ("POST", "/begun:check", AUTHORED, {}),
    ("POST", "/begun:test", AUTHORED, {}),
    ("POST", "/hidden-email:impact", AUTHORED, {"ends": True}),
    ("POST", "/hidden-email:replay", (201, 201, 403, 403, 403, 404, 401), {"ends": True}),
    ("GET", "/hidden-email/replays", AUTHORED, {}),
    ("POST", "/begun:submit", AUTHORED, {}),
    ("POST", "/begun:approve", (409, 403, 403, 403, 403, 404, 401), {"reason": "fine"}),
    ("POST", "/begun:reject", (409, 409, 409, 409, 409, 404, 401), {"reason": "no"}),
    ("POST", "/begun:publish", PUBLISHED, {}),
    ("POST", "/hidden-email:publish", (409, 409, 409, 409, 409, 404, 401), {}),
    ("POST", "/hidden-email:retire", PUBLISHED, {"reason": "Done."}),
    ("POST", "/hidden-email:rollback", (409, 403, 403, 403, 403, 404, 401), {"reason": "Back."}),
]


@pytest.fixture
def people(written_lake: WrittenLake, cast: Cast) -> Cast:
    """Return the cast with two tables, a policy in force on one, and one begun."""
    written_lake.run(
        "CREATE TABLE people (id BIGINT, email VARCHAR)", "CREATE TABLE secret (id BIGINT)"
    )
    begin(cast, "hidden-email", MASK, publish=True)
    begin(cast, "begun", "columns: [id]\nmethod: null\n")
    return cast


def begin(
    cast: Cast,
    name: str,
    text: str,
    *,
    on: str = "lake.main.people",
    kind: PolicyKind = PolicyKind.MASK,
    publish: bool = False,
    **given: Any,
) -> PolicyVersion:
    """Begin a policy as the owner, and publish it where asked."""
    where, owner = cast.workspace, cast.actor("owner")
    named = inventory.named(where, [on]) if on else {"": securables.workspace(where)}
    version = policies.create_policy(
        actor=owner, workspace=where, name=name, kind=kind, scope=named[on], text=text, **given
    )
    if publish:
        policies.publish_policy(actor=owner, policy=version.policy, number=1)
    return version


def call(client: Client, verb: str, path: str, body: Any = None, **headers: str) -> Any:
    """Call an address of the policies; an etag that fits comes along unless another is given."""
    if "if_match" not in headers:
        name = path.strip("/").partition("/")[0].partition(":")[0]
        found = PolicyVersion.objects.filter(policy__name=name).first()
        headers["if_match"] = f'"{found.etag}"' if found else ""
    sent = json.dumps(body) if body is not None and verb != "GET" else ""
    return client.generic(
        verb,
        POLICIES + path,
        data=sent,
        content_type="application/json",
        headers={name.replace("_", "-"): value for name, value in headers.items() if value},
    )


def test_it_answers_each_actor(people: Cast, signed_in: Callable[[Actor], Client]) -> None:
    clients = {name: signed_in(people.actor(name)) for name in ACTORS[:-1]} | {"nobody": Client()}
    found, expected = {}, {}
    for verb, path, statuses, body in ACCESS:
        for name, status in zip(ACTORS, statuses, strict=True):
            with transaction.atomic():
                answer = call(clients[name], verb, path, body)
                transaction.set_rollback(True)
            found[verb, path, name] = answer.status_code
            expected[verb, path, name] = status
            if answer.status_code >= 400:
                assert answer.headers["Content-Type"] == "application/problem+json"
    assert found == expected


def test_it_asks_tokens_for_the_scope_that_covers_it(
    people: Cast, bearer: Callable[..., dict[str, str]]
) -> None:
    def status(scope: Scope, verb: str, path: str) -> int:
        headers = bearer(people.actor("owner"), scope)
        return int(call(Client(headers=headers), verb, path, {}).status_code)

    assert status(Scope.CATALOG_READ, "GET", "/begun") == 200
    assert status(Scope.CATALOG_READ, "POST", "/begun:publish") == 403
    assert status(Scope.QUERY_RUN, "GET", "/begun") == 403
    assert status(Scope.CATALOG_WRITE, "POST", "/begun:publish") == 200
    assert status(Scope.CATALOG_WRITE, "PATCH", ":settings") == 403


def test_it_takes_a_policy_through_its_life(
    people: Cast, signed_in: Callable[[Actor], Client]
) -> None:
    owner = signed_in(people.actor("owner"))
    made = call(owner, "POST", "", NEW | {"name": "mask-id", "text": "columns: [nothing]\n"})
    assert made.status_code == 201
    document = made.json()
    assert (document["published"], document["open"]["state"]) == (None, "draft")
    assert document["findings"][0]["line"] == 1
    refused = call(owner, "POST", "/mask-id:publish", {})
    assert (refused.status_code, refused.json()["code"]) == (422, "policy-refused")
    assert refused.json()["findings"][0]["severity"] == "error"
    text = "columns: [id]\nmethod: constant\nvalue: 7\n"
    changed = call(owner, "PATCH", "/mask-id/versions/1", {"text": text})
    assert changed.headers["ETag"] == f'"{changed.json()["etag"]}"'
    assert call(owner, "POST", "/mask-id:publish", {"reason": "Asked for."}).status_code == 200
    call(owner, "POST", "/mask-id:draft", {"text": text.replace("7", "8")})
    diff = call(owner, "GET", "/mask-id:diff?before=1&after=2").json()["diff"]
    assert "-value: 7\n+value: 8\n" in diff
    call(owner, "POST", "/mask-id:publish", {})
    back = call(owner, "POST", "/mask-id:rollback", {"reason": "Wrong."}).json()
    assert (back["number"], back["text"], back["state"]) == (3, text, "published")
    history = call(owner, "GET", "/mask-id/versions").json()["results"]
    assert [(one["number"], one["state"]) for one in history] == [
        (3, "published"), (2, "superseded"), (1, "superseded"),
    ]  # fmt: skip
    assert history[0]["published_by"]["email"] == people.users["owner"].email


def test_it_says_what_it_finds_without_saving(
    people: Cast, signed_in: Callable[[Actor], Client]
) -> None:
    steward = signed_in(people.actor("steward"))
    tests = [
        {"principal": "analyst@demo-air.example", "on": "lake.main.people", "expect": "allow",
         "masked": ["email"]},
        {"principal": "analyst@demo-air.example", "on": "lake.main.people", "expect": "allow",
         "masked": []},
        {"principal": "nobody@demo-air.example", "on": "lake.main.people", "expect": "deny"},
        {"principal": "agent", "on": "lake.main.people", "expect": "raw"},
        {"principal": "analyst@demo-air.example", "on": "lake.main.people", "expect": "maybe"},
        {"principal": "analyst@demo-air.example", "on": "lake.main.people", "expect": "extract"},
    ]  # fmt: skip
    answer = call(steward, "POST", ":check", NEW | {"name": "hidden-email", "tests": tests}).json()
    assert answer["findings"] == []
    assert [test["passed"] for test in answer["tests"]] == [True, False, False, False, False, True]
    assert "is masked" not in answer["tests"][0]["problems"]
    assert answer["tests"][1]["problems"] == ["Nothing should be masked, but is: email."]
    assert answer["tests"][3]["decided"] == "server"
    assert "one of allow, deny" in answer["tests"][4]["problems"][0]
    assert not answer["fit"]
    assert "email" in answer["summary"]
    assert call(steward, "GET", "/begun").json()["open"]["tests"] == []


def test_it_asks_which_text_was_seen_and_returns_both_on_conflict(
    people: Cast, signed_in: Callable[[Actor], Client]
) -> None:
    owner, steward = signed_in(people.actor("owner")), signed_in(people.actor("steward"))
    missing = call(owner, "PATCH", "/begun/versions/1", {"text": MASK}, if_match="")
    assert (missing.status_code, missing.json()["code"]) == (428, "if-match-required")
    seen = call(owner, "GET", "/begun").json()["open"]["etag"]
    mine = call(steward, "PATCH", "/begun/versions/1", {"text": "theirs"}, if_match=f'"{seen}"')
    assert mine.status_code == 200
    late = call(owner, "PATCH", "/begun/versions/1", {"text": "mine"}, if_match=f'W/"{seen}"')
    assert late.status_code == 412
    problem = late.json()
    assert problem["current"]["text"] == "theirs"
    assert problem["yours"] == {"text": "mine"}


def test_it_filters_and_pages_the_list(people: Cast, signed_in: Callable[[Actor], Client]) -> None:
    begin(people, "on-lake", FORBID, on="lake", kind=PolicyKind.ACCESS)
    owner = signed_in(people.actor("owner"))

    def names(query: str) -> list[str]:
        return [one["name"] for one in call(owner, "GET", f"?{query}").json()["results"]]

    assert names("") == ["begun", "hidden-email", "on-lake"]
    assert names("kind=access") == ["on-lake"]
    assert names("state=published") == ["hidden-email"]
    assert names("state=draft") == ["begun", "on-lake"]
    assert names("state=retired") == []
    assert names("on=lake.main.people") == ["begun", "hidden-email"]
    assert names("on=LAKE") == ["on-lake"]
    assert names("q=EMAIL") == ["hidden-email"]
    assert names("broken=true") == []
    assert names("broken=false&page_size=2") == ["begun", "hidden-email"]
    assert call(owner, "GET", "?kind=nonsense").status_code == 422
    call(owner, "POST", "/hidden-email:retire", {"reason": "Done."})
    assert names("state=retired") == ["hidden-email"]


def test_it_lists_many_policies_in_as_many_queries_as_few(
    people: Cast,
    signed_in: Callable[[Actor], Client],
    written_lake: WrittenLake,
) -> None:
    analyst = signed_in(people.actor("analyst"))
    written_lake.run(*(f"CREATE TABLE t{number} (email VARCHAR)" for number in range(12)))

    def queries() -> int:
        with CaptureQueriesContext(connection) as asked:
            call(analyst, "GET", "")
        return len(asked)

    for number in range(6):
        begin(people, f"more-{number}", MASK, on=f"lake.main.t{number}")
    few = queries()
    for number in range(6, 12):
        begin(people, f"more-{number}", MASK, on=f"lake.main.t{number}")
    assert len(call(analyst, "GET", "").json()["results"]) == 14
    assert queries() <= few


def test_it_shows_a_broken_glass_in_lists(
    people: Cast, signed_in: Callable[[Actor], Client]
) -> None:
    owner = signed_in(people.actor("owner"))
    call(owner, "PATCH", ":settings", {"requires_approval": True})
    assert call(owner, "POST", "/begun:publish", {}).json()["code"] == "policy-needs-approval"
    loud = call(owner, "POST", "/begun:publish", {"break_glass": True, "reason": "A leak."})
    assert loud.json()["is_break_glass"]
    shown = {one["name"]: one["break_glass"] for one in call(owner, "GET", "").json()["results"]}
    assert shown == {"begun": True, "hidden-email": False}
    settings = call(owner, "GET", ":settings").json()
    assert settings["requires_approval"]
    assert settings["version"] > 1


def _forbid_secret(cast: Cast) -> None:
    begin(cast, "no-secret", FORBID, on="lake.main.secret", kind=PolicyKind.ACCESS, publish=True)


def test_it_withholds_texts_that_name_what_the_reader_may_not_browse(
    people: Cast, signed_in: Callable[[Actor], Client]
) -> None:
    text = FORBID.replace("analyst@", "steward@")
    begin(people, "wide", text, on="", kind=PolicyKind.ACCESS, publish=True)
    _forbid_secret(people)
    analyst, auditor = signed_in(people.actor("analyst")), signed_in(people.actor("auditor"))
    assert call(analyst, "GET", "/no-secret").status_code == 404
    for path in ("", "/wide", "/wide/versions", "/wide/versions/1", ":export"):
        answer = call(analyst, "GET", path)
        assert answer.status_code == 200
        assert b"secret" not in answer.content
    assert call(analyst, "GET", "/wide").json()["published"]["withheld"]
    assert call(analyst, "GET", "/wide:diff?before=1&after=1").json()["is_withheld"]
    shown = call(auditor, "GET", "/wide").json()["published"]
    assert shown["text"] == text
    assert not shown["withheld"]
    assert b"lake.main.secret" in call(auditor, "GET", ":export").content


def test_it_tells_authors_nothing_of_what_they_may_not_browse(
    people: Cast, signed_in: Callable[[Actor], Client]
) -> None:
    _forbid_secret(people)
    analyst = User.objects.get(id=people.actor("analyst").id)
    table = inventory.named(people.workspace, ["lake.main.people"])["lake.main.people"]
    Ownership.objects.create(
        organization=people.organization, securable_key=table.key, owner=analyst
    )
    client = signed_in(people.actor("analyst"))

    def told(name: str) -> Any:
        text = f'permit (principal, action, resource == Table::"lake.main.{name}");'
        body = {"kind": "access", "on": "lake.main.people", "text": text}
        found = call(client, "POST", ":check", body).json()
        (finding,) = found.pop("findings")
        return found, finding | {"message": finding["message"].replace(name, "…")}

    assert told("secret") == told("secreta")
    tests = [{"principal": analyst.email, "on": "lake.main.secret", "expect": "deny"}]
    fit = call(client, "POST", ":check", NEW | {"name": "hidden-email", "tests": tests}).json()
    assert "may not browse" in fit["tests"][0]["problems"][0]
    near = call(client, "POST", ":check", {"kind": "access", "on": "lake.main.secre"}).json()
    assert "secret" not in near["hint"]
    gone = call(client, "POST", ":check", {"kind": "access", "on": "lake.main.secret"})
    assert (gone.status_code, gone.json()["code"]) == (404, "unknown-scope")
