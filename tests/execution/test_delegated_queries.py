"""A device gets a signed manifest, files while everything still holds, and is held to its word."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.test import Client
from django.utils import timezone

from accounts import services as accounts
from accounts.domain import Actor
from accounts.models import Device
from accounts.selectors import actor_for_user, digest_of
from audit.models import AuditRecord
from catalog import storage
from catalog.domain import BucketKind
from catalog.models import Bucket, Catalog
from execution import services
from execution.domain import QueryState
from execution.models import Grant, GrantedFile, Query
from execution.services.grants import DeviceNotApproved, NotDelegated
from execution.services.receipts import ReceiptConflict, ReceiptRefused
from governance.domain import PolicyKind, VersionState
from governance.models import Policy, PolicySet, PolicyVersion
from governance.services import assign_tag
from tests.cast import Cast
from tests.execution.rows import make_delegated, make_query
from tests.governance.publishing import access
from upend.device import DeviceKey
from workspaces.models import Workspace

CONTENT = b"PAR1 pretends to be a data file"


@dataclass
class Laptop:
    """An approved device of the analyst, and the analyst acting on it."""

    key: DeviceKey
    device: Device
    actor: Actor


@pytest.fixture
def laptop(cast: Cast, analyst: Actor, owner: Actor) -> Laptop:
    key = DeviceKey(Ed25519PrivateKey.generate())
    device = accounts.enroll_device(actor=analyst, name="laptop", public_jwk=key.public_jwk)
    device = accounts.approve_device(actor=owner, device=device)
    actor = actor_for_user(cast.users["analyst"], device=device.identity)
    return Laptop(key, device, actor)


@pytest.fixture
def query(workspace: Workspace, analyst: Actor, laptop: Laptop) -> Query:
    return make_delegated(workspace, analyst, laptop.device)


@dataclass
class Granted:
    """A grant with one file that is really in the bucket."""

    grant: Grant
    bearer: str
    catalog: Catalog
    table_key: str

    def ask(self, method: str = "get", **headers: str) -> Any:
        headers = {"Authorization": f"Bearer {self.bearer}"} | headers
        client: Any = Client(headers=headers)
        return getattr(client, method)(f"/files/{self.grant.id}/0")


@pytest.fixture
def granted(workspace: Workspace, query: Query, laptop: Laptop) -> Granted:
    bucket = Bucket.objects.create(
        workspace=workspace,
        name="hosted",
        kind=BucketKind.HOSTED,
        bucket_name=storage.hosted().bucket,
        prefix="tests/",
    )
    catalog = Catalog.objects.create(
        workspace=workspace,
        bucket=bucket,
        name="flights",
        metadata_schema="lake_test",
        prefix=f"tests/{uuid4()}/",
    )
    key = f"{catalog.prefix}a.parquet"
    storage.hosted().put_bytes(key, CONTENT)
    bearer = "a-bearer-of-this-test"
    grant = Grant.objects.create(
        query=query,
        device=laptop.device,
        bearer_digest=digest_of(bearer),
        expires_at=timezone.now() + timedelta(minutes=5),
    )
    table_key = f"table:{catalog.id}/{uuid4()}"
    GrantedFile.objects.create(
        grant=grant,
        ordinal=0,
        catalog_id=catalog.id,
        table_key=table_key,
        bucket_name=storage.hosted().bucket,
        key=key,
        size_bytes=len(CONTENT),
    )
    return Granted(grant, bearer, catalog, table_key)


def events() -> list[str]:
    return list(AuditRecord.objects.order_by("id").values_list("event", flat=True))


# --- Files ------------------------------------------------------------------------------------
def test_it_leads_to_the_file_and_records_the_first_time_only(granted: Granted) -> None:
    for _ in range(3):
        answer = granted.ask()
        assert answer.status_code == 307
        assert answer["Cache-Control"] == "no-store"
    assert httpx.get(answer["Location"], timeout=60).content == CONTENT
    ranged = httpx.get(answer["Location"], headers={"Range": "bytes=0-3"}, timeout=60)
    assert (ranged.status_code, ranged.content) == (206, b"PAR1")
    assert events().count("file.granted") == 1


def test_it_answers_head_with_an_address_good_for_head(granted: Granted) -> None:
    answer = granted.ask("head")
    assert answer.status_code == 307
    assert int(httpx.head(answer["Location"], timeout=60).headers["Content-Length"]) == len(CONTENT)


def refused(granted: Granted, **headers: str) -> tuple[int, str]:
    answer = granted.ask(**headers)
    assert answer["Content-Type"] == "application/problem+json"
    assert "Location" not in answer
    assert events()[-1] == "file.refused"
    return answer.status_code, answer.json()["code"]


@pytest.mark.parametrize("authorization", ["Bearer wrong", "Basic eA==", ""])
def test_it_refuses_a_wrong_bearer(granted: Granted, authorization: str) -> None:
    assert refused(granted, Authorization=authorization) == (401, "file-bearer-refused")


def test_it_refuses_an_expired_grant(granted: Granted) -> None:
    Grant.objects.update(expires_at=timezone.now())
    assert refused(granted) == (403, "manifest-expired")


def test_it_refuses_a_grant_whose_query_has_ended(granted: Granted, analyst: Actor) -> None:
    services.cancel_query(actor=analyst, query=granted.grant.query)
    assert refused(granted) == (403, "manifest-expired")


def test_it_refuses_a_device_revoked_since(granted: Granted, laptop: Laptop, owner: Actor) -> None:
    accounts.revoke_device(actor=owner, device=laptop.device)
    assert refused(granted) == (403, "file-refused")


def test_it_refuses_a_person_whose_account_was_closed_since(granted: Granted, cast: Cast) -> None:
    cast.users["analyst"].is_active = False
    cast.users["analyst"].save()
    assert refused(granted) == (403, "file-refused")


def test_it_refuses_a_table_tagged_since(granted: Granted, steward: Actor) -> None:
    assert granted.ask().status_code == 307
    assign_tag(actor=steward, securable=granted.catalog.securable, tag="personal-data")
    answer = granted.ask()
    assert refused(granted) == (403, "file-refused")
    assert answer.json()["decision"]["action"] == "table.materialize_locally"


def test_it_refuses_when_the_organization_turned_local_mode_off(
    granted: Granted, owner: Actor, signed_in: Callable[[Actor], Client]
) -> None:
    assert granted.ask().status_code == 307
    page = signed_in(owner).post("/organization/local-mode", {"enabled": "no"})
    assert page.status_code == 302
    assert refused(granted) == (403, "file-refused")
    assert granted.ask().json()["decision"]["determined_by"][0]["name"] == "local-mode-is-off"
    record = AuditRecord.objects.get(event="organization.changed")
    assert (record.actor_id, record.after) == (owner.id, {"local_mode_enabled": False})
    signed_in(owner).post("/organization/local-mode", {"enabled": "yes"})
    assert granted.ask().status_code == 307


def test_it_refuses_a_table_of_a_dropped_catalog(granted: Granted) -> None:
    Catalog.objects.update(dropped_at=timezone.now())
    assert granted.ask().status_code == 404


def test_it_knows_no_other_file(granted: Granted) -> None:
    client = Client(headers={"Authorization": f"Bearer {granted.bearer}"})
    assert client.get(f"/files/{granted.grant.id}/1").status_code == 404
    assert client.get(f"/files/{uuid4()}/0").status_code == 404
    assert client.post(f"/files/{granted.grant.id}/0").status_code == 405


def test_it_answers_a_range_in_few_statements(
    granted: Granted, django_assert_max_num_queries: Callable[[int], Any]
) -> None:
    granted.ask()
    with django_assert_max_num_queries(10):
        granted.ask()


# --- Manifests --------------------------------------------------------------------------------
def test_it_lives_no_longer_than_the_policies_that_permit_it_say(
    query: Query, laptop: Laptop, workspace: Workspace
) -> None:
    services.issue_grant(actor=laptop.actor, query=query)
    as_set = Grant.objects.get(query=query).expires_at
    compiled = access('permit (principal, action == Action::"workspace.query", resource);')
    compiled["statements"][0]["max_age_seconds"] = 90
    policy = Policy.objects.create(
        workspace=workspace,
        name="briefly",
        kind=PolicyKind.ACCESS,
        scope_key=f"workspace:{workspace.id}",
    )
    PolicyVersion.objects.create(
        policy=policy, number=1, state=VersionState.PUBLISHED, text="-", compiled=compiled
    )
    PolicySet.objects.create(workspace=workspace, version=2)
    services.issue_grant(actor=laptop.actor, query=query)
    bounded = Grant.objects.get(query=query).expires_at
    assert bounded < timezone.now() + timedelta(seconds=91) < as_set


def test_it_gives_the_manifest_to_the_querys_own_device_only(
    query: Query, laptop: Laptop, analyst: Actor, owner: Actor, workspace: Workspace
) -> None:
    for stranger in (
        analyst,
        replace(owner, device=laptop.actor.device and replace(laptop.actor.device, id=uuid4())),
    ):
        with pytest.raises(DeviceNotApproved):
            services.issue_grant(actor=stranger, query=query)
    with pytest.raises(NotDelegated):
        services.issue_grant(actor=laptop.actor, query=make_query(workspace, analyst))


def test_it_ends_the_earlier_bearer_when_asked_again(query: Query, laptop: Laptop) -> None:
    services.issue_grant(actor=laptop.actor, query=query)
    first = Grant.objects.get().bearer_digest
    services.issue_grant(actor=laptop.actor, query=query)
    assert Grant.objects.get().bearer_digest != first
    assert events()[-2:] == ["grant.issued", "grant.issued"]


# --- Receipts ---------------------------------------------------------------------------------
def receipt(query: Query, key: DeviceKey, **claims: Any) -> str:
    return key.sign_receipt(
        {
            "query_id": str(query.id),
            "outcome": "succeeded",
            "row_count": 3,
            "bytes_read": 1234,
            "engine_seconds": 0.5,
            "columns": [{"name": "n", "type": "BIGINT"}],
            "iat": int(time.time()),
        }
        | claims
    )


def test_it_takes_the_devices_word_once(query: Query, laptop: Laptop) -> None:
    text = receipt(query, laptop.key)
    for _ in range(2):
        query = services.accept_receipt(actor=laptop.actor, query=query, text=text)
    assert (query.state, query.row_count, query.bytes_read) == (QueryState.SUCCEEDED, 3, 1234)
    assert query.columns == [{"name": "n", "type": "BIGINT"}]
    assert events().count("receipt.accepted") == 1
    other = receipt(query, laptop.key, row_count=4)
    with pytest.raises(ReceiptConflict):
        services.accept_receipt(actor=laptop.actor, query=query, text=other)


def test_it_ends_the_grant_with_the_receipt(granted: Granted, laptop: Laptop) -> None:
    text = receipt(granted.grant.query, laptop.key)
    services.accept_receipt(actor=laptop.actor, query=granted.grant.query, text=text)
    assert refused(granted) == (403, "manifest-expired")


def test_it_keeps_why_a_local_run_failed(query: Query, laptop: Laptop) -> None:
    text = receipt(query, laptop.key, outcome="failed", problem={"code": "local-memory"})
    query = services.accept_receipt(actor=laptop.actor, query=query, text=text)
    assert query.state == QueryState.FAILED
    assert query.problem is not None
    assert (query.problem["code"], query.problem["reason"]) == ("local-run-failed", "local-memory")


@pytest.mark.parametrize(
    "claims",
    [
        {"query_id": str(uuid4())},
        {"outcome": "queued"},
        {"row_count": -1},
        {"bytes_read": 1.5},
        {"engine_seconds": float("nan")},
        {"columns": [1]},
    ],
)
def test_it_refuses_a_receipt_that_makes_no_sense(
    query: Query, laptop: Laptop, claims: dict[str, Any]
) -> None:
    text = receipt(query, laptop.key, **claims)
    with pytest.raises(ReceiptRefused):
        services.accept_receipt(actor=laptop.actor, query=query, text=text)


def test_it_refuses_a_receipt_of_another_key(query: Query, laptop: Laptop) -> None:
    text = receipt(query, DeviceKey(Ed25519PrivateKey.generate()))
    for forged in (text, "nonsense", receipt(query, laptop.key)[:-4] + "AAAA"):
        with pytest.raises(ReceiptRefused):
            services.accept_receipt(actor=laptop.actor, query=query, text=forged)


def test_it_gives_up_on_a_silent_device_and_still_takes_a_late_receipt(
    granted: Granted, laptop: Laptop
) -> None:
    query = granted.grant.query
    Grant.objects.update(expires_at=timezone.now())
    assert services.sweep()["expired"] == 1
    query.refresh_from_db()
    assert query.state == QueryState.FAILED
    assert query.problem is not None
    assert query.problem["code"] == "receipt-missing"
    text = receipt(query, laptop.key)
    query = services.accept_receipt(actor=laptop.actor, query=query, text=text)
    assert (query.state, query.problem) == (QueryState.SUCCEEDED, None)
