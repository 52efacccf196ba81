"""Which servers Upend may be sent to: customers name endpoints, and must not aim it at itself.

Server-side request forgery: whoever may register storage could otherwise have trusted services
talk to what only they reach (metadata services, the broker, other tenants). So a name is checked
when it is registered, and *again at each connection*, which goes to an address that was checked
(`catalog.storage.guard`, `catalog.storage.dsn`): a name that is answered otherwise the second time
leads nowhere.
"""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from urllib.parse import SplitResult, urlsplit

from django.conf import settings

from problems import Invalid

Address = IPv4Address | IPv6Address
PORTS = {"http": 80, "https": 443}
MAX_HOST = 253
LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
NUMBER = re.compile(r"\d+|0x[0-9a-f]*")
"""A last label that browsers and libc take for part of an IPv4 address (WHATWG URL §3.5)."""
PRINTABLE = re.compile(r"[!-~]+")
UNICAST = IPv6Network("2000::/3")
TRANSLATED = IPv6Network("64:ff9b::/96")
"""IPv4 behind NAT64 (RFC 6052): the last four bytes are where the packets go."""
NEVER = (
    IPv4Network("168.63.129.16/32"),  # Azure's host: public by number, answers any virtual machine
    IPv4Network("192.0.0.0/24"),  # protocols, and metadata services of some clouds (RFC 6890)
    IPv4Network("192.88.99.0/24"),  # anycast to IPv6 relays (RFC 7526)
    IPv6Network("2001::/23"),  # Teredo and other protocols, not hosts (RFC 2928)
    IPv6Network("2002::/16"),  # IPv4 inside IPv6 (RFC 3056)
    IPv6Network("3fff::/20"),  # documentation (RFC 9637), newer than the standard library's list
)
HINT = (
    "Name a server on the public internet, such as https://s3.eu-central-1.amazonaws.com. "
    "Servers of one's own network are admitted by the operator (UPEND_STORAGE_ALLOWED_HOSTS)."
)


class EndpointRefused(Invalid):
    """A server that was named is not one that Upend may be sent to."""

    code = "endpoint-refused"
    title = "The endpoint is refused"


class Unresolved(EndpointRefused):
    """The name of a server is unknown; at a connection this may pass."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A server that may be connected to: a URL without a path, and where it was found."""

    scheme: str
    host: str
    port: int
    addresses: tuple[str, ...]
    """Every address of the host, all of them checked."""

    @property
    def url(self) -> str:
        """Return the URL as it is kept: lower case, without the scheme's own port."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{host}{port}"


def checked(url: str) -> Endpoint:
    """Return the endpoint that `url` names. Raises `EndpointRefused`, which says why.

    It has a scheme (http or https), a host and perhaps a port; each address of the host is
    global unless the operator admits `host:port`.
    """
    parts = _split(url)
    host = checked_host(parts.hostname or "")
    try:
        port = PORTS[parts.scheme] if parts.port is None else parts.port
    except ValueError:
        port = 0
    if not port:
        raise _refused("its port is not between 1 and 65535")
    return Endpoint(parts.scheme, host, port, resolved(host, port))


def checked_host(host: str) -> str:
    """Return a host's name in its one form, or an address in its own. Raises `EndpointRefused`.

    Other spellings of addresses (hexadecimal, octal, short, mapped) are refused by their look:
    libraries differ in what they take them for.
    """
    host = host.lower()
    if ":" in host:
        try:
            return str(IPv6Address(host))
        except ValueError:
            raise _refused("its host is not an IPv6 address") from None
    labels = host.split(".")
    if NUMBER.fullmatch(labels[-1]):
        try:
            return str(IPv4Address(host))
        except ValueError:
            raise _refused("its host is a number but not an IPv4 address") from None
    if len(host) > MAX_HOST or not all(LABEL.fullmatch(label) for label in labels):
        raise _refused("its host is not a name of letters, digits, hyphens and dots")
    return host


def resolved(host: str, port: int) -> tuple[str, ...]:
    """Return every address of `host`. Raises `EndpointRefused` where one may not be reached."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        message = f"The endpoint is refused: the name {host} is not known."
        raise Unresolved(message, hint="Check its spelling; it must be in public DNS.") from error
    addresses = tuple(dict.fromkeys(str(entry[4][0]) for entry in found))
    if f"{host}:{port}" in settings.STORAGE_ALLOWED_HOSTS:
        return addresses
    for address in addresses:
        if not is_public(ip_address(address.partition("%")[0])):
            raise _refused(f"{host} is at {address}, which is not on the public internet")
    return addresses


def is_public(address: Address) -> bool:
    """Tell whether an address is a host of the public internet (IANA special-purpose registries).

    IPv4 written as IPv6 is not, except behind NAT64, where the inner address counts.
    """
    if isinstance(address, IPv6Address):
        if address in TRANSLATED:
            return is_public(IPv4Address(int(address) & 0xFFFFFFFF))
        if address not in UNICAST:
            return False
    if any(address in network for network in NEVER if network.version == address.version):
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def _split(url: str) -> SplitResult:
    """Take a URL apart and refuse all that an endpoint does not have."""
    if not PRINTABLE.fullmatch(url) or "\\" in url:
        raise _refused("it has characters that no URL has")
    try:
        parts = urlsplit(url)
    except ValueError:
        raise _refused("it is not a URL") from None
    if parts.scheme not in PORTS:
        raise _refused("it does not begin with https:// or http://")
    if "@" in parts.netloc:
        raise _refused("it has a user name or password; keys are given apart")
    if parts.path not in {"", "/"} or "?" in url or "#" in url:
        raise _refused("it has a path or a query; give scheme, host and port only")
    return parts


def _refused(why: str) -> EndpointRefused:
    return EndpointRefused(f"The endpoint is refused: {why}.", hint=HINT)
