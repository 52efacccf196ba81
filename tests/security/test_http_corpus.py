"""The corpus' requests: storage that points inwards, forged manifests, guessed codes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlencode

import pytest
from django.core.cache import cache
from django.test import Client
from pytest_django.fixtures import Settings

from accounts.domain import Actor
from catalog import services as catalogs
from catalog import storage
from catalog.buckets.rules import BucketSettings
from catalog.models import Adoption, Bucket
from catalog.storage.endpoints import EndpointRefused
from execution.domain import Estimate, RequestedPlace
from execution.models import Grant, Query
from execution.placement import place
from execution.services.grants import TooManyFiles, check_file_count
from execution.services.submit import PlaceRefused
from governance.domain import Action, ColumnMask, Decision, Obligations, RowFilter
from governance.services import assign_tag
from tests.cast import Cast
from tests.catalog.names import PUBLIC, Answers, dns
from tests.catalog.storage_servers import Asked, ok, redirecting, serving
from tests.client.signing import NOW, Organization, claims
from tests.client.test_verify_manifest import EXPECTED, part
from tests.execution.test_delegated_queries import Granted, Laptop, granted, laptop, query
from tests.platform.test_device_login import GRANT, ME, as_form
from tests.platform.test_device_login import Laptop as Prover
from tests.security.corpus import Attack, by_id, runs
from upend.errors import ManifestRejected
from upend.manifest import ServerKeys, verify
from workspaces.models import Workspace

__all__ = ["dns", "granted", "laptop", "query"]

SignedIn = Callable[[Actor], Client]


@pytest.fixture(autouse=True)
def _fresh_counts() -> None:
    """Start each test with no calls counted against this address."""
    cache.clear()


# --- Storage of one's own: what is named is checked before anything is kept or reached ------------
BUCKETS = "/api/v1/workspaces/flight-ops/buckets"
A_BUCKET = {
    "name": "Theirs",
    "bucket_name": "theirs",
    "region": "us-east-1",
    "key": {"access_key_id": "AKIA", "secret_access_key": "open-sesame"},
}
INWARD = by_id("SSRF-02", "SSRF-03", "SSRF-05", "SSRF-06", "SSRF-07")


@runs(INWARD)
def test_it_registers_no_storage_that_points_inwards(
    attack: Attack, owner: Actor, signed_in: SignedIn, dns: Answers
) -> None:
    """As the endpoint, and as the service that lends a role's keys; names may even resolve."""
    dns["evil"] = dns["0x7f.1"] = dns["s3.example.com"] = [PUBLIC]
    role = {"credential_kind": "assume_role", "role_arn": "arn:aws:iam::123456789012:role/upend"}
    value = attack.sql.partition("=")[2]
    for named in (
        {"endpoint": value},
        {"endpoint": "https://s3.example.com", "sts_endpoint": value, **role},
    ):
        answer = signed_in(owner).post(BUCKETS, A_BUCKET | named, content_type="application/json")
        assert answer.status_code == 422, answer.content
        assert answer.json()["code"] == "endpoint-refused"
        assert answer.json()["hint"]
    assert not Bucket.objects.filter(kind="customer").exists()


@runs(by_id("SSRF-08"))
def test_it_is_led_nowhere_by_a_name_that_changes(
    attack: Attack, owner: Actor, signed_in: SignedIn, dns: Answers
) -> None:
    """Public when it is registered, this machine's when it is used; then from the beginning."""
    client = signed_in(owner)
    seen: list[str] = []

    def note(request: Asked) -> None:
        seen.append(request.path)
        ok(request)

    with serving(note) as port:
        dns["rebind.evil.test"] = [PUBLIC, "127.0.0.1"]
        named = A_BUCKET | {"endpoint": f"http://rebind.evil.test:{port}"}
        made = client.post(BUCKETS, named, content_type="application/json")
        assert made.status_code == 201, made.content
        bucket = Bucket.objects.get(kind="customer")
        with pytest.raises(EndpointRefused) as refused:
            storage.of(bucket).read("a")
        assert refused.value.status == 422
        renamed = named | {"name": "Again"}
        again = client.post(BUCKETS, renamed, content_type="application/json")
        assert again.status_code == 422, again.content
    assert seen == []


@runs(by_id("SSRF-09"))
def test_it_is_led_nowhere_by_a_redirect(
    attack: Attack, owner: Actor, workspace: Workspace, dns: Answers, settings: Settings
) -> None:
    target = attack.sql.partition("Location: ")[2]
    with serving(redirecting(307, Location=target)) as port:
        settings.STORAGE_ALLOWED_HOSTS = frozenset({f"127.0.0.1:{port}"})
        bucket = catalogs.connect_bucket(
            actor=owner,
            workspace=workspace,
            settings=BucketSettings("Theirs", "theirs", f"http://127.0.0.1:{port}", "us-east-1"),
            key=storage.Credentials("AKIA", "open-sesame"),
        )
        store = storage.of(bucket)
        for use in (store.read, store.size, lambda key: store.put_bytes(key, b""), store.keys):
            with pytest.raises(EndpointRefused, match=r"169\.254\.169\.254") as refused:
                use("a/")
            assert refused.value.status == 422


ADOPTIONS = "/api/v1/workspaces/flight-ops/adoptions"
A_LAKE = {"name": "theirs", "mode": "read_only", "metadata_store": "postgresql"}
GOOD_DSN = "host=db.example.com user=lake password=open-sesame dbname=lake"


@runs(by_id("SSRF-11", "SSRF-13"))
def test_it_takes_no_database_that_leads_elsewhere(
    attack: Attack, owner: Actor, signed_in: SignedIn, dns: Answers
) -> None:
    dns["db.example.com"] = [PUBLIC]
    client = signed_in(owner)
    for dsn in DSNS[attack.id]:
        asked = A_LAKE | {"dsn": dsn.format(good=GOOD_DSN)}
        refused = client.post(ADOPTIONS, asked, content_type="application/json")
        assert refused.status_code == 422, refused.content
        assert refused.json()["code"] == "endpoint-refused"
        assert b"open-sesame" not in refused.content
    assert not Adoption.objects.exists()
    taken = client.post(ADOPTIONS, A_LAKE | {"dsn": GOOD_DSN}, content_type="application/json")
    assert taken.status_code == 202, taken.content
    assert b"open-sesame" not in taken.content


DSNS = {
    "SSRF-11": [
        "host='10.0.0.5,127.0.0.1' user=lake password=open-sesame dbname=lake",
        "postgresql://lake:open-sesame@db.example.com,127.0.0.1/lake",
    ],
    "SSRF-13": [
        "{good} sslkey=/etc/ssl/private/k passfile=/root/.pgpass service=x",
        "{good} sslkey=/etc/ssl/private/k",
        "{good} passfile=/root/.pgpass",
        "{good} service=x",
    ],
}


@runs(by_id("INTEGRITY-13"))
def test_it_assumes_no_role_without_the_external_id_that_it_made(
    attack: Attack, owner: Actor, signed_in: SignedIn, settings: Settings
) -> None:
    """Nobody chooses it, and every request for keys has it: so a role may insist on it."""
    asked: list[dict[str, list[str]]] = []

    def refuse(request: Asked) -> None:
        asked.append(parse_qs(request.body.decode()))
        redirecting(403)(request)

    with serving(refuse) as port:
        settings.STORAGE_ALLOWED_HOSTS |= {f"127.0.0.1:{port}"}
        named = A_BUCKET | {
            "endpoint": f"http://127.0.0.1:{port}",
            "sts_endpoint": f"http://127.0.0.1:{port}",
            "credential_kind": "assume_role",
            "role_arn": "arn:aws:iam::123456789012:role/upend",
            "prefix": "lake/",
            "external_id": "chosen",
        }
        made = signed_in(owner).post(BUCKETS, named, content_type="application/json")
        assert made.status_code == 201, made.content
        bucket = Bucket.objects.get(kind="customer")
        with pytest.raises(storage.StorageUnreachable):
            storage.of(bucket).read("lake/a")
    assert asked
    for one in asked:
        assert one["ExternalId"] == [f"upend-{bucket.workspace.organization_id}"]
        assert "theirs/lake/*" in one["Policy"][0]


# --- Manifests -------------------------------------------------------------------------------
GOVERNED = [
    Obligations(masks=(ColumnMask("email", "'***'", "mask"),)),
    Obligations(row_filters=(RowFilter("region = 'EU'", "own-region"),)),
    Obligations(hidden_columns=frozenset({"ssn"})),
]


@runs(by_id("HTTP-04"))
def test_it_hands_out_no_raw_file_of_governed_data(attack: Attack, laptop: Laptop) -> None:
    for obligations in GOVERNED:
        decision = Decision(
            True, Action.TABLE_QUERY, "table:x/y", "shop.main.sales", "", obligations=obligations
        )
        placement = place(
            actor=laptop.actor,
            requested=RequestedPlace.LOCAL,
            estimate=Estimate((), 0, 0),
            decisions=[decision],
            local_decisions=[],
            local_max_bytes=2**40,
        )
        assert placement.place is None
        assert placement.refusal is not None
        assert placement.refusal.code == "governed-data"
    assert PlaceRefused.status == 403


@runs(by_id("HTTP-05"))
def test_it_hands_out_nothing_after_the_right_has_ended(
    attack: Attack, granted: Granted, laptop: Laptop, steward: Actor
) -> None:
    assert granted.ask().status_code == 307
    assign_tag(actor=steward, securable=granted.catalog.securable, tag="personal-data")
    assert granted.ask().status_code == 403


@pytest.fixture
def organization() -> Organization:
    return Organization()


FORGERIES: dict[str, list[Callable[[Organization], str]]] = {
    "HTTP-06": [lambda o: part(o.sign(claims()), 0, lambda h: h.update(alg="none"))],
    "HTTP-07": [lambda o: o.sign_hs256(claims())],
    "HTTP-08": [
        lambda o: o.sign(claims(), typ="at+jwt"),
        lambda o: o.sign(claims(), typ="upend-receipt+jwt"),
        lambda o: o.sign(claims(aud="another-device")),
    ],
    "HTTP-09": [
        lambda o: o.sign(claims(exp=NOW - 61)),
        lambda o: o.sign(claims(iat=NOW + 120, exp=NOW + 600)),
    ],
    "HTTP-14": [
        lambda o: part(
            o.sign(claims()), 1, lambda c: c["upend"]["files"].update(base_url="http://evil/")
        )
    ],
}


@runs(by_id(*FORGERIES))
def test_it_believes_no_forged_manifest(
    attack: Attack, organization: Organization, tmp_path: Any
) -> None:
    keys = ServerKeys(tmp_path / "keys.json", lambda: {"keys": [organization.published]})
    assert verify(organization.sign(claims()), expected=EXPECTED, keys=keys, now=NOW)
    for forge in FORGERIES[attack.id]:
        with pytest.raises(ManifestRejected):
            verify(forge(organization), expected=EXPECTED, keys=keys, now=NOW)


@runs(by_id("HTTP-18"))
def test_it_signs_no_manifest_of_too_many_files(attack: Attack) -> None:
    check_file_count(10_000)
    with pytest.raises(TooManyFiles) as refused:
        check_file_count(10_001)
    assert refused.value.status == 422


# --- Device proofs -----------------------------------------------------------------------------
@pytest.fixture
def prover(analyst: Actor, bearer: Callable[..., dict[str, str]]) -> Prover:
    return Prover(bearer(analyst)["Authorization"].removeprefix("Bearer "))


@runs(by_id("HTTP-10"))
def test_it_gives_a_manifest_to_no_other_key(
    attack: Attack,
    prover: Prover,
    query: Query,
    steward: Actor,
    bearer: Callable[..., dict[str, str]],
) -> None:
    address = f"/api/v1/workspaces/flight-ops/queries/{query.id}/manifest"
    assert prover.enroll().status_code == 201
    # The token of one person with the device of another: the proof is refused, 401.
    thief = Prover(bearer(steward)["Authorization"].removeprefix("Bearer "))
    thief.key = prover.key
    headers = {"Authorization": f"Bearer {thief.token}"}
    proven = headers | {"DPoP": thief.proof("POST", address)}
    assert thief.client.post(address, headers=proven).status_code == 401
    # The right person with another of their devices: known, and not the one it is for.
    own = {"Authorization": f"Bearer {prover.token}", "DPoP": prover.proof("POST", address)}
    assert prover.client.post(address, headers=own).status_code == 403
    assert not Grant.objects.exists()


@runs(by_id("HTTP-11"))
def test_it_takes_a_proof_once(attack: Attack, prover: Prover) -> None:
    proof = prover.proof("GET", ME)
    assert prover.get(proof=proof).status_code == 200
    assert prover.get(proof=proof).status_code == 401


@runs(by_id("HTTP-12"))
def test_it_takes_no_proof_of_something_else(attack: Attack, prover: Prover) -> None:
    for changes in (
        {"htm": "POST"},
        {"htu": "http://elsewhere.example/api/v1/me"},
        {"ath": "bm90LXRoaXM"},
        {"iat": 1_000_000_000},
    ):
        assert prover.get(proof=prover.proof("GET", ME, **changes)).status_code == 401, changes


# --- Device codes ------------------------------------------------------------------------------
def token_of(code: str, client_id: str = "upend-cli") -> tuple[int, str]:
    answer = as_form(
        "/identity/o/api/token", grant_type=GRANT, device_code=code, client_id=client_id
    )
    return answer.status_code, str(answer.json().get("error", ""))


def asked() -> dict[str, Any]:
    found: dict[str, Any] = as_form("/identity/o/api/device/code", client_id="upend-cli").json()
    return found


@runs(by_id("HTTP-19"))
def test_it_slows_down_who_polls_too_often(attack: Attack, cast: Cast) -> None:
    code = asked()["device_code"]
    assert token_of(code) == (400, "authorization_pending")
    assert token_of(code) == (400, attack.expected)


@runs(by_id("HTTP-20"))
def test_it_redeems_a_code_once_and_for_its_client(
    attack: Attack, analyst: Actor, signed_in: SignedIn
) -> None:
    given = asked()
    page = f"/identity/o/device?{urlencode({'code': given['user_code']})}"
    assert signed_in(analyst).post(page, {"action": "confirm"}).status_code == 200
    assert token_of(given["device_code"], "stranger")[0] in {400, 401}
    assert token_of(given["device_code"])[0] == 200
    assert token_of(given["device_code"]) == (400, attack.expected)


@runs(by_id("HTTP-21"))
def test_it_lets_nobody_guess_codes(attack: Attack, analyst: Actor, signed_in: SignedIn) -> None:
    client = signed_in(analyst)
    codes = (f"AAAA-{n:04d}" for n in range(10_000))
    seen = []
    for code in codes:
        seen.append(client.get(f"/identity/o/device?code={code}").status_code)
        if seen[-1] == 429 or len(seen) > 100:
            break
    assert seen[-1] == 429
    assert len(seen) <= 31
