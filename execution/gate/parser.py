"""DuckDB's own parser, on a connection that can reach nothing and evaluates nothing."""

from __future__ import annotations

import hashlib
import json
import os
import re
import threading
import unicodedata
from collections.abc import Sequence
from typing import Any, NamedTuple

import duckdb

from execution.gate.refusal import RefusalCode, SqlRefused

MAX_CHARACTERS = 100_000

NAMED_AFTER = re.compile(r"\bAT\s*\([^()]*\)\s*\w", re.IGNORECASE)
ALIAS_FIRST = "A name for a table stands before AT: FROM sales s AT (VERSION => 12)."

LOCATION = re.compile(r'"query_location":[0-9]+')

_local = threading.local()


class Parsed(NamedTuple):
    """The syntax tree of one SELECT, the engine's own rendering of it, and the tree's digest.

    Two texts with one digest differ in white space, comments and the case of keywords at most:
    the digest covers all that the engine plans from, which a rendering need not.
    """

    statement: dict[str, Any]
    canonical: str
    digest: str


def parse(sql: str) -> Parsed:
    """Return one SELECT as the engine's parser understands it.

    Uses `json_serialize_sql` only: `extract_statements` and `get_table_names` evaluate arguments
    of PRAGMAs and open files. Raises `SqlRefused`.
    """
    _check_characters(sql)
    con = _connection()
    text = con.execute("SELECT json_serialize_sql(?::VARCHAR)", [sql]).fetchall()[0][0]
    try:
        tree = json.loads(text)
    except RecursionError:
        raise too_deep() from None
    if tree["error"]:
        raise _refusal(sql, tree)
    statements = tree["statements"]
    if not statements:
        raise SqlRefused(RefusalCode.EMPTY, "There is no query in the text.")
    if len(statements) > 1:
        raise SqlRefused(
            RefusalCode.MULTIPLE_STATEMENTS,
            f"The text has {len(statements)} statements; one query runs at a time.",
            hint="Send each statement as its own query.",
        )
    return Parsed(statements[0], _render(con, text, sql), _digest(text))


def expressions(texts: Sequence[str]) -> list[dict[str, Any]] | None:
    """Return the syntax tree of each expression; None where one of them does not parse."""
    sql = f"SELECT {', '.join(f'({text})' for text in texts)}"
    try:
        serialized = _connection().execute("SELECT json_serialize_sql(?::VARCHAR)", [sql])
        tree = json.loads(serialized.fetchall()[0][0])
    except (duckdb.Error, RecursionError):
        return None
    if tree["error"] or len(tree["statements"]) != 1:
        return None
    found: list[dict[str, Any]] = tree["statements"][0]["node"]["select_list"]
    return found if len(found) == len(texts) else None


def system_names() -> frozenset[str]:
    """Return the engine's own views that an unqualified name could reach."""
    found: frozenset[str] | None = getattr(_local, "system_names", None)
    if found is None:
        rows = _connection().execute(
            "SELECT lower(view_name) FROM duckdb_views() "
            "WHERE internal AND schema_name IN ('main', 'pg_catalog')"
        )
        found = _local.system_names = frozenset(name for (name,) in rows.fetchall())
    return found


def too_deep() -> SqlRefused:
    """Return the refusal of a query that nests too far."""
    return SqlRefused(
        RefusalCode.TOO_DEEP,
        "The query nests expressions or subqueries too deeply.",
        hint="Split it into common table expressions, or use IN lists instead of long OR chains.",
    )


def _check_characters(sql: str) -> None:
    if len(sql) > MAX_CHARACTERS:
        raise SqlRefused(
            RefusalCode.TOO_LONG,
            f"The text has {len(sql):,} characters; the limit is {MAX_CHARACTERS:,}.",
            hint="Join with a table instead of listing values.",
        )
    for index, character in enumerate(sql):
        category = unicodedata.category(character)
        if category == "Cs" or (category == "Cc" and character not in "\t\r\n"):
            refused = SqlRefused(
                RefusalCode.CONTROL_CHARACTER,
                f"The text has the control character U+{ord(character):04X}.",
            )
            raise refused.at(sql[:index], len(sql[:index].encode()))


def _refusal(sql: str, tree: dict[str, Any]) -> SqlRefused:
    message = str(tree["error_message"])
    if "Only SELECT" in message:
        return SqlRefused(
            RefusalCode.NOT_SELECT,
            "Only one SELECT can be run; this text does something else.",
            hint="For PIVOT, list the values: PIVOT t ON c IN ('a', 'b') USING sum(v).",
        )
    offset = tree.get("position")
    hint = ALIAS_FIRST if NAMED_AFTER.search(sql) else ""
    refused = SqlRefused(RefusalCode.PARSE, f"The SQL cannot be parsed: {message}.", hint=hint)
    return refused.at(sql, int(offset) if offset else None)


def _render(con: duckdb.DuckDBPyConnection, tree: str, sql: str) -> str:
    """Return the canonical text; some trees have none, then the text stands for itself."""
    try:
        rows = con.execute("SELECT json_deserialize_sql(?::JSON)", [tree]).fetchall()
    except duckdb.Error:
        return sql
    return str(rows[0][0])


def _digest(tree: str) -> str:
    """Return the digest of a serialized tree without the places where things stood in the text.

    A constant that holds the same words is not touched: its quotes are escaped.
    """
    return hashlib.sha256(LOCATION.sub("", tree).encode()).hexdigest()


def _connection() -> duckdb.DuckDBPyConnection:
    """Return this thread's connection; a forked process opens its own."""
    if getattr(_local, "process", None) != os.getpid():
        _local.connection = _open()
        _local.process = os.getpid()
    connection: duckdb.DuckDBPyConnection = _local.connection
    return connection


def _open() -> duckdb.DuckDBPyConnection:
    con = duckdb.connect(
        ":memory:",
        config={
            "allow_community_extensions": "false",
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "enable_external_access": "false",
            "memory_limit": "256MB",
            "python_enable_replacements": "false",
            "temp_directory": "",
            "threads": 1,
        },
    )
    con.execute("SET lock_configuration=true")
    return con
