"""Free TCP ports, remembered per installation so that addresses survive a restart."""

from __future__ import annotations

import json
import random
import socket
from collections.abc import Sequence
from pathlib import Path

LOWEST, HIGHEST = 20_000, 32_000
"""Below Linux's range of outgoing ports, so that no client connection takes one by accident."""
_TRIES = 200


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Tell whether a server could listen on `port` now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


class PortBook:
    """The ports of one installation, kept in a JSON file in its data directory."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._chosen: dict[str, int] = {}

    def choose(self, name: str, preferred: Sequence[int] = (), companion: int = 0) -> int:
        """Return last time's port for `name` where it is free, else one `preferred`, else any.

        The port `companion` above it is left free too, for servers that derive a second one.
        """
        book = self._read()
        others = {port for owner, port in self._chosen.items() if owner != name}

        def fits(port: int) -> bool:
            return port not in others and is_free(port) and is_free(port + companion)

        unknown = set(range(LOWEST, HIGHEST - companion)) - set(book.values())
        wanted = [book.get(name), *preferred, *random.sample(sorted(unknown), _TRIES)]
        port = next((port for port in wanted if port and fits(port)), None)
        if port is None:
            message = f"no free TCP port between {LOWEST} and {HIGHEST}"
            raise OSError(message)
        book[name] = self._chosen[name] = port
        self._path.write_text(json.dumps(book, indent=1, sort_keys=True))
        return port

    def _read(self) -> dict[str, int]:
        try:
            return dict(json.loads(self._path.read_text()))
        except (FileNotFoundError, ValueError):  # a torn write only costs the memory of ports
            return {}
