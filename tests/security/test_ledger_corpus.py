"""The corpus on integrity: the past cannot be changed, and nothing happens that is not recorded.

The ledger has no hash chain and no signed checkpoints yet, so a change cannot be *found*; what can
be held today is that the database refuses to make one. `test_it_has_no_proofs_yet` fails when that
changes, and sends these cases to the verifier.
"""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path

import httpx
import pytest
from django.core.management import call_command
from django.db import DatabaseError, connection, transaction
from pytest_django.fixtures import Settings

from accounts import keys
from accounts.domain import Actor
from accounts.models import SigningKey
from accounts.sealing import key_of
from audit.models import AuditRecord
from catalog import storage
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


def test_it_has_no_proofs_yet() -> None:
    """⚑ When this fails: INTEGRITY-04 to -07 go to the verifier, which must answer `fail`."""
    found = [
        name for name in ("audit.proofs", "audit.checkpoints") if importlib.util.find_spec(name)
    ]
    assert found == []


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
    assert httpx.get(url).status_code == 200
    for forged in (
        url.replace("granted.parquet", "other.parquet"),
        url.replace("corpus/granted.parquet", "corpus/../corpus/other.parquet"),
        url.replace("corpus/granted.parquet", ""),
        url.partition("?")[0],
    ):
        assert httpx.get(forged).status_code in {400, 403, 404}, forged
    for method in ("PUT", "DELETE", "POST"):
        assert httpx.request(method, url).status_code in {400, 403, 405}, method
