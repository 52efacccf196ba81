"""Which PostgreSQL servers Upend may be sent to, and with what: customers name them as a DSN.

libpq reads files, environment variables and several hosts from a DSN; of all that, Upend takes
host, port, database, user, password and how TLS is checked, and connects to a checked address.

Source: https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS
"""

from __future__ import annotations

from dataclasses import dataclass, field

import certifi
from django.conf import settings
from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from catalog.storage.endpoints import EndpointRefused, checked_host, resolved

ALLOWED = frozenset({"host", "port", "dbname", "user", "password", "sslmode"})
REQUIRED = ("host", "dbname", "user")
TLS_MODES = ("require", "verify-full")
"""With `prefer` and less, whoever is in between could ask for the password in clear."""
PORT = 5432
OWN = {
    "connect_timeout": "5",
    "gssencmode": "disable",
    "passfile": "/dev/null",
    "sslcert": "/dev/null/none",
}
"""What libpq would otherwise take from the home of the user that Upend runs as."""
HINT = (
    "Give one host, the database, a user and a password: "
    "postgresql://user:password@db.example.com:5432/lake?sslmode=verify-full"
)


@dataclass(frozen=True, slots=True)
class Dsn:
    """A customer's database: what may be shown of it, and its password."""

    host: str
    port: int
    dbname: str
    user: str
    sslmode: str
    address: str
    """Where the host was found when this was checked; `hostaddr` of every connection."""
    password: str = field(repr=False)

    def conninfo(self) -> str:
        """Return the connection string for libpq. It holds the password: do not log or keep it."""
        return make_conninfo(
            host=self.host,
            hostaddr=self.address,
            port=self.port,
            dbname=self.dbname,
            user=self.user,
            password=self.password,
            sslmode=self.sslmode,
            **({"sslrootcert": certifi.where()} if self.sslmode == "verify-full" else {}),
            **OWN,
        )


def checked_dsn(dsn: str) -> Dsn:
    """Return what `dsn` names, with the address found. Raises `EndpointRefused`, without secrets.

    Check again before each connection: what was found once may have been answered otherwise since.
    """
    try:
        given = {key: str(value) for key, value in conninfo_to_dict(dsn).items()}
    except ProgrammingError:
        # libpq's own words quote the text, and with it the password.
        raise _refused("it is neither a PostgreSQL URL nor pairs of key=value") from None
    unknown = sorted(given.keys() - ALLOWED)
    if unknown:
        raise _refused(f"{', '.join(unknown)} cannot be given")
    for name in REQUIRED:
        if not given.get(name):
            raise _refused(f"{name} is missing")
    host, port = _host_of(given), _port_of(given)
    return Dsn(
        host=host,
        port=port,
        dbname=given["dbname"],
        user=given["user"],
        sslmode=_tls_of(given, host, port),
        address=resolved(host, port)[0],
        password=given.get("password", ""),
    )


def _host_of(given: dict[str, str]) -> str:
    if "," in given["host"] + given.get("port", ""):
        raise _refused("it names several hosts")
    return checked_host(given["host"])


def _port_of(given: dict[str, str]) -> int:
    text = given.get("port") or str(PORT)
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 2**16):
        raise _refused("its port is not between 1 and 65535")
    return int(text)


def _tls_of(given: dict[str, str], host: str, port: int) -> str:
    """Return how TLS is checked. Only servers that the operator admits may do without."""
    mode = given.get("sslmode")
    if f"{host}:{port}" in settings.STORAGE_ALLOWED_HOSTS:
        return mode or "prefer"
    if mode and mode not in TLS_MODES:
        raise _refused(f"sslmode is one of {' and '.join(TLS_MODES)}, not {mode}")
    return mode or "verify-full"


def _refused(why: str) -> EndpointRefused:
    return EndpointRefused(f"The database is refused: {why}.", hint=HINT)
