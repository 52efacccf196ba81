"""One connection to one live lake, and commits that carry the job they belong to.

Every commit is marked with its job in DuckLake's `commit_extra_info`, and a unique index on the
marks makes a second one impossible: a retry after a crash finds the mark or commits, never both.
"""

from __future__ import annotations

import importlib.resources
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from catalog.writer import keys
from catalog.writer.marks import marker
from catalog.writer.quoting import quoted_name, quoted_text

EXTENSIONS = ("ducklake", "postgres_scanner", "httpfs")
IN_SECRET = {
    "host": "HOST",
    "port": "PORT",
    "user": "USER",
    "password": "PASSWORD",
    "dbname": "DATABASE",
}

NEWEST = sql.SQL("SELECT snapshot_id FROM {} ORDER BY snapshot_id DESC LIMIT 1")


@dataclass(frozen=True, slots=True)
class Spec:
    """What the parent asks for. `database` are libpq parameters, `storage` as `keys.given` has it.

    `storage` names the prefixes that the engine reaches: the lake's, and where files are staged.
    """

    job_id: str
    kind: str
    arguments: dict[str, Any]
    author: str
    message: str
    metadata_schema: str
    data_path: str
    database: dict[str, Any]
    storage: dict[str, keys.Given]
    lock_key: int
    registered: tuple[str, ...] = ()
    """Where else in the lake's bucket it may read: files of others lie there."""
    extensions: tuple[str, ...] = ()
    memory_bytes: int = 2 * 2**30
    threads: int = 2
    temp_directory: str = ""

    @classmethod
    def of(cls, given: dict[str, Any]) -> Spec:
        """Return the spec of its JSON form."""
        lists = {name: tuple(given.get(name, ())) for name in ("extensions", "registered")}
        return cls(**given | lists)

    @property
    def secrets(self) -> tuple[str, ...]:
        """Return the texts that must never be repeated."""
        of_storage = (text for one in self.storage.values() for text in keys.secrets_in(one))
        return tuple(filter(None, (self.database.get("password"), *of_storage)))

    def marker(self, step: int = 0) -> str:
        """Return the mark of one commit of this job."""
        return marker(self.job_id, step)


class Lake:
    """The live lake, attached as `lake`."""

    def __init__(self, con: duckdb.DuckDBPyConnection, spec: Spec) -> None:
        self.con = con
        self.spec = spec
        self.session: psycopg.Connection | None = None
        """Where there is one, it says what the newest snapshot is: the engine would begin another
        transaction of the lake's to ask."""

    @classmethod
    def attach(cls, spec: Spec) -> Lake:
        """Open an engine, give it its keys, and attach the lake (creating its tables).

        It stays outside the lake: whatever it looked up by name would begin a transaction there.
        """
        con = duckdb.connect(
            ":memory:",
            config={
                "allow_persistent_secrets": "false",
                "autoinstall_known_extensions": "false",
                "memory_limit": f"{spec.memory_bytes}B",
                "secret_directory": "/nonexistent",
                "temp_directory": spec.temp_directory,
                "threads": spec.threads,
            },
        )
        for extension in (*EXTENSIONS, *spec.extensions):
            con.execute(f"LOAD {quoted_text(str(extension_path(extension)))}")
        con.execute("SET TimeZone = 'UTC'")
        con.execute(_metadata_secret(spec))
        for name, given in spec.storage.items():
            con.execute(keys.secret(name, given))
        for number, scope in enumerate(spec.registered):
            con.execute(keys.secret(f"other_{number}", spec.storage["lake"] | {"scope": scope}))
        others = {k: v for k, v in spec.database.items() if k not in IN_SECRET}
        target = f"ducklake:postgres:{make_conninfo(**others)}"
        con.execute(
            f"ATTACH {quoted_text(target)} AS lake (META_SECRET 'metadata',"
            f" META_SCHEMA {quoted_text(spec.metadata_schema)},"
            f" DATA_PATH {quoted_text(spec.data_path)}{_encryption(spec)})"
        )
        return cls(con, spec)

    def execute(self, text: str, parameters: list[Any] | None = None) -> list[tuple[Any, ...]]:
        """Run one statement and return its rows."""
        return self.con.execute(text, parameters).fetchall()

    def commit(self, mark: str, statements: list[str], *, is_first: bool = False) -> dict[str, Any]:
        """Run statements as one marked commit, unless it was already made.

        Where `is_first` says that nobody tried before, it surely was not. Returns the snapshot,
        and the rows that the last statement counted.
        """
        if not is_first and (done := self._committed(mark)) is not None:
            return {"snapshot_id": done, "rows": None, "repeated": True}
        self.execute("BEGIN")
        try:
            if self.session is None:
                self.execute("USE lake")  # what is set up before it stays outside
            counted: list[tuple[Any, ...]] = []
            for text in statements:
                counted = self.execute(text)
            self.execute(
                "CALL lake.set_commit_message(?, ?, extra_info => ?)",
                [self.spec.author, self.spec.message, mark],
            )
            self.execute("COMMIT")
        except duckdb.Error:
            self.roll_back()
            if (done := self._committed(mark)) is None:
                raise
            return {"snapshot_id": done, "rows": None, "repeated": True}
        return {"snapshot_id": self.newest_snapshot(), "rows": _count(counted)}

    def is_committed(self, mark: str) -> bool:
        """Tell whether a commit with this mark was made."""
        return self._committed(mark) is not None

    def newest_snapshot(self) -> int:
        """Return the id of the newest snapshot."""
        if self.session is not None:
            place = sql.Identifier(self.spec.metadata_schema, "ducklake_snapshot")
            [(newest,)] = self.session.execute(NEWEST.format(place)).fetchall()
            return int(newest)
        return int(self.execute("SELECT id FROM lake.current_snapshot()")[0][0])

    def percent(self) -> float | None:
        """Return how far the running statement is; None where the engine cannot tell."""
        percent = self.con.query_progress()
        return round(percent, 1) if 0 <= percent <= 100 else None  # noqa: PLR2004 - percents

    def name(self, *parts: str) -> str:
        """Return a quoted name inside the lake."""
        return ".".join(quoted_name(part) for part in ("lake", *parts))

    def _committed(self, mark: str) -> int | None:
        found = self.execute(
            f"SELECT max(snapshot_id) FROM __ducklake_metadata_lake."  # noqa: S608 - quoted
            f"{quoted_name(self.spec.metadata_schema)}.ducklake_snapshot_changes"
            " WHERE commit_extra_info = ?",
            [mark],
        )
        return None if found[0][0] is None else int(found[0][0])

    def roll_back(self) -> None:
        """Undo the open transaction; that there is none is no error."""
        try:
            self.execute("ROLLBACK")
        except duckdb.TransactionException:  # a failed COMMIT has already ended it
            return


def _count(rows: list[tuple[Any, ...]]) -> int | None:
    return rows[0][0] if len(rows) == 1 and rows[0] and isinstance(rows[0][0], int) else None


def extension_path(name: str) -> Path:
    """Return where a wheel keeps its extension for the engine in use."""
    root = Path(str(importlib.resources.files(f"duckdb_extension_{name}")))
    return root / "extensions" / f"v{duckdb.__version__}" / f"{name}.duckdb_extension"


def _encryption(spec: Spec) -> str:
    """Return the option that makes a new lake encrypt its files; later its metadata says so."""
    return ", ENCRYPTED" if spec.arguments.get("is_encrypted") else ""


def _metadata_secret(spec: Spec) -> str:
    members = ", ".join(
        f"{IN_SECRET[key]} {quoted_text(str(value))}"
        for key, value in spec.database.items()
        if key in IN_SECRET and value not in {None, ""}
    )
    return f"CREATE SECRET metadata (TYPE postgres, {members})"
