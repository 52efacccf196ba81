"""Whoever has a dump of the database, and the code, has no secret: the key is elsewhere."""

from __future__ import annotations

import base64
import json
import re
import secrets
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from django.conf import settings
from django.db import connection
from django.test import Client
from django.utils import timezone

from accounts import keys
from accounts import services as accounts
from accounts.domain import Actor, Scope
from accounts.models import SigningKey
from catalog.models import Adoption, BucketKey
from governance.models import MaskKey
from governance.services import mask_keys
from tests.cast import PASSWORD, Cast
from workspaces.models import Workspace

SignedIn = Callable[[Actor], Client]


def dumped() -> str:
    """Return every row of every table of every schema, as `pg_dump` would write it."""
    tables = (
        "SELECT format('%I.%I', table_schema, table_name) FROM information_schema.tables "
        "WHERE table_type = 'BASE TABLE' "
        "AND table_schema NOT IN ('pg_catalog', 'information_schema') ORDER BY 1"
    )
    dump = []
    with connection.cursor() as cursor:
        cursor.execute(tables)
        for (table,) in cursor.fetchall():
            with cursor.copy(f"COPY {table} TO STDOUT") as rows:
                dump.append(f"COPY {table}\n{b''.join(rows).decode()}")
    return "\n".join(dump)


def spelled(secret: bytes) -> Iterator[str]:
    """Yield a secret as text, in hexadecimal digits, in base64 wherever it begins, and both."""
    for bare in (secret, *_in_base64(secret)):
        yield bare.decode("latin-1")
        yield bare.hex()


def _in_base64(secret: bytes) -> Iterator[bytes]:
    """Yield what of its base64 does not depend on what is before and after, in both alphabets."""
    for before in range(3):
        whole = base64.b64encode(b"x" * before + secret)
        first = -(-before * 4 // 3)
        last = (before + len(secret)) * 4 // 3
        yield whole[first:last]
        yield whole[first:last].translate(bytes.maketrans(b"+/", b"-_"))


def shown(secret: bytes, dump: str) -> list[str]:
    """Return the spellings in which a secret is in the dump."""
    return [one for one in spelled(secret) if one in dump or one.upper() in dump]


def bucket_secrets(client: Client) -> tuple[bytes, bytes]:
    """Connect a bucket as a person does; return the secret and the session token it was given."""
    secret, token = secrets.token_urlsafe(30), secrets.token_urlsafe(60)
    given = {
        "name": "Theirs",
        "bucket_name": "theirs",
        "endpoint": settings.S3["endpoint"],
        "region": "us-east-1",
        "key": {"access_key_id": "AKIA", "secret_access_key": secret, "session_token": token},
    }
    address = "/api/v1/workspaces/flight-ops/buckets"
    answer = client.post(address, given, content_type="application/json")
    assert answer.status_code == 201, answer.content
    return secret.encode(), token.encode()


def database_password(client: Client) -> bytes:
    """Have a lake read from a customer's database; return the password that was given."""
    password = secrets.token_urlsafe(30)
    given = {
        "name": "theirs",
        "mode": "read_only",
        "metadata_store": "postgresql",
        "dsn": f"host=93.184.215.14 user=lake password={password} dbname=lake",
    }
    address = "/api/v1/workspaces/flight-ops/adoptions"
    answer = client.post(address, given, content_type="application/json")
    assert answer.status_code == 202, answer.content
    return password.encode()


def canaries(cast: Cast, client: Client, owner: Actor) -> dict[str, bytes]:
    """Make one of everything that is secret; return it in clear, by what it is."""
    secret, token = bucket_secrets(client)
    row = SigningKey.objects.filter(organization=cast.organization).get()
    private = json.loads(keys.unseal(bytes(row.sealed_private_key), keys.binding_of(row)))["d"]
    issued = accounts.create_token(
        actor=owner,
        owner=cast.users["owner"],
        name="canary",
        scopes=frozenset({Scope.CATALOG_READ}),
        expires_at=timezone.now() + timedelta(days=1),
    )
    return {
        "a bucket's secret": secret,
        "a bucket's session token": token,
        "the password of a database with a lake": database_password(client),
        "a signing key": base64.urlsafe_b64decode(private + "=="),
        "a signing key, as text": private.encode(),
        "a mask's key": mask_keys.mask_key(cast.organization.id),
        "a token": issued.text.split("_", 2)[2].encode(),
        "a password": PASSWORD.encode(),
        "the key of keys": base64.b64decode(settings.KEY_FILE.read_bytes()),
        "the storage's key": settings.S3["secret_access_key"].encode(),
        "Django's key": settings.SECRET_KEY.encode(),
    }


def test_it_tells_no_secret_by_a_dump(
    cast: Cast, workspace: Workspace, owner: Actor, signed_in: SignedIn
) -> None:
    planted = canaries(cast, signed_in(owner), owner)
    control = secrets.token_bytes(24)
    workspace.name = base64.b64encode(b"some words before " + control).decode()
    workspace.save()
    dump = dumped()
    assert shown(control, dump), "the search finds nothing at all"
    told = {what: found for what, secret in planted.items() if (found := shown(secret, dump))}
    assert told == {}
    for model in (
        Adoption,
        BucketKey,
        MaskKey,
        SigningKey,
    ):  # sealed they are in it: there was what to find
        assert re.search(rf"COPY public\.{model._meta.db_table}\n.*\\\\x", dump), model
    assert BucketKey.objects.count() == 1


@pytest.mark.parametrize("how", ["text", "hex", "base64", "base64 in bytes"])
def test_it_would_find_a_secret_that_is_told(how: str) -> None:
    secret = secrets.token_bytes(20) if how != "text" else secrets.token_hex(20).encode()
    before = secrets.token_bytes(secrets.randbelow(4))
    encoded = base64.b64encode(before + secret + b"after")
    planted = {
        "text": before.hex() + secret.decode("latin-1"),
        "hex": (before + secret).hex().upper(),
        "base64": encoded.decode(),
        "base64 in bytes": encoded.hex(),
    }[how]
    assert shown(secret, f"COPY\n1\t{planted}\tx")
