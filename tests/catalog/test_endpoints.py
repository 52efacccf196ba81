"""Endpoints that customers name: what is admitted."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from pytest_django.fixtures import Settings

from catalog.storage.endpoints import EndpointRefused, checked, is_public
from tests.catalog.names import PUBLIC, Answers, dns

__all__ = ["dns"]


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
