"""Connectors: rows of a real MariaDB, with their types, by TLS, each once."""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path

import certifi
import pyarrow.parquet as pq
import pytest
from django.conf import settings
from django.test import Client

from accounts.domain import Actor
from audit.models import AuditRecord
from catalog import services as catalogs
from catalog.connectors import process
from catalog.connectors.domain import Pulled, Range
from catalog.connectors.sources import database_reader
from catalog.domain import ConnectorKind
from catalog.models import Connector
from catalog.storage.endpoints import EndpointRefused
from catalog.storage.mysql import checked_mysql
from tests.cast import Cast
from tests.catalog.pulling import CATALOG, begin, count, work
from tests.mariadb import PASSWORD, MariaDb, needs_mariadb
from workspaces.models import Workspace


@pytest.fixture
def source(mariadb: MariaDb, monkeypatch: pytest.MonkeyPatch) -> Generator[MariaDb]:
    monkeypatch.setattr(settings, "STORAGE_ALLOWED_HOSTS", frozenset({mariadb.place}))
    monkeypatch.setattr(certifi, "where", lambda: str(mariadb.authorities))
    yield mariadb
    mariadb.run("DROP TABLE IF EXISTS shop.orders")


def pulled(dsn: str, path: Path, wanted: Range | None = None) -> Pulled:
    reader = database_reader(ConnectorKind.MYSQL, dsn)
    return process.pull(reader, wanted or Range("shop", "orders"), path / "rows.parquet")


@needs_mariadb
@pytest.mark.django_db(transaction=True)
def test_it_pulls_what_is_new_and_nothing_twice(
    source: MariaDb, workspace: Workspace, cast: Cast, signed_in: Callable[[Actor], Client]
) -> None:
    owner = cast.actor("owner")
    flights = catalogs.create_catalog(actor=owner, workspace=workspace, name="flights")
    catalogs.run_jobs(flights.id)
    client = signed_in(owner)
    source.run(
        "CREATE TABLE shop.orders (id BIGINT UNSIGNED, amount DECIMAL(9,2), at DATETIME(6))",
        "INSERT INTO shop.orders SELECT seq + 9007199254740993, seq, NOW(6) FROM shop.seq_1_to_100",
    )
    made = begin(
        client, kind="mysql", dsn=source.dsn(), source_table="orders", watermark_column="id"
    )
    assert made.status_code == 201, made.content
    assert made.json()["source_schema"] == "shop"
    run = work(flights)
    assert (run.state, run.rows, run.upto) == ("succeeded", 100, "9007199254741093"), run.problem
    assert work(flights).rows == 0
    source.run(  # these differ from the last only where a float has no more digits
        "INSERT INTO shop.orders VALUES (9007199254741094, 1, NOW(6)), (9007199254741095, 2, NULL)"
    )
    assert work(flights).rows == 2
    assert count(flights) == 102
    shown = client.get(f"{CATALOG}/connectors/orders").json()
    said = json.dumps([shown, *AuditRecord.objects.values("before", "after")], default=str)
    assert PASSWORD not in said
    assert PASSWORD.encode() not in bytes(Connector.objects.get().sealed_dsn)
    source.run("DROP TABLE shop.orders")
    failed = work(flights)
    assert (failed.state, PASSWORD in failed.problem) == ("failed", False)
    assert "orders" in failed.problem


@needs_mariadb
def test_it_keeps_the_values_of_every_type(source: MariaDb, tmp_path: Path) -> None:
    source.run(
        "CREATE TABLE shop.orders (a TINYINT, b INT UNSIGNED, c BIGINT UNSIGNED, d DECIMAL(38,4),"
        " e DECIMAL(60,2), f FLOAT, g DOUBLE, h DATE, i DATETIME(6), j TIMESTAMP NULL, k TIME(3),"
        " l YEAR, m VARCHAR(20), n BLOB, o BIT(9), p ENUM('x','y'), q JSON, r POINT, s UUID,"
        " `odd ``name``%s` TEXT) CHARACTER SET utf8mb4",
        "SET time_zone = '+02:00'",
        "INSERT INTO shop.orders VALUES (-128, 4294967295, 18446744073709551615,"
        " 1234567890123456789012345678901234.5678, 123456789012345678901234567890123456789012.12,"
        " 1.5, 0.1, '2024-02-29', '2024-02-29 23:59:59.123456', '2024-03-01 02:00:00',"
        " '-26:00:00.5', 2024, 'žluť 🦆', x'00ff', b'100000001', 'y', '{\"a\":1}', POINT(1,2),"
        " '123e4567-e89b-12d3-a456-426614174000', 'kept')",
        "INSERT INTO shop.orders (h, i) VALUES ('0000-00-00', '0000-00-00 00:00:00')",
        "SET time_zone = DEFAULT",
    )
    found = pulled(source.dsn(), tmp_path)
    assert (found.problem, found.rows) == ("", 2)
    table = pq.read_table(tmp_path / "rows.parquet")
    first, second = table.to_pylist()
    assert {name: str(first[name]) for name in first if name not in "nr"} == {
        "a": "-128", "b": "4294967295", "c": "18446744073709551615",
        "d": "1234567890123456789012345678901234.5678",
        "e": "123456789012345678901234567890123456789012.12", "f": "1.5", "g": "0.1",
        "h": "2024-02-29", "i": "2024-02-29 23:59:59.123456", "j": "2024-03-01 00:00:00+00:00",
        "k": "-26:00:00.500", "l": "2024", "m": "žluť 🦆", "o": "257", "p": "y", "q": '{"a":1}',
        "s": "123e4567-e89b-12d3-a456-426614174000", "odd `name`%s": "kept",
    }  # fmt: skip
    assert (first["n"], len(first["r"])) == (b"\x00\xff", 21)
    assert set(second.values()) == {None}


@needs_mariadb
def test_it_tells_columns_without_reading_rows(source: MariaDb, tmp_path: Path) -> None:
    source.run("CREATE TABLE shop.orders (id INT, at DATETIME)")
    reader = database_reader(ConnectorKind.MYSQL, source.dsn())
    wanted = Range("shop", "orders")
    found = process.pull(reader, wanted, tmp_path / "rows.parquet", only_look=True)
    assert found.columns == (("id", "int"), ("at", "datetime"))


@needs_mariadb
@pytest.mark.parametrize("kind", ["DOUBLE", "JSON", "BLOB"])
def test_it_refuses_a_watermark_that_text_would_not_carry(
    source: MariaDb, tmp_path: Path, kind: str
) -> None:
    source.run(f"CREATE TABLE shop.orders (id {kind})")
    found = pulled(source.dsn(), tmp_path, Range("shop", "orders", "id"))
    assert "take an integer" in found.problem


@needs_mariadb
def test_it_takes_no_certificate_but_of_who_certifies_the_host(
    source: MariaDb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source.run("CREATE TABLE shop.orders (id INT)")
    assert pulled(source.dsn(), tmp_path).problem == ""
    other = source.place.replace("127.0.0.1", "localhost")  # the certificate names the address
    monkeypatch.setattr(settings, "STORAGE_ALLOWED_HOSTS", frozenset({other, source.place}))
    assert "certificate" in pulled(source.dsn(host=other), tmp_path).problem
    assert pulled(source.dsn("?sslmode=require", host=other), tmp_path).problem == ""
    assert "Access denied" in pulled(source.dsn().replace("canary", "wrong"), tmp_path).problem
    monkeypatch.undo()
    monkeypatch.setattr(settings, "STORAGE_ALLOWED_HOSTS", frozenset({source.place}))
    assert "certificate" in pulled(source.dsn(), tmp_path).problem


GREETING = (
    b"\x0a8.0.0\x00" + struct.pack("<I", 7) + b"saltsalt\x00"
    + struct.pack("<H", 0xA60F) + b"\x2d" + struct.pack("<H", 2)  # everything but TLS
    + struct.pack("<H", 0x0008) + b"\x15" + bytes(10) + b"saltsaltsalt\x00"
    + b"mysql_native_password\x00"
)  # fmt: skip


@contextmanager
def hostile(asks_for: bytes) -> Generator[tuple[int, list[bytes]]]:
    """Pretend to be MySQL without TLS that asks for a file; yield its port and what it was sent."""
    heard: list[bytes] = []

    def packet(number: int, content: bytes) -> bytes:
        return struct.pack("<I", len(content))[:3] + bytes([number]) + content

    def serve() -> None:
        ours, _ = listening.accept()
        with ours, suppress(OSError):  # whoever sees through it hangs up
            ours.sendall(packet(0, GREETING))
            while said := ours.recv(2**16):
                heard.append(said)
                is_login = len(heard) == 1
                content = b"\x00\x00\x00\x02\x00\x00\x00" if is_login else b"\xfb" + asks_for
                ours.sendall(packet(said[3] + 1, content))

    with socket.create_server(("127.0.0.1", 0)) as listening:
        serving = threading.Thread(target=serve)
        serving.start()
        yield listening.getsockname()[1], heard
        serving.join()


def test_it_never_goes_on_without_tls_and_hands_no_file_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("file-canary")
    for mode, problem in (("require", "SSL is required"), ("disable", "LOAD_LOCAL")):
        with hostile(str(secret).encode()) as (port, heard):
            place = f"127.0.0.1:{port}"
            monkeypatch.setattr(settings, "STORAGE_ALLOWED_HOSTS", frozenset({place}))
            found = pulled(f"mysql://reader:{PASSWORD}@{place}/shop?sslmode={mode}", tmp_path)
        assert problem in found.problem, found
        sent = b"".join(heard)
        assert b"file-canary" not in sent
        assert PASSWORD.encode() not in sent
        assert bool(sent) is (mode == "disable")


@pytest.mark.parametrize(
    "dsn",
    [
        "mysql://u:pass-word@169.254.169.254/shop",
        "mysql://u:pass-word@127.0.0.1/shop",
        "mysql://u:pass-word@0x7f.1/shop",
        "mysql://u:pass-word@db.example.com/shop?local_infile=1",
        "mysql://u:pass-word@db.example.com/shop?sslmode=disable",
        "mysql://u:pass-word@db.example.com/shop?unix_socket=/run/m.sock",
        "mysql://u:pass-word@db.example.com:99999/shop",
        "mysql://u:pass-word@db.example.com/",
        "mysql://:pass-word@db.example.com/shop",
        "mysql://u:pass-word@[::1/shop",
        "mysql://u:pass-word#x@db.example.com/shop",
        "postgresql://u:pass-word@db.example.com/shop",
    ],
)
def test_it_refuses_addresses_and_options_without_repeating_the_password(dsn: str) -> None:
    with pytest.raises(EndpointRefused) as refused:
        checked_mysql(dsn)
    assert "pass-word" not in f"{refused.value.detail} {refused.value.hint}"
    assert refused.value.__cause__ is None
