"""What the editor of a policy keeps and refuses, and the steps of its life, without a browser."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from django.test import Client

from accounts.domain import Actor
from audit.models import AuditRecord
from governance.models import Policy, PolicyVersion
from governance.services.policies import set_requires_approval
from tests.cast import Cast

SignedIn = Callable[[Actor], Client]
W = "/w/flight-ops/policies"
FORBID = 'forbid (principal, action in [Action::"table.append"], resource);\n'
FIELDS = {"mode": "text", "tests": "", "number": "1"}


@pytest.fixture
def policy(owner: Actor, signed_in: SignedIn) -> Policy:
    """Return a policy about the whole workspace, begun on the page that asks for kind and scope."""
    begun = signed_in(owner).post(f"{W}/new", {"kind": "access", "on": "flight-ops"})
    assert begun.headers["Location"] == f"{W}/access-flight-operations"
    return Policy.objects.get()


def draft(policy: Policy) -> PolicyVersion:
    return policy.versions.get(state__in=["draft", "in_review"])


def sent(policy: Policy, text: str = FORBID, **more: str) -> dict[str, str]:
    return FIELDS | {"etag": draft(policy).etag, "text": text} | more


def test_it_says_what_is_wrong_where_it_is(
    owner: Actor, policy: Policy, signed_in: SignedIn
) -> None:
    wrong = sent(policy, 'forbid (principal,\n action == Action::"table.qery", resource);')
    shown = signed_in(owner).post(f"{W}/{policy.name}/check", wrong).content.decode()
    assert 'data-line="2"' in shown
    assert "not yet fit" in shown


def test_it_saves_a_form_as_text(owner: Actor, policy: Policy, signed_in: SignedIn) -> None:
    form = {"mode": "form", "effect": "permit", "action": "table.query", "size": "500 MB"}
    form |= {"exempt": "role:owner", "managed": "on"}
    signed_in(owner).post(f"{W}/{policy.name}/save", sent(policy) | form)
    assert draft(policy).text.endswith(
        ")\n"
        'unless { principal.workspace_roles.contains("owner") }\n'
        "when { context.device.managed && context.bytes <= 500000000 };\n"
    )


def test_it_keeps_both_texts_when_somebody_else_saved_first(
    owner: Actor, steward: Actor, policy: Policy, signed_in: SignedIn
) -> None:
    read = sent(policy, "// mine\n" + FORBID)
    signed_in(steward).post(f"{W}/{policy.name}/save", sent(policy, "// theirs\n" + FORBID))
    refused = signed_in(owner).post(f"{W}/{policy.name}/save", read).content.decode()
    assert "// theirs" in refused
    assert "// mine" in refused
    etag = re.search(r'id="etag" value="([^"]+)"', refused)
    assert etag is not None
    signed_in(owner).post(f"{W}/{policy.name}/save", read | {"etag": etag[1]})
    assert draft(policy).text.startswith("// mine")


def test_it_keeps_what_was_typed_where_publishing_is_refused(
    owner: Actor, policy: Policy, signed_in: SignedIn
) -> None:
    failing = "- {principal: analyst@demo-air.example, action: workspace.query, expect: deny}"
    client, step = signed_in(owner), f"{W}/{policy.name}/steps/publish"
    refused = client.post(step, sent(policy, tests=failing))
    shown = refused.content.decode()
    assert "Expected deny, decided allow." in shown
    assert draft(policy).text == FORBID
    etag = re.search(r'id="etag" value="([^"]+)"', shown)
    assert etag is not None
    published = client.post(step, sent(policy, etag=etag[1], reason="why not"))
    assert published.headers["HX-Redirect"] == f"{W}/{policy.name}"
    assert policy.versions.get(state="published").reason == "why not"


def test_it_says_on_which_line_the_tests_are_wrong(
    owner: Actor, policy: Policy, signed_in: SignedIn
) -> None:
    wrong = sent(policy, tests="- {principal: ana}\n- }")
    shown = signed_in(owner).post(f"{W}/{policy.name}/check", wrong).content.decode()
    assert "line 2" in shown.lower()


def test_it_asks_a_second_person_where_the_workspace_does(
    owner: Actor, steward: Actor, cast: Cast, policy: Policy, signed_in: SignedIn
) -> None:
    set_requires_approval(actor=owner, workspace=cast.workspace, required=True)
    address = f"{W}/{policy.name}"
    author, approver = signed_in(steward), signed_in(owner)
    Policy.objects.filter(id=policy.id).update(created_by=None)
    policy.versions.update(contributor_ids=[])
    author.post(f"{address}/steps/submit", sent(policy, reason="please look"))
    assert draft(policy).state == "in_review"
    assert "Break glass" in approver.get(address).content.decode()
    assert "Break glass" not in author.get(address).content.decode()
    refused = approver.post(f"{address}/steps/publish", {"number": "1"}).content.decode()
    assert "a second person" in refused
    approver.post(f"{address}/steps/approve", {"number": "1", "reason": "read it"})
    approver.post(f"{address}/steps/publish", {"number": "1"})
    assert policy.versions.get().state == "published"


def test_it_breaks_the_glass_only_with_a_reason_and_shows_it(
    owner: Actor, cast: Cast, policy: Policy, signed_in: SignedIn
) -> None:
    set_requires_approval(actor=owner, workspace=cast.workspace, required=True)
    client, step = signed_in(owner), f"{W}/{policy.name}/steps/break-glass"
    assert "say why" in client.post(step, sent(policy)).content.decode()
    client.post(step, sent(policy, reason="data leaks"))
    assert policy.versions.get().is_break_glass
    assert "glass broken" in client.get(W).content.decode()


def test_it_rolls_back_and_retires(owner: Actor, policy: Policy, signed_in: SignedIn) -> None:
    client, address = signed_in(owner), f"{W}/{policy.name}"
    client.post(f"{address}/steps/publish", sent(policy))
    client.post(f"{address}/draft")
    changed = sent(policy, FORBID.replace("append", "query"), number="2")
    assert (
        "Changes to what is in force" in client.post(f"{address}/check", changed).content.decode()
    )
    client.post(f"{address}/steps/publish", changed)
    client.post(f"{address}/steps/roll-back", {"number": "1", "reason": "too strict"})
    assert policy.versions.get(state="published").text == FORBID
    assert "Compared with version 2" in client.get(f"{address}/versions/3").content.decode()
    client.post(f"{address}/steps/retire", {"reason": "done"})
    assert not policy.versions.filter(state="published").exists()
    assert ">ended<" in client.get(W).content.decode()


def test_it_goes_by_another_name_until_it_is_submitted(
    owner: Actor, policy: Policy, signed_in: SignedIn
) -> None:
    renamed = sent(policy, name="no-appending", description="Uploads come by the agent.")
    answer = signed_in(owner).post(f"{W}/{policy.name}/save", renamed)
    assert answer.headers["HX-Redirect"] == f"{W}/no-appending"
    taken = signed_in(owner).post(f"{W}/no-appending/save", sent(policy, name="No Appending"))
    assert "is not a name for a policy" in taken.content.decode()


def test_it_shows_readers_the_text_and_no_step(
    analyst: Actor, policy: Policy, signed_in: SignedIn
) -> None:
    shown = signed_in(analyst).get(f"{W}/{policy.name}").content.decode()
    assert "Action::&quot;table.query&quot;" in shown
    assert "Nobody may query all in its scope." in shown
    assert "Publish…" not in shown
    for answer in ("check", "compose", "principals"):
        refused = signed_in(analyst).post(f"{W}/{policy.name}/{answer}", sent(policy))
        assert refused.status_code == 403


def test_it_replays_what_was_recorded_under_what_is_typed(
    owner: Actor, analyst: Actor, policy: Policy, signed_in: SignedIn
) -> None:
    assert signed_in(analyst).post(f"{W}/{policy.name}/check", sent(policy)).status_code == 403
    client, address = signed_in(owner), f"{W}/{policy.name}/replays"
    same = client.post(address, sent(policy, days="7")).content.decode()
    assert "Nothing would have been different" in same
    allowed = 'permit (principal, action == Action::"policy.author", resource);'
    other = client.post(address, sent(policy, allowed, days="7")).content.decode()
    assert "1 would be allowed now" in other
    assert "analyst@demo-air.example" in other
    wrong = client.post(address, sent(policy, "permit (", days="7")).content.decode()
    assert "nobody can say yet" in wrong


def test_it_views_as_another_and_the_ledger_keeps_that(owner: Actor, signed_in: SignedIn) -> None:
    client = signed_in(owner)
    shown = client.get(f"{W}/view-as?principal=analyst@demo-air.example").content.decode()
    assert "As analyst@demo-air.example" in shown
    assert AuditRecord.objects.get(event="decision.viewed_as").actor_id == owner.id
    unknown = client.get(f"{W}/view-as?principal=nobody").content.decode()
    assert "Nobody called" in unknown
