"""Which MySQL and MariaDB servers Upend may be sent to: customers name them by a URL.

As with PostgreSQL (`catalog.storage.dsn`): one host, at an address that was checked, by TLS unless
the operator admits the server; no files, no sockets, no options of the client library's.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

import certifi
from django.conf import settings

from catalog.storage.endpoints import EndpointRefused, checked_host, resolved

PORT = 3306
SCHEMES = ("mysql", "mariadb")
TLS_MODES = ("require", "verify-full")
ADMITTED_MODES = (*TLS_MODES, "prefer", "disable")
"""What a server that the operator admits may be reached with."""
HINT = (
    "Give one host, the database, a user and a password: "
    "mysql://user:password@db.example.com:3306/shop?sslmode=verify-full"
)


@dataclass(frozen=True, slots=True)
class MysqlDsn:
    """A customer's database: what may be shown of it, and its password."""

    host: str
    port: int
    dbname: str
    user: str
    sslmode: str
    address: str
    """Where the host was found when this was checked; connections go there."""
    password: str = field(repr=False)

    def for_reader(self) -> dict[str, Any]:
        """Return what the reading process needs. It holds the password: do not log or keep it."""
        return {
            "host": self.host,
            "address": self.address,
            "port": self.port,
            "database": self.dbname,
            "user": self.user,
            "password": self.password,
            "sslmode": self.sslmode,
            "authorities": certifi.where(),
        }


def checked_mysql(dsn: str) -> MysqlDsn:
    """Return what `dsn` names, with the address found. Raises `EndpointRefused`, without secrets.

    Check again before each connection: what was found once may have been answered otherwise since.
    """
    parts = _split(dsn)
    host = checked_host(parts.hostname or "")
    try:
        port = PORT if parts.port is None else parts.port
    except ValueError:
        port = 0
    if not port:
        raise _refused("its port is not between 1 and 65535")
    database = unquote(parts.path.removeprefix("/"))
    for name, value in (("the database", database), ("the user", parts.username)):
        if not value:
            raise _refused(f"{name} is missing")
    if "/" in database:
        raise _refused("its path is not one database's name")
    return MysqlDsn(
        host=host,
        port=port,
        dbname=database,
        user=unquote(parts.username or ""),
        sslmode=_tls_of(parts.query, host, port),
        address=resolved(host, port)[0],
        password=unquote(parts.password or ""),
    )


def _split(dsn: str) -> SplitResult:
    try:
        parts = urlsplit(dsn.strip())
        _ = parts.hostname
    except ValueError:
        raise _refused("it is not a URL") from None  # the error's own words quote the password
    if parts.scheme not in SCHEMES:
        raise _refused("it does not begin with mysql://")
    if parts.fragment:
        raise _refused("it has a #; in a password that is spelled %23")
    return parts


def _tls_of(query: str, host: str, port: int) -> str:
    """Return how TLS is checked. Only servers that the operator admits may do without."""
    given = dict(parse_qsl(query, keep_blank_values=True))
    if unknown := sorted(given.keys() - {"sslmode"}):
        raise _refused(f"{', '.join(unknown)} cannot be given")
    is_admitted = f"{host}:{port}" in settings.STORAGE_ALLOWED_HOSTS
    modes = ADMITTED_MODES if is_admitted else TLS_MODES
    mode = given.get("sslmode") or "verify-full"
    if mode not in modes:
        raise _refused(f"sslmode is one of {', '.join(modes)}, not {mode[:40]}")
    return mode


def _refused(why: str) -> EndpointRefused:
    return EndpointRefused(f"The database is refused: {why}.", hint=HINT)
