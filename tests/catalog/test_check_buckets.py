"""The connection check: two servers pass it, and each fault is named by its step with the fix."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
from django.conf import settings
from django.utils import timezone

from accounts.domain import Actor
from audit.domain import Event
from audit.models import AuditRecord
from catalog import services as catalogs
from catalog.buckets.check import STEPS, run_check
from catalog.buckets.report import Outcome, Report
from catalog.buckets.rules import BucketSettings
from catalog.domain import CredentialKind, Encryption
from catalog.models import Bucket
from catalog.models.buckets import external_id_of
from catalog.services.catalogs import BucketNotReady
from catalog.storage import Credentials
from tests.catalog.storages import SESSION_SECONDS, LentStorage
from tests.security.corpus import Attack, by_id, runs
from workspaces.models import Workspace

pytestmark = pytest.mark.django_db

ORIGIN = "https://upend.example"
PREFIX = "lake/"
CORS = {
    "AllowedOrigins": [ORIGIN],
    "AllowedMethods": ["GET"],
    "AllowedHeaders": ["range"],
    "ExposeHeaders": ["Content-Range", "ETag"],
}
Connect = Callable[..., Bucket]


@pytest.fixture
def connect(owner: Actor, workspace: Workspace) -> Connect:
    """Return what connects a bucket of a server, with changes to what is said of it."""

    def connected(
        server: LentStorage, key: Credentials | None, name: str = "", **changes: Any
    ) -> Bucket:
        said = BucketSettings(
            name="Theirs",
            bucket_name=name or server.bucket(),
            endpoint=server.endpoint,
            region=server.region,
            prefix=PREFIX,
        )
        return catalogs.connect_bucket(
            actor=owner, workspace=workspace, settings=replace(said, **changes), key=key
        )

    return connected


def allowed(bucket: str, prefix: str = PREFIX) -> tuple[dict[str, Any], ...]:
    """Return the statements of a policy that reaches one prefix, as the check tells to paste it."""
    inside = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"]
    return (
        {"Effect": "Allow", "Action": ["s3:ListBucket"], "Resource": f"arn:aws:s3:::{bucket}"},
        {"Effect": "Allow", "Action": inside, "Resource": f"arn:aws:s3:::{bucket}/{prefix}*"},
    )


ANY_ROLE = {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*"}
ANYTHING = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}


def checked(bucket: Bucket, key: Credentials | None, **options: Any) -> Report:
    return run_check(bucket, key, origin=ORIGIN, **options)


def outcomes(report: Report, *but: Outcome) -> dict[str, str]:
    return {s.name: f"{s.outcome}: {s.found}" for s in report.steps if s.outcome not in but}


def only_fault(report: Report) -> str:
    """Return the step at fault; what needs it was skipped, and nothing else is wrong."""
    failed = [step for step in report.steps if step.outcome is Outcome.FAILED]
    assert len(failed) == 1, outcomes(report, Outcome.PASSED)
    assert failed[0].fix
    return failed[0].name


@pytest.mark.parametrize("server", ["seaweed", "moto"])
def test_it_passes_a_bucket_by_a_key_of_its_own(
    server: str, connect: Connect, request: pytest.FixtureRequest
) -> None:
    storage: LentStorage = request.getfixturevalue(server)
    name = storage.bucket()
    storage.s3.put_bucket_cors(Bucket=name, CORSConfiguration={"CORSRules": [CORS]})  # type: ignore[list-item]
    key = storage.person(*allowed(name))
    report = checked(connect(storage, key, name), key)
    assert outcomes(report, Outcome.PASSED, Outcome.SKIPPED) == {}
    skipped = {"tls", "assume_role", "external_id", "public_endpoint", "region"}
    assert set(outcomes(report, Outcome.PASSED)) <= skipped
    assert [step.name for step in report.steps] == [step.name for step in STEPS]
    assert storage.keys(name) == []


def test_it_passes_a_role_with_an_external_id(
    moto: LentStorage, connect: Connect, workspace: Workspace
) -> None:
    name = moto.bucket()
    moto.s3.put_bucket_cors(Bucket=name, CORSConfiguration={"CORSRules": [CORS]})  # type: ignore[list-item]
    role = moto.role(external_id_of(workspace), *allowed(name))
    key = moto.person(ANY_ROLE)
    bucket = connect(moto, key, name, **role_settings(moto, role))
    report = checked(bucket, key)
    assert outcomes(report, Outcome.PASSED, Outcome.SKIPPED) == {}
    assert report.step("external_id").outcome is Outcome.PASSED
    assert moto.keys(name) == []


def role_settings(server: LentStorage, role: str) -> dict[str, Any]:
    return {
        "credential_kind": CredentialKind.ASSUME_ROLE,
        "role_arn": role,
        "sts_endpoint": server.endpoint,
    }


@runs(by_id("INTEGRITY-13"))
def test_it_refuses_a_role_that_is_lent_without_the_external_id(
    attack: Attack, moto: LentStorage, connect: Connect
) -> None:
    key = moto.person(ANY_ROLE)
    bucket = connect(moto, key, **role_settings(moto, moto.role("", ANYTHING)))
    report = checked(bucket, key)
    assert report.step("external_id").outcome is Outcome.FAILED
    pasted = json.loads(report.step("external_id").paste)["Statement"][0]
    assert pasted["Condition"] == {"StringEquals": {"sts:ExternalId": bucket.external_id}}
    assert ":user/upend-" in pasted["Principal"]["AWS"]


def test_it_makes_no_catalog_where_a_role_did_not_pass(
    moto: LentStorage, connect: Connect, owner: Actor, workspace: Workspace
) -> None:
    key = moto.person(ANY_ROLE)
    bucket = connect(moto, key, **role_settings(moto, moto.role("", ANYTHING)))
    for _ in ("before the check", "after it"):
        with pytest.raises(BucketNotReady):
            catalogs.create_catalog(actor=owner, workspace=workspace, name="sales", bucket=bucket)
        catalogs.check_bucket(actor=owner, bucket=bucket)


def test_it_refuses_a_role_that_another_organization_was_given(
    moto: LentStorage, connect: Connect
) -> None:
    key = moto.person(ANY_ROLE)
    bucket = connect(moto, key, **role_settings(moto, moto.role("upend-others", ANYTHING)))
    report = checked(bucket, key)
    assert only_fault(report) == "assume_role"
    assert bucket.external_id in report.step("assume_role").paste


@runs(by_id("INTEGRITY-15"))
def test_it_narrows_what_a_role_lends_to_the_prefix(
    attack: Attack, seaweed: LentStorage, connect: Connect
) -> None:
    """SeaweedFS applies session policies, and lends to anybody: one passes, one fails."""
    bucket = connect(seaweed, seaweed.root, **role_settings(seaweed, "arn:aws:iam::role/Open"))
    report = checked(bucket, seaweed.root)
    assert report.step("outside_prefix").outcome is Outcome.PASSED
    assert only_fault(report) == "external_id"
    assert report.step("delete").outcome is Outcome.PASSED


def test_it_tells_that_a_storage_ignores_session_policies(
    moto: LentStorage, connect: Connect, workspace: Workspace
) -> None:
    key = moto.person(ANY_ROLE)
    role = moto.role(external_id_of(workspace), ANYTHING)
    report = checked(connect(moto, key, **role_settings(moto, role)), key)
    assert only_fault(report) == "outside_prefix"


@pytest.mark.parametrize("server", ["seaweed", "moto"])
@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"access_key_id": "AKIANOBODYKNOWSTHIS0"}, "does not know this access key"),
        ({"secret_access_key": "not-the-secret-of-this-key"}, "does not belong"),
    ],
)
def test_it_names_a_wrong_key(
    server: str,
    wrong: dict[str, str],
    told: str,
    connect: Connect,
    request: pytest.FixtureRequest,
) -> None:
    storage: LentStorage = request.getfixturevalue(server)
    key = replace(storage.root, **wrong)  # type: ignore[arg-type]
    report = checked(connect(storage, key), key)
    assert only_fault(report) == "list"
    assert told in report.step("list").found
    assert report.step("put").outcome is Outcome.SKIPPED
    assert "List" in report.step("put").found


def test_it_names_a_wrong_region(moto: LentStorage, connect: Connect) -> None:
    report = checked(connect(moto, moto.root, region="us-west-2"), moto.root)
    assert only_fault(report) == "region"
    assert "eu-central-1" in report.step("region").fix


def test_it_names_a_bucket_that_is_not_there(seaweed: LentStorage, connect: Connect) -> None:
    report = checked(connect(seaweed, seaweed.root, "no-such-lake"), seaweed.root)
    assert only_fault(report) == "list"
    assert "no bucket of this name" in report.step("list").found


def test_it_gives_the_rules_where_cors_is_missing(moto: LentStorage, connect: Connect) -> None:
    name = moto.bucket()
    key = moto.person(*allowed(name))
    report = checked(connect(moto, key, name), key)
    step = report.step("cors")
    assert (report.outcome, step.outcome) == (Outcome.WARNING, Outcome.WARNING)
    rules = json.loads(step.paste)
    moto.s3.put_bucket_cors(Bucket=name, CORSConfiguration={"CORSRules": rules})
    assert checked(Bucket.objects.get(), key).step("cors").outcome is Outcome.PASSED


def test_it_names_a_storage_without_a_token_service(seaweed: LentStorage, connect: Connect) -> None:
    """A web server that is none; and SeaweedFS where no role of this name is set up."""
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        address = f"127.0.0.1:{server.server_port}"
        settings.STORAGE_ALLOWED_HOSTS |= {address}
        given = role_settings(seaweed, "arn:aws:iam::123456789012:role/lake")
        none = connect(seaweed, seaweed.root, **given | {"sts_endpoint": f"http://{address}"})
        reports = [checked(none, seaweed.root)]
        server.shutdown()
    Bucket.objects.update(sts_endpoint=seaweed.endpoint)
    reports.append(checked(Bucket.objects.get(), seaweed.root))
    for report in reports:
        assert only_fault(report) == "assume_role"
        assert "static key" in report.step("assume_role").fix


def test_it_names_a_session_that_ended(seaweed: LentStorage, connect: Connect) -> None:
    lent = seaweed.client("sts").assume_role(
        RoleArn="arn:aws:iam::role/Open", RoleSessionName="brief"
    )["Credentials"]
    key = Credentials(lent["AccessKeyId"], lent["SecretAccessKey"], lent["SessionToken"])
    bucket = connect(seaweed, key)
    ends = time.monotonic() + SESSION_SECONDS + 120
    while (report := checked(bucket, key)).step("list").outcome is not Outcome.FAILED:
        assert time.monotonic() < ends
    assert only_fault(report) == "list"
    assert "session token has expired" in report.step("list").found


def test_it_names_a_key_whose_term_is_over(seaweed: LentStorage, connect: Connect) -> None:
    over = replace(seaweed.root, expires_at=timezone.now() - timedelta(minutes=1))
    assert only_fault(checked(connect(seaweed, over), over)) == "key"


@pytest.mark.parametrize("minutes", [-20, 20])
def test_it_names_a_clock_that_is_off(minutes: int, seaweed: LentStorage, connect: Connect) -> None:
    bucket = connect(seaweed, seaweed.root)
    ours = lambda: datetime.now(UTC) + timedelta(minutes=minutes)  # noqa: E731 - a clock
    report = checked(bucket, seaweed.root, now=ours)
    assert only_fault(report) == "clock"
    assert "NTP" in report.step("clock").fix


def test_it_warns_of_a_key_that_reaches_outside_the_prefix(
    seaweed: LentStorage, connect: Connect
) -> None:
    bucket = connect(seaweed, seaweed.root)
    report = checked(bucket, seaweed.root)
    assert report.step("outside_prefix").outcome is Outcome.WARNING
    assert f"{bucket.bucket_name}/lake/*" in report.step("outside_prefix").paste
    assert seaweed.keys(bucket.bucket_name) == []


def test_it_gives_the_policy_where_the_key_may_not_delete(
    moto: LentStorage, connect: Connect
) -> None:
    name = moto.bucket()
    listing, inside = allowed(name)
    without = inside | {"Action": ["s3:GetObject", "s3:PutObject"]}
    key = moto.person(listing, without)
    report = checked(connect(moto, key, name), key)
    assert report.step("delete").outcome is Outcome.FAILED
    assert "s3:DeleteObject" in report.step("delete").paste


def test_it_only_reads_what_is_read_only(seaweed: LentStorage, connect: Connect) -> None:
    bucket = connect(seaweed, seaweed.root, is_read_only=True)
    seaweed.s3.put_object(Bucket=bucket.bucket_name, Key="lake/theirs", Body=b"0123456789")
    report = checked(bucket, seaweed.root)
    for name in ("put", "multipart", "delete"):
        assert report.step(name).outcome is Outcome.SKIPPED
    for name in ("range", "presign_get", "presign_head"):
        assert report.step(name).outcome is Outcome.PASSED, report.step(name)
    assert seaweed.keys(bucket.bucket_name) == ["lake/theirs"]


def test_it_checks_that_objects_are_encrypted(seaweed: LentStorage, connect: Connect) -> None:
    bucket = connect(seaweed, seaweed.root, encryption=Encryption.SSE_S3)
    step = checked(bucket, seaweed.root).step("put")
    assert (step.outcome, step.found) == (Outcome.PASSED, "Written, encrypted with AES256.")


def test_it_ends_where_nothing_answers(seaweed: LentStorage, connect: Connect) -> None:
    settings.STORAGE_ALLOWED_HOSTS |= {"127.0.0.1:9"}
    bucket = connect(seaweed, seaweed.root, endpoint="http://127.0.0.1:9")
    assert only_fault(checked(bucket, seaweed.root)) == "clock"
    assert "did not answer" in checked(bucket, seaweed.root).step("clock").found


def test_it_skips_what_it_has_no_time_for(seaweed: LentStorage, connect: Connect) -> None:
    report = checked(connect(seaweed, seaweed.root), seaweed.root, deadline_seconds=0)
    assert {step.outcome for step in report.steps} == {Outcome.SKIPPED}


def test_it_keeps_and_records_what_it_found(
    seaweed: LentStorage, connect: Connect, owner: Actor
) -> None:
    bucket = connect(seaweed, seaweed.root)
    catalogs.check_bucket(actor=owner, bucket=bucket)
    kept = Bucket.objects.get()
    assert kept.is_usable
    assert kept.last_check is not None
    assert kept.last_check["steps"][0]["name"] == "resolve"
    record = AuditRecord.objects.get(event=Event.BUCKET_CHECKED)
    assert record.after is not None
    assert record.after["steps"]["list"] == "passed"
    told = json.dumps([kept.last_check, record.after])
    assert seaweed.root.secret_access_key not in told
