"""Names that resolve as a test says: the internet's DNS is not ours, and not there."""

from __future__ import annotations

import socket
from ipaddress import ip_address
from typing import Any

import pytest

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
