"""Endpoints that customers name: what is admitted, and that connections go where was checked."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any, ClassVar, Literal

import boto3
import pytest
import trustme
from botocore.config import Config
from botocore.exceptions import ClientError
from pytest_django import Settings

from catalog.storage.endpoints import EndpointRefused, checked, is_public
from catalog.storage.guard import guard

PUBLIC = "93.184.215.14"
Answers = dict[str, list[str]]


@pytest.fixture
def dns(monkeypatch: pytest.MonkeyPatch) -> Answers:
    """Answer names from a table, each asking the next of its addresses; others are unknown."""
    table: Answers = {}
    real = socket.getaddrinfo

    def answer(host: str, port: Any, *rest: Any, **kwargs: Any) -> list[Any]:
        if host not in table:
            try:
                ip_address(host)
            except ValueError:
                raise socket.gaierror(socket.EAI_NONAME, "Name or service not known") from None
            return real(host, port, *rest, **kwargs)
        addresses = table[host]
        now = addresses.pop(0) if len(addresses) > 1 else addresses[0]
        return [
            (
                socket.AF_INET6 if ":" in one else socket.AF_INET,
                socket.SOCK_STREAM,
                6,
                "",
                (one, port),
            )
            for one in now.split()
        ]

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    return table


# --- What may be named ------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("https://s3.example.com", "https://s3.example.com"),
        ("https://S3.Example.com:443/", "https://s3.example.com"),
        ("http://s3.example.com:9000", "http://s3.example.com:9000"),
        (f"https://{PUBLIC}", f"https://{PUBLIC}"),
        ("https://[2606:4700:0:0::1111]:8443", "https://[2606:4700::1111]:8443"),
    ],
)
def test_it_keeps_an_endpoint_in_one_form(url: str, kept: str, dns: Answers) -> None:
    dns["s3.example.com"] = [f"{PUBLIC} 2606:4700::1111"]
    endpoint = checked(url)
    assert endpoint.url == kept
    assert checked(kept) == endpoint
    assert PUBLIC in endpoint.addresses or "2606:4700::1111" in endpoint.addresses


@pytest.mark.parametrize(
    "url",
    [
        "",
        "s3.example.com",
        "ftp://s3.example.com",
        "file:///etc/passwd",
        "gopher://s3.example.com",
        "https://",
        "https://:443",
        "https://user@s3.example.com",
        "https://user:secret@s3.example.com",
        "https://s3.example.com@127.0.0.1",
        "https://s3.example.com/path",
        "https://s3.example.com/?query",
        "https://s3.example.com?",
        "https://s3.example.com#fragment",
        "https://s3.example.com\\@127.0.0.1",
        "https://s3.example.com\r\nHost: evil",
        "https://s3.example.com\t",
        " https://s3.example.com",
        "https://s3.example.com:0",
        "https://s3.example.com:65536",
        "https://s3.example.com:x",
        "https://s3.example.com.",
        "https://s3..example.com",
        "https://-s3.example.com",
        "https://s3_x.example.com",
        "https://%31%32%37.0.0.1",
        "https://127\u30020.0.1",
        "https://\uff11\uff12\uff17.0.0.1",
        f"https://{'a' * 64}.example.com",
        f"https://{'a.' * 127}example.com",
        "https://[::1",
        "https://[fe80::1%25eth0]",
        "https://[not-an-address]",
        "https://unknown.example.com",
    ],
)
def test_it_refuses_what_is_no_endpoint(url: str, dns: Answers) -> None:
    dns["s3.example.com"] = [PUBLIC]
    with pytest.raises(EndpointRefused) as refused:
        checked(url)
    assert refused.value.status == 422
    assert refused.value.hint
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    "host",
    [
        "0x7f.1",
        "0x7f000001",
        "0x",
        "127.1",
        "127.0.1",
        "2130706433",
        "0177.0.0.1",
        "127.0.0.01",
        "1.2.3.4.5",
        "256.1.1.1",
        "s3.example.1",
        "s3.example.0x1",
    ],
)
def test_it_refuses_odd_numbers_even_where_they_could_be_resolved(host: str, dns: Answers) -> None:
    dns[host] = [PUBLIC]
    with pytest.raises(EndpointRefused, match="number"):
        checked(f"http://{host}/")


INWARD = [
    "0.0.0.0",  # noqa: S104 - an address that is refused
    "10.0.0.1",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:10.0.0.1",
    f"::ffff:{PUBLIC}",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:db8::1",
    "2002:7f00:1::1",
    "3fff::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fec0::1",
    "ff02::1",
]


@pytest.mark.parametrize("address", INWARD)
def test_it_refuses_addresses_that_are_not_public(address: str, dns: Answers) -> None:
    """As a number, and as one of the addresses of a name."""
    assert not is_public(ip_address(address))
    with pytest.raises(EndpointRefused):
        checked(f"http://[{address}]/" if ":" in address else f"http://{address}/")
    dns["s3.example.com"] = [f"{PUBLIC} {address}"]
    with pytest.raises(EndpointRefused, match="public internet"):
        checked("https://s3.example.com")


@pytest.mark.parametrize(
    "address", [PUBLIC, "1.1.1.1", "2606:4700::1111", "64:ff9b::5db8:d70e", "2a00:1450::1"]
)
def test_it_knows_public_addresses(address: str) -> None:
    assert is_public(ip_address(address))


def test_it_admits_exactly_what_the_operator_names(dns: Answers, settings: Settings) -> None:
    settings.STORAGE_ALLOWED_HOSTS = frozenset({"minio.internal:9000"})
    dns["minio.internal"] = dns["other.internal"] = ["10.0.0.5"]
    assert checked("http://minio.internal:9000").addresses == ("10.0.0.5",)
    for other in ("http://minio.internal", "http://other.internal:9000", "http://10.0.0.5:9000"):
        with pytest.raises(EndpointRefused):
            checked(other)


# --- Where connections go -----------------------------------------------------------------------
class Bucket(BaseHTTPRequestHandler):
    """A server of one bucket, which answers all that is asked of it with what `answers` says."""

    answers: ClassVar[Callable[[BaseHTTPRequestHandler], None]]
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        type(self).answers(self)

    def do_HEAD(self) -> None:
        type(self).answers(self)

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        type(self).answers(self)

    def log_message(self, *_: object) -> None:
        pass


STYLES: list[tuple[Literal["path", "virtual"], str]] = [
    ("path", "s3.example.com"),
    ("virtual", "lake.s3.example.com"),
]


def ok(handler: BaseHTTPRequestHandler) -> None:
    """Answer with the Host header that came."""
    content = handler.headers["Host"].encode()
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(content)))
    handler.end_headers()
    handler.wfile.write(content)


def redirecting(status: int, **headers: str) -> Callable[[BaseHTTPRequestHandler], None]:
    """Answer with a redirect."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        handler.send_header("Content-Length", "0")
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()

    return answer


@contextmanager
def serving(
    answers: Callable[[BaseHTTPRequestHandler], None], tls: ssl.SSLContext | None = None
) -> Iterator[int]:
    """Serve on a free port of this machine."""
    handler = type("Handler", (Bucket,), {"answers": staticmethod(answers)})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def client(
    endpoint: str, *, style: Literal["path", "virtual"] = "path", authorities: str = ""
) -> Iterator[Any]:
    """Return a guarded S3 client, closed at the end."""
    made = boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="key",
        aws_secret_access_key="secret",
        config=Config(
            s3={"addressing_style": style},
            retries={"mode": "standard", "total_max_attempts": 2},
            connect_timeout=2,
        ),
    )
    guard(made, authorities=authorities)
    try:
        yield made
    finally:
        made.close()


def read(s3: Any) -> str:
    """Return what the server answers."""
    return str(s3.get_object(Bucket="lake", Key="a")["Body"].read().decode())


@pytest.fixture
def admitted(settings: Settings) -> Callable[[int], None]:
    """Admit a port of this machine under the names of these tests."""

    def admit(port: int) -> None:
        settings.STORAGE_ALLOWED_HOSTS = frozenset(
            {f"s3.example.com:{port}", f"lake.s3.example.com:{port}", f"127.0.0.1:{port}"}
        )

    return admit


def test_it_connects_to_the_checked_address_under_the_servers_name(
    dns: Answers, admitted: Callable[[int], None], tmp_path: Path
) -> None:
    """TLS and the Host header keep the name, in both styles of addressing."""
    dns["s3.example.com"] = dns["lake.s3.example.com"] = ["127.0.0.1"]
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("s3.example.com", "*.s3.example.com").configure_cert(tls)
    with serving(ok, tls) as port:
        admitted(port)
        url = checked(f"https://s3.example.com:{port}").url
        for style, name in STYLES:
            with client(url, style=style, authorities=str(tmp_path / "ca.pem")) as s3:
                assert read(s3) == f"{name}:{port}"


def test_it_is_not_led_elsewhere_by_a_name_that_changes(
    dns: Answers, admitted: Callable[[int], None]
) -> None:
    """SSRF-08: a name that is public when it is checked, and this machine's when it is used."""
    asked: list[str] = []

    def note(handler: BaseHTTPRequestHandler) -> None:
        asked.append(handler.path)
        ok(handler)

    with serving(note) as port:
        dns["rebind.example.com"] = [PUBLIC, "127.0.0.1"]
        url = checked(f"http://rebind.example.com:{port}").url
        with client(url) as s3, pytest.raises(EndpointRefused, match="public internet"):
            read(s3)
        assert asked == []
        admitted(port)  # the same with leave
        dns["s3.example.com"] = ["127.0.0.1"]
        with client(f"http://s3.example.com:{port}") as s3:
            assert read(s3)
        assert asked == ["/lake/a"]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({"Location": "http://169.254.169.254/latest/meta-data/"}, "to 169.254.169.254"),
        ({"Location": "/elsewhere"}, "elsewhere"),
        ({"x_amz_bucket_region": "eu-west-1"}, "to the region eu-west-1"),
    ],
)
def test_it_follows_no_redirect(
    status: int, headers: dict[str, str], said: str, dns: Answers, admitted: Callable[[int], None]
) -> None:
    """SSRF-09, and S3's own redirects to other regions."""
    with serving(redirecting(status, **headers)) as port:
        admitted(port)
        with client(f"http://127.0.0.1:{port}") as s3:
            for ask in (read, lambda s3: s3.head_bucket(Bucket="lake"), put):
                with pytest.raises(EndpointRefused, match=f"answered {status}.*{said}") as refused:
                    ask(s3)
                assert refused.value.extra["region"] == headers.get("x_amz_bucket_region", "")


def put(s3: Any) -> None:
    s3.put_object(Bucket="lake", Key="a", Body=b"content")


def test_it_says_what_a_server_answers_otherwise(
    dns: Answers, admitted: Callable[[int], None]
) -> None:
    with serving(redirecting(403)) as port:
        admitted(port)
        with client(f"http://127.0.0.1:{port}") as s3, pytest.raises(ClientError, match="403"):
            s3.head_bucket(Bucket="lake")


def test_it_sends_nothing_to_another_server(dns: Answers, admitted: Callable[[int], None]) -> None:
    """Whatever made the client build such a request: here, a handler that rewrites it."""
    with serving(ok) as port:
        admitted(port)
        with client("http://s3.example.com") as s3:
            s3.meta.events.register_first(
                "before-send",
                lambda request, **_: setattr(request, "url", f"http://127.0.0.1:{port}/lake/a"),
            )
            with pytest.raises(EndpointRefused, match=r"sent to http://127\.0\.0\.1"):
                read(s3)
