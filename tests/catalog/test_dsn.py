"""PostgreSQL servers that customers name: few keys, one host at a checked address."""

from __future__ import annotations

import psycopg
import pytest
from django.db import connection
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from pytest_django import Settings

from catalog.storage.dsn import checked_dsn
from catalog.storage.endpoints import EndpointRefused
from tests.catalog.names import PUBLIC, Answers, dns
from tests.tcp import relay

__all__ = ["dns"]

GOOD = "postgresql://lake:s3cret@db.example.com/lake"


@pytest.fixture(autouse=True)
def _known(dns: Answers) -> None:
    dns["db.example.com"] = [PUBLIC]


@pytest.mark.parametrize(
    "dsn", [GOOD, "host=db.example.com user=lake password=s3cret dbname=lake port=5432"]
)
def test_it_pins_the_address_and_keeps_the_name(dsn: str) -> None:
    found = checked_dsn(dsn)
    said = conninfo_to_dict(found.conninfo())
    assert (said["host"], said["hostaddr"], said["port"]) == ("db.example.com", PUBLIC, "5432")
    assert said["password"] == "s3cret"
    assert said["sslmode"] == "verify-full"
    assert "s3cret" not in repr(found)


@pytest.mark.parametrize(
    "dsn",
    [
        "host='10.0.0.5,127.0.0.1' user=lake password=s3cret dbname=lake",
        f"host={PUBLIC},127.0.0.1 user=lake password=s3cret dbname=lake",
        "postgresql://lake:s3cret@db.example.com:5432,127.0.0.1:5432/lake",
        f"{GOOD}?sslkey=/etc/ssl/private/k",
        f"{GOOD}?passfile=/root/.pgpass",
        f"{GOOD}?service=x",
        f"{GOOD}?hostaddr=127.0.0.1",
        f"{GOOD}?options=-c%20search_path%3Dx",
        f"{GOOD}?sslmode=prefer",
        f"{GOOD}?sslmode=disable",
        f"{GOOD}?sslrootcert=/etc/passwd",
        f"{GOOD}?krbsrvname=x",
        f"{GOOD}?target_session_attrs=any",
        "host=/var/run/postgresql user=lake password=s3cret dbname=lake",
        "host=@abstract user=lake password=s3cret dbname=lake",
        "user=lake password=s3cret dbname=lake",
        "postgresql:///lake?user=lake&password=s3cret",
        "host=db.example.com password=s3cret dbname=lake",
        "host=db.example.com port=0 user=lake password=s3cret dbname=lake",
        "host=db.example.com port=65536 user=lake password=s3cret dbname=lake",
        "host=0x7f.1 user=lake password=s3cret dbname=lake",
        "host=127.0.0.1 user=lake password=s3cret dbname=lake",
        "host=::1 user=lake password=s3cret dbname=lake",
        "host=localhost user=lake password=s3cret dbname=lake",
        "host=db.example.com s3cret",
        "s3cret",
        "",
    ],
)
def test_it_refuses_all_else_without_telling_the_password(dsn: str, dns: Answers) -> None:
    dns["localhost"] = ["127.0.0.1"]
    with pytest.raises(EndpointRefused) as refused:
        checked_dsn(dsn)
    assert refused.value.status == 422
    assert "s3cret" not in f"{refused.value} {refused.value.hint} {refused.value.__cause__!r}"


@pytest.mark.django_db
def test_it_connects_to_the_pinned_address(settings: Settings, dns: Answers) -> None:
    """To the suite's own server, under a name that nothing but the pinned address resolves."""
    server = connection.get_connection_params()
    with relay() as port:
        dns["pg.example.com"] = ["127.0.0.1"]
        settings.STORAGE_ALLOWED_HOSTS = frozenset({f"pg.example.com:{port}"})
        given = {name: server.get(name, "") for name in ("user", "password", "dbname")}
        found = checked_dsn(make_conninfo(host="pg.example.com", port=port, **given))
        with psycopg.connect(found.conninfo()) as con:
            assert con.execute("SELECT 1").fetchone() == (1,)
