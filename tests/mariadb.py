"""A customer's MariaDB: a server from the system's packages, with a certificate of the tests' own.

Continuous integration installs it (`.ci/run`); where it is missing, tests that need it say so and
are left out.
"""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pymysql
import pytest
import trustme

from embedded.ports import PortBook
from embedded.process import Child
from embedded.service import start_all, stop_all

SERVER = shutil.which("mariadbd") or shutil.which("mariadbd", path="/usr/sbin:/usr/local/sbin")
needs_mariadb = pytest.mark.skipif(
    SERVER is None and "CI" not in os.environ, reason="mariadb-server is not installed"
)
PASSWORD = "pull-canary-77d1"


class _Server:
    """The process, as `start_all` knows services."""

    name = "mariadb"

    def __init__(self, directory: Path, port: int, options: list[str]) -> None:
        self.socket = directory / "m.sock"
        self._child = Child(self.name, directory, run=secrets.token_hex(8))
        self.log = self._child.log
        self._command = [
            str(SERVER), "--no-defaults", f"--datadir={directory / 'data'}", "--user=root",
            f"--socket={self.socket}", "--bind-address=127.0.0.1", f"--port={port}",
            "--skip-name-resolve", "--skip-log-bin", "--innodb-buffer-pool-size=16M",
            "--innodb-flush-log-at-trx-commit=0", "--sql-mode=", *options,
        ]  # fmt: skip

    @property
    def pid(self) -> int | None:
        return self._child.pid

    @property
    def environment(self) -> dict[str, str]:
        return {}

    def start(self) -> None:
        self._child.spawn(self._command, dict(os.environ))

    def is_ready(self) -> bool:
        with socket.socket(socket.AF_UNIX) as trial:
            return trial.connect_ex(str(self.socket)) == 0

    def stop(self) -> None:
        self._child.stop(timeout_seconds=5)

    def session(self) -> pymysql.Connection[Any]:
        return pymysql.connect(
            unix_socket=str(self.socket), user="root", autocommit=True, ssl_disabled=True
        )


@dataclass
class MariaDb:
    """The server's address, who certifies it, and a session of who runs it."""

    place: str
    authorities: Path
    root: pymysql.Connection[Any]

    def run(self, *texts: str) -> None:
        with self.root.cursor() as cursor:
            for text in texts:
                cursor.execute(text)

    def dsn(self, query: str = "", host: str = "") -> str:
        return f"mysql://reader:{PASSWORD}@{host or self.place}/shop{query}"


@pytest.fixture(scope="session")
def mariadb(tmp_path_factory: pytest.TempPathFactory) -> Generator[MariaDb]:
    """Start the server once for the run, with a database `shop` and who may read it."""
    directory = tmp_path_factory.mktemp("mariadb")
    port = PortBook(directory / "ports.json").choose("mariadb")
    subprocess.run(
        [
            "mariadb-install-db", "--no-defaults", f"--datadir={directory / 'data'}",
            "--user=root", "--auth-root-authentication-method=normal", "--skip-test-db",
        ],
        check=True,
        capture_output=True,
    )  # fmt: skip
    authority = trustme.CA()
    authority.cert_pem.write_to_path(directory / "ca.pem")
    own = authority.issue_cert("127.0.0.1")
    own.private_key_pem.write_to_path(directory / "key.pem")
    own.cert_chain_pems[0].write_to_path(directory / "cert.pem")
    tls = [f"--ssl-{part}={directory / part}.pem" for part in ("ca", "cert", "key")]
    server = _Server(directory, port, tls)
    start_all([server])
    with server.session() as root:
        found = MariaDb(f"127.0.0.1:{port}", directory / "ca.pem", root)
        found.run(
            "CREATE DATABASE shop CHARACTER SET utf8mb4",
            f"CREATE USER reader IDENTIFIED BY '{PASSWORD}'",
            "GRANT SELECT ON shop.* TO reader",
        )
        yield found
    stop_all([server])
