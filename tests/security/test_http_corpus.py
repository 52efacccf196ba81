"""The corpus' requests: storage that points inwards, forged manifests, guessed codes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest
from django.core.cache import cache
from django.test import Client

from accounts.domain import Actor
from catalog.models import Catalog
from execution.domain import Estimate, RequestedPlace
from execution.models import Grant, Query
from execution.placement import place
from execution.services.grants import TooManyFiles, check_file_count
from execution.services.submit import PlaceRefused
from governance.domain import Action, ColumnMask, Decision, Obligations, RowFilter
from governance.services import assign_tag
from tests.cast import Cast
from tests.client.signing import NOW, Organization, claims
from tests.client.test_verify_manifest import EXPECTED, part
from tests.execution.test_delegated_queries import Granted, Laptop, granted, laptop, query
from tests.platform.test_device_login import GRANT, ME, as_form
from tests.platform.test_device_login import Laptop as Prover
from tests.security.corpus import ATTACKS, Attack, by_id, runs
from upend.errors import ManifestRejected
from upend.manifest import ServerKeys, verify

__all__ = ["granted", "laptop", "query"]

SignedIn = Callable[[Actor], Client]


@pytest.fixture(autouse=True)
def _fresh_counts() -> None:
    """Start each test with no calls counted against this address."""
    cache.clear()


# --- Storage of one's own: nobody can name any yet, in whatever form -----------------------------
STORAGE_MEMBERS = ("endpoint", "host", "dsn", "data_path", "role_arn", "bucket")


@runs([a for a in ATTACKS if a.category == "ssrf"] + by_id("INTEGRITY-13"))
def test_it_takes_no_storage_from_a_request(
    attack: Attack, owner: Actor, signed_in: SignedIn
) -> None:
    """⚑ When storage can be registered, these cases go to that address instead."""
    client = signed_in(owner)
    address = "/api/v1/workspaces/flight-ops/catalogs"
    value = attack.sql.partition("=")[2] or attack.sql
    for member in STORAGE_MEMBERS:
        body = {"name": "shop", member: value}
        answer = client.post(address, body, content_type="application/json")
        assert answer.status_code == 422, answer.content
        assert member in str(answer.json())
    assert not Catalog.objects.exists()


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
