"""The corpus on integrity: the past cannot be changed, and nothing happens that is not recorded.

The database refuses to change it. Who rules the database lifts that guard; then the verifier must
find what was changed, by what was signed and is kept outside.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from io import StringIO
from pathlib import Path

import httpx
import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction
from django.utils import timezone
from joserfc import jws
from joserfc.jwk import OKPKey
from pytest_django.fixtures import Settings

from accounts import keys
from accounts import services as accounts
from accounts.domain import SYSTEM, Actor
from accounts.models import Organization, SigningKey
from accounts.sealing import key_of
from audit import checkpoints
from audit.chain import BEGINNING, FIELDS, linked
from audit.models import AuditRecord, LedgerCheckpoint, LedgerLink
from audit.verifying import verify_ledger
from catalog import storage
from catalog.storage.anchoring import PREFIX
from execution import services
from execution.models import Query
from tests.cast import Cast
from tests.security.corpus import Attack, by_id, runs
from workspaces.models import Workspace

TABLE = "audit_auditrecord"
ONE = f"(SELECT min(id) FROM {TABLE})"
LAST = f"(SELECT max(id) FROM {TABLE})"
CHANGES = {
    "INTEGRITY-01": [
        f"UPDATE {TABLE} SET actor_label = 'nobody'",
        f"DELETE FROM {TABLE}",
        f"TRUNCATE {TABLE}",
        f"TRUNCATE {TABLE} RESTART IDENTITY CASCADE",
    ],
    "INTEGRITY-02": [
        f"SET LOCAL session_replication_role = replica; UPDATE {TABLE} SET actor_label = 'nobody'",
        f"SET LOCAL session_replication_role = replica; DELETE FROM {TABLE}",
        f"SET LOCAL session_replication_role = replica; TRUNCATE {TABLE}",
    ],
    "INTEGRITY-03": [  # PostgreSQL's INSERT OR REPLACE
        (
            f"INSERT INTO {TABLE} SELECT * FROM {TABLE} "
            "ON CONFLICT (id) DO UPDATE SET actor_label = 'nobody'"
        ),
        (
            f"MERGE INTO {TABLE} t USING {TABLE} s ON t.id = s.id "
            "WHEN MATCHED THEN UPDATE SET actor_label = 'nobody'"
        ),
    ],
    "INTEGRITY-04": [f"DELETE FROM {TABLE} WHERE id >= {LAST}"],
    "INTEGRITY-05": [f"UPDATE {TABLE} SET after = '{{}}' WHERE id = {ONE}"],
    "INTEGRITY-06": [f"UPDATE {TABLE} SET organization_id = NULL", f"UPDATE {TABLE} SET id = -id"],
    "INTEGRITY-07": [f"INSERT INTO {TABLE} SELECT * FROM {TABLE} WHERE id = {ONE}"],
}


@runs(by_id(*CHANGES))
def test_it_refuses_to_change_the_past(attack: Attack, cast: Cast) -> None:
    before = list(AuditRecord.objects.order_by("id").values())
    assert before
    guard_against_truncation()
    for statement in CHANGES[attack.id]:
        with (
            pytest.raises(DatabaseError),
            transaction.atomic(),
            connection.cursor() as cursor,
        ):
            cursor.execute(statement)
    assert list(AuditRecord.objects.order_by("id").values()) == before


def guard_against_truncation() -> None:
    """Put back the guard that the suite lifts for pytest-django's own clearing of tables."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SET CONSTRAINTS ALL IMMEDIATE"
        )  # a table with checks to come is not altered
        cursor.execute(f"ALTER TABLE {TABLE} ENABLE ALWAYS TRIGGER audit_no_truncate")


AS_SUPERUSER = (
    "ALTER TABLE audit_auditrecord DISABLE TRIGGER audit_append_only;"
    "ALTER TABLE audit_ledgerlink DISABLE TRIGGER audit_link_append_only;"
    "ALTER TABLE audit_ledgercheckpoint DISABLE TRIGGER audit_checkpoint_append_only;"
)
TAIL = "(SELECT record_id FROM audit_ledgerlink WHERE position > 3)"


def cut_tail() -> None:
    """Delete the last records with every trace of them in the database."""
    tamper(
        f"DELETE FROM {TABLE} WHERE id IN {TAIL}",
        "DELETE FROM audit_ledgerlink WHERE position > 3",
        "DELETE FROM audit_ledgercheckpoint WHERE size > 3",
    )


def edit_and_chain_again() -> None:
    """Edit a record, work out all heads anew, and put them where they can be put."""
    tamper(f"UPDATE {TABLE} SET actor_label = 'nobody' WHERE id = {ONE}")
    head, size = BEGINNING, 0
    for size, members in enumerate(_in_order(), start=1):  # noqa: B007 - the last is wanted
        head = linked(head, members)
    last = LedgerCheckpoint.objects.get(size=size)
    claims = checkpoints.claims_of(last.number, size, head, last.taken_at)
    forged = OKPKey.generate_key("Ed25519", private=True)
    header = {"alg": "EdDSA", "typ": checkpoints.TYP, "kid": forged.thumbprint()}
    text = jws.serialize_compact(header, json.dumps(claims), forged, registry=keys.REGISTRY)
    tamper(
        "UPDATE audit_ledgercheckpoint SET head = %s, text = %s WHERE number = %s",
        parameters=[head, json.dumps([text]), last.number],
    )
    row = SigningKey.objects.order_by("created_at")[0]
    row.key_id, row.public_jwk = forged.thumbprint(), forged.as_dict(private=False)
    row.save()


def swap_tenants() -> None:
    """Let a record be of another tenant, and two change places."""
    tamper(
        f"UPDATE {TABLE} SET organization_id = NULL WHERE id = {ONE}",
        "UPDATE audit_ledgerlink SET position = -position WHERE position IN (1, 2)",
        "UPDATE audit_ledgerlink SET position = 3 + position WHERE position < 0",
    )


def fork(organization: Organization) -> None:
    """Show one ledger inside and another outside, both with good signatures."""
    tamper(f"UPDATE {TABLE} SET actor_label = 'nobody' WHERE id = {LAST}")
    head = BEGINNING
    for members in _in_order():
        head = linked(head, members)
    last = LedgerCheckpoint.objects.order_by("-number")[0]
    claims = checkpoints.claims_of(last.number, last.size, head, last.taken_at)
    text = json.dumps([keys.sign(organization, claims, checkpoints.TYP)])
    tamper(
        "UPDATE audit_ledgercheckpoint SET head = %s, text = %s WHERE number = %s",
        parameters=[head, text, last.number],
    )


def _in_order() -> list[dict[str, object]]:
    links = LedgerLink.objects.order_by("position").values_list("record_id", flat=True)
    return [AuditRecord.objects.values(*FIELDS).get(id=one) for one in links]


def tamper(*statements: str, parameters: Sequence[str | bytes | int] | None = None) -> None:
    """Change the database as its superuser, with every guard lifted."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute(AS_SUPERUSER)
        for statement in statements:
            cursor.execute(statement, parameters)
        cursor.execute(AS_SUPERUSER.replace("DISABLE", "ENABLE ALWAYS"))


FOUND = {
    "INTEGRITY-04": "records are gone from the end",
    "INTEGRITY-05": "does not hold",
    "INTEGRITY-06": "is not what it was",
    "INTEGRITY-07": "There are two ledgers of",
}


@pytest.fixture
def signed(cast: Cast) -> Iterator[Organization]:
    """Keep a ledger with two checkpoints, and nothing outside of other tests."""
    storage.hosted().delete_prefix(PREFIX)
    made = checkpoints.take_checkpoint()
    assert made is not None
    assert made.size > 3
    accounts.create_organization(actor=SYSTEM, name="Another", slug="another")
    assert checkpoints.take_checkpoint() is not None
    yield cast.organization
    storage.hosted().delete_prefix(PREFIX)


@runs(by_id(*FOUND))
def test_it_finds_what_the_databases_superuser_changed(
    attack: Attack, signed: Organization
) -> None:
    assert attack.expected == "verify:fail"
    before = verify_ledger()
    assert before.failures == []
    assert (before.checkpoints, before.waiting) == (2, 0)
    assert before.records == AuditRecord.objects.count()
    match attack.id:
        case "INTEGRITY-04":
            cut_tail()
        case "INTEGRITY-05":
            edit_and_chain_again()
        case "INTEGRITY-06":
            swap_tenants()
        case "INTEGRITY-07":
            fork(signed)
    verdict = verify_ledger()
    assert FOUND[attack.id] in " ".join(verdict.failures)
    with pytest.raises(CommandError, match="not what was signed"):
        call_command("verify_ledger", stderr=StringIO())


def test_it_needs_what_is_kept_outside_and_takes_a_witness(
    signed: Organization, tmp_path: Path
) -> None:
    """Without what is outside a cut ledger looks whole; who kept a checkpoint sees it."""
    out = StringIO()
    accounts.create_organization(actor=SYSTEM, name="Third", slug="third")
    call_command("verify_ledger", "--take", stdout=out, stderr=StringIO())
    witness = tmp_path / "checkpoint.json"
    witness.write_text(out.getvalue())
    size = LedgerCheckpoint.objects.order_by("-number")[0].size
    tamper(
        f"DELETE FROM {TABLE} WHERE id IN (SELECT record_id FROM audit_ledgerlink"
        f" WHERE position = {size})",
        f"DELETE FROM audit_ledgerlink WHERE position = {size}",
        f"DELETE FROM audit_ledgercheckpoint WHERE size = {size}",
    )
    storage.hosted().delete(f"{PREFIX}{3:012d}.json")
    call_command("verify_ledger", stderr=StringIO())
    with pytest.raises(CommandError, match="not what was signed"):
        call_command("verify_ledger", "--against", str(witness), stderr=StringIO())


def test_it_finds_records_that_were_slipped_in(signed: Organization) -> None:
    """A record that begins late is chained late; one with a date of the past is not."""
    with transaction.atomic():
        old = AuditRecord.objects.order_by("id")[0]
        old.pk, old.recorded_at = None, timezone.now() - timedelta(days=3)
        old.save(force_insert=True)
    assert checkpoints.take_checkpoint() is None
    assert "slipped in" in " ".join(verify_ledger().failures)


def test_it_keeps_outside_later_what_could_not_be_kept(signed: Organization) -> None:
    storage.hosted().delete(f"{PREFIX}{2:012d}.json")
    assert checkpoints.keep_outside() == 1
    assert checkpoints.keep_outside() == 0
    assert verify_ledger().failures == []


@contextmanager
def unwritable_ledger() -> Generator[None]:
    """Let every write of a record fail in the database, as a full disk would."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "CREATE FUNCTION corpus_fail() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'no space left'; END $$"
        )
        cursor.execute(
            f"CREATE TRIGGER corpus_fail BEFORE INSERT ON {TABLE} "
            "FOR EACH ROW EXECUTE FUNCTION corpus_fail()"
        )
        yield
        transaction.set_rollback(True)


@runs(by_id("INTEGRITY-09"))
def test_it_gives_no_access_that_it_cannot_record(
    attack: Attack, workspace: Workspace, analyst: Actor
) -> None:
    with unwritable_ledger():
        with pytest.raises(DatabaseError), transaction.atomic():
            services.submit_query(actor=analyst, workspace=workspace, sql="SELECT 1 AS one")
        assert not Query.objects.exists()


@runs(by_id("INTEGRITY-12"))
def test_it_opens_a_backup_with_the_key_of_its_time(
    attack: Attack, cast: Cast, tmp_path: Path, settings: Settings
) -> None:
    settings.KEY_FILE = Path(shutil.copy(settings.KEY_FILE, tmp_path / "key-encryption.key"))
    row = SigningKey.objects.get(organization=cast.organization)
    backup = bytes(row.sealed_private_key)
    opened = keys.unseal(backup, keys.binding_of(row))
    call_command("rotate_keys", "--new-key", stdout=StringIO())
    row.refresh_from_db()
    assert key_of(bytes(row.sealed_private_key)) != key_of(backup)
    row.sealed_private_key = backup
    row.save()
    assert keys.unseal(backup, keys.binding_of(row)) == opened
    assert keys.sign(cast.organization, {"aud": "device"}, "upend-manifest+jwt")
    only_new = settings.KEY_FILE.read_text().splitlines()[0]
    settings.KEY_FILE.write_text(only_new)
    with pytest.raises(keys.KeyUnavailable):
        keys.unseal(backup, keys.binding_of(row))


@runs(by_id("INTEGRITY-15"))
def test_it_vends_an_address_for_one_object_only(attack: Attack) -> None:
    granted, other = "corpus/granted.parquet", "corpus/other.parquet"
    for key in (granted, other):
        storage.hosted().put_bytes(key, b"PAR1 of a kind")
    url = storage.hosted().presign(granted, valid_seconds=60)
    assert httpx.get(url, timeout=60).status_code == 200
    for forged in (
        url.replace("granted.parquet", "other.parquet"),
        url.replace("corpus/granted.parquet", "corpus/../corpus/other.parquet"),
        url.replace("corpus/granted.parquet", ""),
        url.partition("?")[0],
    ):
        assert httpx.get(forged, timeout=60).status_code in {400, 403, 404}, forged
    for method in ("PUT", "DELETE", "POST"):
        assert httpx.request(method, url).status_code in {400, 403, 405}, method
