"""Connections to customers' storage: they go where was checked, and nowhere else."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import boto3
import pytest
import trustme
from botocore.config import Config
from botocore.exceptions import ClientError
from pytest_django.fixtures import Settings

from catalog.storage.endpoints import EndpointRefused, checked
from catalog.storage.guard import guard
from tests.catalog.names import PUBLIC, Answers, dns
from tests.catalog.storage_servers import Asked, ok, redirecting, serving

__all__ = ["dns"]


STYLES: list[tuple[Literal["path", "virtual"], str]] = [
    ("path", "s3.example.com"),
    ("virtual", "lake.s3.example.com"),
]


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

    def note(request: Asked) -> None:
        asked.append(request.path)
        ok(request)

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
