"""Keeps engines open to read results with: opening one takes 10 ms, a connection to it none."""

from __future__ import annotations

import os
import threading

import duckdb

CONFINED = {
    "allow_persistent_secrets": "false",
    "enable_external_access": "false",
    "python_enable_replacements": "false",
}
"""An engine so opened can do nothing but read what it is given."""

_open: dict[tuple[int, str], duckdb.DuckDBPyConnection] = {}
_lock = threading.Lock()


def connection(name: str, config: dict[str, str] | None = None) -> duckdb.DuckDBPyConnection:
    """Return a new connection to this process's engine of that name, opened with `config`.

    What is registered or set in it is its own; close it, or drop it. A forked process opens an
    engine of its own: the threads of its parent's did not come along.
    """
    key = os.getpid(), name
    with _lock:
        if key not in _open:
            _open[key] = duckdb.connect(config=dict(config or {}))
        return _open[key].cursor()


def _unlock() -> None:
    """Give a forked process a lock that nobody holds."""
    global _lock  # noqa: PLW0603  # a lock cannot be reset
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_unlock)
