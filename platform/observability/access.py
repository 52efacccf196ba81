"""Who may read metrics: the machine itself, and who shows the token; nobody by default."""

from __future__ import annotations

import hmac
from ipaddress import ip_address


def is_admitted(*, address: str, authorization: str, token: str, is_forwarded: bool) -> bool:
    """Tell whether a scrape is answered.

    `address` is the peer of the connection. With a `token` only its bearer is, from wherever.
    Without one only a peer on this machine is, whose request came through no proxy
    (`is_forwarded`): a proxy beside the process would lend its own address to strangers.
    """
    if token:
        scheme, _, offered = authorization.partition(" ")
        same = hmac.compare_digest(offered.strip().encode(), token.encode())
        return same and scheme.lower() == "bearer"
    return not is_forwarded and _is_loopback(address)


def _is_loopback(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False
