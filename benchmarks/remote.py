"""DuckDB behind a remote protocol and nothing else: no person, no policy, no slice, no record.

What a query costs there is the floor for any server. Two protocols: DuckDB's own (`quack`), and
Arrow Flight with one method. As a program it is the server, in a process of its own:
`python -m benchmarks.remote quack`, which reads from its standard input how to reach the lake.
"""

from __future__ import annotations

import json
import secrets
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import duckdb
import pyarrow as pa
from duckdb_extensions import import_extension
from pyarrow import flight

from tests.differential import live

QUACK = "quack"
FLIGHT = "flight"
PROTOCOLS = (QUACK, FLIGHT)

Ask = Callable[[str], list[tuple[Any, ...]]]


class NotInstalled(Exception):
    """What a protocol needs is not on this machine; the text says how to get it."""


class FlightServer(flight.FlightServerBase):  # type: ignore[misc]  # pyarrow ships no types
    """Answers a ticket, which is SQL, with its rows."""

    def __init__(self, location: str, con: duckdb.DuckDBPyConnection) -> None:
        super().__init__(location)
        self.con = con

    def do_get(self, _: object, ticket: flight.Ticket) -> flight.RecordBatchStream:
        """Run the SQL of the ticket."""
        reader = self.con.cursor().execute(ticket.ticket.decode()).to_arrow_reader()
        return flight.RecordBatchStream(reader)


@contextmanager
def server(protocol: str, document: dict[str, Any], catalog: str, threads: int) -> Iterator[Ask]:
    """Start a server of the lake; yield what asks it and returns rows. Raises `NotInstalled`."""
    if protocol == QUACK:
        quack_extension(duckdb.connect())
    order = {
        "document": document,
        "catalog": catalog,
        "threads": threads,
        "port": _free_port(),
        "token": secrets.token_hex(16),
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.remote", protocol],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(order) + "\n")
        process.stdin.flush()
        assert process.stdout.readline() == "ready\n", f"the {protocol} server did not start"
        connect = {QUACK: _quack_client, FLIGHT: _flight_client}[protocol]
        yield connect(order["port"], order["token"])
        process.stdin.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def quack_extension(con: duckdb.DuckDBPyConnection) -> str:
    """Load DuckDB's remote protocol and return its version. Raises `NotInstalled`."""
    try:
        import_extension(QUACK, con=con)
        con.load_extension(QUACK)
    except (duckdb.Error, ImportError, OSError) as error:
        raise NotInstalled(
            f"DuckDB's extension `quack` could not be loaded ({error}):"
            f" pip install duckdb-extension-quack=={duckdb.__version__}"
        ) from error
    found = con.execute(
        "SELECT extension_version FROM duckdb_extensions() WHERE extension_name = ?", [QUACK]
    ).fetchall()
    return str(found[0][0])


def described(protocol: str) -> str:
    """Return what answers by this protocol, with its version."""
    if protocol == QUACK:
        return f"quack {quack_extension(duckdb.connect())}, DuckDB {duckdb.__version__}"
    return f"Arrow Flight of pyarrow {pa.__version__}, DuckDB {duckdb.__version__}"


def _quack_client(port: int, token: str) -> Ask:
    con = duckdb.connect()
    quack_extension(con)
    con.execute(f"CREATE SECRET (TYPE quack, TOKEN '{token}')")
    con.execute(f"ATTACH 'quack:localhost:{port}' AS remote")
    return lambda sql: con.execute("FROM remote.query(?)", [sql]).fetchall()


def _flight_client(port: int, _: str) -> Ask:
    client = flight.connect(f"grpc://127.0.0.1:{port}")

    def ask(sql: str) -> list[tuple[Any, ...]]:
        table = client.do_get(flight.Ticket(sql)).read_all()
        return list(zip(*(column.to_pylist() for column in table.columns), strict=True))

    return ask


def main() -> None:
    """Serve until the standard input ends."""
    order = json.loads(sys.stdin.readline())
    con = live.connect(order["document"])
    live.attach(con, order["document"], order["catalog"])
    con.execute(f"SET threads = {int(order['threads'])}")
    if sys.argv[1] == QUACK:
        quack_extension(con)
        con.execute(
            "CALL quack_serve(?, token => ?)", [f"quack:localhost:{order['port']}", order["token"]]
        )
    else:
        kept = FlightServer(f"grpc://127.0.0.1:{order['port']}", con)  # noqa: F841  # serves while named
    print("ready", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
