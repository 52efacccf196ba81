"""Each page answers who may see it, says what is wrong, and shows a secret once."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils import timezone
from joserfc.jwk import OKPKey

from accounts import services as accounts
from accounts.domain import Actor, DeviceStatus, Scope
from accounts.models import ApiToken, Device
from audit.models import AuditRecord
from tests.cast import Cast

SignedIn = Callable[[Actor], Client]
W = "/w/flight-ops"
NONE = "00000000-0000-0000-0000-000000000001"
ACTORS = ("owner", "steward", "analyst", "auditor", "outsider", "nobody")
NOWHERE = (404, 404, 404, 404, 404, 302)
TABLE: dict[str, tuple[str, str, tuple[int, ...]]] = {
    "page-home": ("GET", "/", (302, 302, 302, 302, 302, 302)),
    "page-palette": ("GET", "/palette", (200, 200, 200, 200, 200, 302)),
    "page-status": ("GET", "/status", (200, 200, 200, 200, 200, 302)),
    "page-isolation": ("GET", "/isolation", (200, 403, 403, 403, 200, 302)),
    "page-devices": ("GET", "/devices", (200, 200, 200, 200, 200, 302)),
    "page-device-approve": ("POST", "/devices/{device}/approve", (302, 404, 403, 403, 404, 302)),
    "page-device-state": ("POST", "/devices/{device}/state", (302, 404, 403, 403, 404, 302)),
    "page-device-revoke": ("POST", "/devices/{device}/revoke", (302, 404, 302, 403, 404, 302)),
    "page-device-reset-predictions": (
        "POST",
        "/devices/{device}/reset-predictions",
        (302, 404, 302, 403, 404, 302),
    ),
    "page-tokens": ("GET", "/settings/tokens", (200, 200, 200, 200, 200, 302)),
    "page-token-create": ("POST", "/settings/tokens/create", (200, 200, 200, 200, 200, 302)),
    "page-token-revoke": (
        "POST",
        "/settings/tokens/{token}/revoke",
        (302, 404, 302, 403, 404, 302),
    ),
    "page-organization": ("GET", "/organization", (200, 200, 200, 200, 200, 302)),
    "page-organization-local-mode": (
        "POST",
        "/organization/local-mode",
        (302, 403, 403, 403, 302, 302),
    ),
    "page-organization-tags": ("POST", "/organization/tags", (302, 403, 403, 403, 302, 302)),
    "page-organization-governed-tags": (
        "POST",
        "/organization/tags/only-defined",
        (302, 403, 403, 403, 302, 302),
    ),
    "page-organization-tag-delete": ("POST", "/organization/tags/none/delete", NOWHERE),
    "page-organization-attributes": (
        "POST",
        "/organization/attributes/user/{analyst}",
        (302, 403, 403, 403, 404, 302),
    ),
    "page-events": ("GET", f"{W}/events", (200, 200, 200, 200, 404, 302)),
    "page-settings": ("GET", f"{W}/settings", (200, 200, 200, 200, 404, 302)),
    "page-catalogs": ("GET", f"{W}/catalog", (200, 200, 200, 200, 404, 302)),
    "page-catalog-create": ("POST", f"{W}/catalog/create", (302, 403, 403, 403, 404, 302)),
    "page-catalog": ("GET", f"{W}/catalog/none", (404, 404, 404, 404, 404, 302)),
    "page-catalog-settings": ("GET", f"{W}/catalog/none/settings", NOWHERE),
    "page-catalog-restore": ("POST", f"{W}/dropped-catalogs/none/restore", NOWHERE),
    "page-adoptions": ("GET", f"{W}/adoptions", (200, 200, 200, 200, 404, 302)),
    "page-adoption-new": ("GET", f"{W}/adoptions/new", (200, 200, 200, 200, 404, 302)),
    "page-adoption": ("GET", f"{W}/adoptions/{NONE}", (404, 404, 404, 404, 404, 302)),
    "page-adoption-step": ("POST", f"{W}/adoptions/{NONE}/cancel", NOWHERE),
    "page-buckets": ("GET", f"{W}/buckets", (200, 200, 200, 200, 404, 302)),
    "page-bucket-connect": ("GET", f"{W}/buckets/connect", (200, 200, 200, 200, 404, 302)),
    "page-bucket": ("GET", f"{W}/buckets/none", (404, 404, 404, 404, 404, 302)),
    "page-bucket-settings": ("GET", f"{W}/buckets/none/settings", NOWHERE),
    "page-bucket-step": ("POST", f"{W}/buckets/none/check", (404, 404, 404, 404, 404, 302)),
    "page-view": ("GET", f"{W}/catalog/none/main/none/view", (404, 404, 404, 404, 404, 302)),
    "page-view-new": ("GET", f"{W}/catalog/none/new-view", NOWHERE),
    "page-view-change": ("GET", f"{W}/catalog/none/main/none/view/change", NOWHERE),
    "page-view-drop": ("GET", f"{W}/catalog/none/main/none/view/drop", NOWHERE),
    "page-catalog-rollback": ("GET", f"{W}/catalog/none/rollback", NOWHERE),
    "page-register": ("GET", f"{W}/catalog/none/register", NOWHERE),
    "page-table-restore": ("POST", f"{W}/catalog/none/dropped-tables/{NONE}/restore", NOWHERE),
    "page-table-activity": ("GET", f"{W}/catalog/none/main/none/activity", NOWHERE),
    "page-table": ("GET", f"{W}/catalog/none/main/none", (404, 404, 404, 404, 404, 302)),
    "page-catalog-maintenance": ("GET", f"{W}/catalog/none/maintenance", NOWHERE),
    "page-table-maintenance": ("GET", f"{W}/catalog/none/main/none/maintenance", NOWHERE),
    "page-health": ("GET", f"{W}/health", (200, 200, 200, 200, 404, 302)),
    "page-upkeep-run": ("GET", f"{W}/maintenance/{NONE}", (404, 404, 404, 404, 404, 302)),
    "page-upkeep-cancel": ("POST", f"{W}/maintenance/{NONE}/cancel", NOWHERE),
    "page-connectors": ("GET", f"{W}/catalog/none/connectors", NOWHERE),
    "page-connector-new": ("GET", f"{W}/new-connector/none", NOWHERE),
    "page-connector": ("GET", f"{W}/connectors/none/none", NOWHERE),
    "page-connector-step": ("POST", f"{W}/connectors/none/none/run", NOWHERE),
    "page-table-describe": ("POST", f"{W}/catalog/none/main/none/describe", NOWHERE),
    "page-access": ("GET", f"{W}/access", (200, 200, 200, 200, 404, 302)),
    "page-access-review": ("GET", f"{W}/access/reviews/{NONE}", (404, 404, 404, 404, 404, 302)),
    "page-access-review-evidence": ("GET", f"{W}/access/reviews/{NONE}/evidence.csv", NOWHERE),
    "page-access-review-step": ("POST", f"{W}/access/reviews/{NONE}/{NONE}/confirm", NOWHERE),
    "page-access-reviews": ("GET", f"{W}/access/reviews", (200, 200, 200, 200, 404, 302)),
    "page-who": ("GET", f"{W}/access/who?on=a.b.c", (404, 404, 404, 404, 404, 302)),
    "page-access-step": ("POST", f"{W}/access/{NONE}/grant", (404, 404, 404, 404, 404, 302)),
    "page-policies": ("GET", f"{W}/policies", (200, 200, 200, 200, 404, 302)),
    "page-policy-new": ("GET", f"{W}/policies/new", (200, 200, 200, 200, 404, 302)),
    "page-policy-scopes": ("GET", f"{W}/policies/new/scopes", (200, 200, 200, 200, 404, 302)),
    **{
        name: (method, f"{W}/policies/none{rest}", (404, 404, 404, 404, 404, 302))
        for name, method, rest in (
            ("page-policy", "GET", ""),
            ("page-policy-draft", "POST", "/draft"),
            ("page-policy-compose", "POST", "/compose"),
            ("page-policy-principals", "POST", "/principals"),
            ("page-policy-check", "POST", "/check"),
            ("page-policy-save", "POST", "/save"),
            ("page-policy-impact", "POST", "/impact"),
            ("page-policy-replay", "POST", "/replays"),
            ("page-policy-replay-progress", "GET", f"/replays/{NONE}"),
            ("page-policy-step", "POST", "/steps/publish"),
            ("page-policy-version", "GET", "/versions/1"),
        )
    },
    "page-view-as": ("GET", f"{W}/policies/view-as", (200, 403, 403, 403, 404, 302)),
    "page-query": ("GET", f"{W}/query", (200, 200, 200, 200, 404, 302)),
    "page-query-tables": ("GET", f"{W}/query/tables?q=a", (200, 200, 200, 200, 404, 302)),
    "page-history": ("GET", f"{W}/query/history", (200, 200, 200, 200, 404, 302)),
    "page-saved": ("GET", f"{W}/saved", (200, 200, 200, 200, 404, 302)),
    "page-plan": ("POST", f"{W}/query/plan", (200, 200, 200, 200, 404, 302)),
    "page-saved-delete": ("POST", f"{W}/saved/{NONE}/delete", (404, 404, 404, 404, 404, 302)),
    "page-query-plan": ("GET", f"{W}/queries/{NONE}/plan", (404, 404, 404, 404, 404, 302)),
    "page-permalink": ("GET", f"{W}/queries/{NONE}", NOWHERE),
}
CASES = [
    (method, path, actor, status)
    for method, path, statuses in TABLE.values()
    for actor, status in zip(ACTORS, statuses, strict=True)
]
Case = tuple[str, str, str, int]


@pytest.fixture
def device(cast: Cast) -> Device:
    """Return the analyst's machine, waiting for approval."""
    jwk = OKPKey.generate_key("Ed25519").as_dict(private=False)
    return accounts.enroll_device(
        actor=cast.actor("analyst"),
        name="laptop",
        public_jwk={member: str(value) for member, value in jwk.items()},
    )


@pytest.fixture
def token(cast: Cast) -> ApiToken:
    """Return a token of the analyst's."""
    issued = accounts.create_token(
        actor=cast.actor("analyst"),
        owner=cast.users["analyst"],
        name="notebook",
        scopes=frozenset({Scope.QUERY_RUN}),
        expires_at=timezone.now() + timedelta(days=1),
    )
    return issued.token


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[2]} {case[1]}")
def test_it_answers_each_person_as_the_table_says(
    case: Case,
    cast: Cast,
    device: Device,
    token: ApiToken,
    signed_in: SignedIn,
) -> None:
    method, path, actor, status = case
    client = Client() if actor == "nobody" else signed_in(cast.actor(actor))
    body = {"name": "fresh", "scopes": ["query:run"], "days": "7"}
    address = path.format(device=device.id, token=token.id, analyst=device.user_id)
    answer = client.get(address) if method == "GET" else client.post(address, body)
    assert answer.status_code == status
    if actor == "nobody":
        assert answer.headers["Location"].startswith("/accounts/login/")


def _names(patterns: list[URLPattern | URLResolver]) -> set[str]:
    found: set[str] = set()
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            found |= _names(pattern.url_patterns)
        elif (pattern.name or "").startswith("page-"):
            found.add(str(pattern.name))
    return found


def test_it_has_a_line_in_the_table_for_every_page() -> None:
    assert _names(get_resolver().url_patterns) == set(TABLE)


def test_it_sends_a_fragment_without_a_session_to_the_sign_in_page(client: Client) -> None:
    answer = client.get("/palette", headers={"HX-Request": "true"})
    assert (answer.status_code, answer.headers["HX-Redirect"]) == (204, "/accounts/login/")


def test_it_renders_a_refusal_with_its_reason_and_remedy(
    analyst: Actor, signed_in: SignedIn
) -> None:
    answer = signed_in(analyst).post(f"{W}/catalog/create", {"name": "mine"})
    text = answer.content.decode()
    assert answer.status_code == 403
    assert "No policy allows analyst@demo-air.example to create a catalog" in text
    assert "owner@demo-air.example" in text


def test_it_shows_a_token_once_and_keeps_it_nowhere(analyst: Actor, signed_in: SignedIn) -> None:
    client = signed_in(analyst)
    body = {"name": "notebook", "scopes": ["query:run"], "days": "30"}
    created = client.post("/settings/tokens/create", body)
    secret = re.search(r"upend_[0-9a-f]{12}_[\w-]{40,}", created.content.decode())
    assert secret is not None
    assert "no-store" in created.headers["Cache-Control"]
    assert secret[0] not in client.get("/settings/tokens").content.decode()


def test_it_lets_an_admin_approve_a_waiting_device(
    owner: Actor, device: Device, signed_in: SignedIn
) -> None:
    client = signed_in(owner)
    assert device.thumbprint in client.get("/devices").content.decode()
    client.post(f"/devices/{device.id}/approve")
    device.refresh_from_db()
    assert device.status == DeviceStatus.APPROVED


def test_it_tells_someone_without_devices_how_to_connect_one(
    analyst: Actor, signed_in: SignedIn
) -> None:
    assert "upend login" in signed_in(analyst).get("/devices").content.decode()


def test_it_filters_events_by_the_address(
    owner: Actor, device: Device, signed_in: SignedIn
) -> None:
    client = signed_in(owner)
    rows = client.get(f"{W}/events?noun=device").context["rows"]
    assert {row.event for row in rows} == {"device.enrolled"}
    shown = client.get(f"{W}/events?noun=device&show={rows[0].id}").content.decode()
    assert device.thumbprint in shown


def test_it_pages_events_without_repeating_one(owner: Actor, signed_in: SignedIn) -> None:
    client = signed_in(owner)
    for name in range(60):
        body = {"name": f"t{name}", "scopes": ["query:run"], "days": "7"}
        client.post("/settings/tokens/create", body)
    first = client.get(f"{W}/events")
    second = client.get(f"{W}/events?before={first.context['older']}")
    ids = [row.id for answer in (first, second) for row in answer.context["rows"]]
    assert len(ids) == len(set(ids)) > 60
    assert ids == sorted(ids, reverse=True)


def test_it_sets_limits_for_an_owner_and_says_which_numbers_will_do(
    owner: Actor, signed_in: SignedIn, cast: Cast
) -> None:
    client = signed_in(owner)
    form = client.get(f"{W}/settings").context["form"]
    body = {name: field.initial for name, field in form.fields.items()}
    refused = client.post(f"{W}/settings", body | {"max_running_queries": 0})
    assert "greater than or equal to 1" in refused.content.decode()
    taken = client.post(f"{W}/settings", body | {"max_running_queries": 3})
    assert (taken.status_code, taken.headers["Location"]) == (302, f"{W}/settings")
    cast.workspace.refresh_from_db()
    assert cast.workspace.max_running_queries == 3
    record = AuditRecord.objects.get(event="workspace.changed")
    assert (record.before, record.after) == (
        {"max_running_queries": 8},
        {"max_running_queries": 3},
    )


def test_it_shows_an_analyst_the_limits_but_takes_none(
    analyst: Actor, signed_in: SignedIn, cast: Cast
) -> None:
    client = signed_in(analyst)
    shown = client.get(f"{W}/settings").content.decode()
    assert "Only an owner of the workspace" in shown
    assert "Set the limits" not in shown
    assert client.post(f"{W}/settings", {"max_running_queries": 3}).status_code == 403
    assert AuditRecord.objects.get(event="decision.denied").actor_id == analyst.id


def test_it_serves_every_page_under_the_strict_policy(owner: Actor, signed_in: SignedIn) -> None:
    policy = signed_in(owner).get(f"{W}/query").headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe-inline" not in policy
    assert "unsafe-eval" not in policy


def test_it_remembers_the_theme_from_the_first_byte(client: Client) -> None:
    client.cookies["upend_theme"] = "dark"
    assert 'data-theme="dark"' in client.get("/accounts/login/").content.decode()
    client.cookies["upend_theme"] = '"><script>'
    assert "data-theme" not in client.get("/accounts/login/").content.decode()


def test_it_finds_pages_and_actions_in_the_palette(analyst: Actor, signed_in: SignedIn) -> None:
    client = signed_in(analyst)
    assert "Saved queries" in client.get("/palette?w=flight-ops&q=saved").content.decode()
    assert "Nothing matches" in client.get("/palette?w=flight-ops&q=zzz").content.decode()


def test_it_offers_no_public_sign_up(client: Client) -> None:
    assert "sign up" not in client.get("/accounts/login/").content.decode().lower()


def test_it_settles_the_organization_for_everyone_on_one_page(
    cast: Cast, signed_in: SignedIn
) -> None:
    client, analyst = signed_in(cast.actor("owner")), cast.users["analyst"]
    asked: list[tuple[str, dict[str, str]]] = [
        ("/organization/local-mode", {"enabled": "no"}),
        (
            "/organization/tags",
            {"name": "sensitivity", "allowed_values": "low, high", "description": "How much."},
        ),
        ("/organization/tags/only-defined", {"enabled": "yes"}),
        (f"/organization/attributes/user/{analyst.id}", {"attributes": "region = eu\nteam=ops\n"}),
    ]
    for address, form in asked:
        assert client.post(address, form).status_code == 302
    page = client.get("/organization").content.decode()
    for shown in ("Off for everyone", "How much.", ">high<", ">region=eu<", ">team=ops<"):
        assert shown in page
    cast.organization.refresh_from_db()
    assert (cast.organization.local_mode_enabled, cast.organization.governed_tags_only) == (
        False,
        True,
    )
    refused = client.post("/organization/tags", {"name": "Not a tag"})
    assert (refused.status_code, "is not a tag" in refused.content.decode()) == (422, True)
    wrong = client.post(asked[-1][0], {"attributes": "region"})
    assert (wrong.status_code, "name=value" in wrong.content.decode()) == (422, True)
    assert (
        ">region=eu<" not in signed_in(cast.actor("analyst")).get("/organization").content.decode()
    )


def test_it_takes_an_administrators_word_for_a_device(
    cast: Cast, device: Device, signed_in: SignedIn
) -> None:
    client = signed_in(cast.actor("owner"))
    client.post(f"/devices/{device.id}/approve")
    for form in ({"is_managed": "yes"}, {"is_disk_encrypted": "yes"}, {"is_managed": "no"}):
        assert client.post(f"/devices/{device.id}/state", form).status_code == 302
    device.refresh_from_db()
    assert (device.is_managed, device.is_disk_encrypted) == (False, True)
    page = client.get("/devices").content.decode()
    assert '<span class="tag good">disk encrypted</span>' in page
    assert '<span class="tag good">managed</span>' not in page
