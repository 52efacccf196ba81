"""Every setting that Upend reads from its environment (docs/reference/settings.md)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from psycopg.conninfo import conninfo_to_dict

ROOT = Path(__file__).resolve().parent.parent.parent


def text(name: str, default: str = "") -> str:
    """Return `UPEND_<name>`, or `default` where it is unset or empty."""
    return os.environ.get(f"UPEND_{name}") or default


def words(name: str) -> list[str]:
    """Return what `UPEND_<name>` lists between commas."""
    return [word.strip() for word in text(name).split(",") if word.strip()]


def flag(name: str, *, default: bool = False) -> bool:
    """Return `UPEND_<name>` as a boolean: 1, true, yes and on are true."""
    value = text(name)
    return default if not value else value.lower() in {"1", "true", "yes", "on"}


def number(name: str, default: int) -> int:
    """Return `UPEND_<name>` as a whole number."""
    return int(text(name, str(default)))


def database(url: str, *, pool_size: int = 0, prepares: bool = True) -> dict[str, Any]:
    """Return Django's database settings for a libpq URL, Unix sockets included.

    With `pool_size` the threads of a process share that many connections at most; without, each
    keeps one of its own. With `prepares` a connection keeps the plans of `accounts.statements`.
    """
    parts = conninfo_to_dict(url)
    known = {
        "dbname": "NAME",
        "user": "USER",
        "password": "PASSWORD",
        "host": "HOST",
        "port": "PORT",
    }
    settings: dict[str, Any] = {
        ours: str(parts.pop(theirs, "") or "") for theirs, ours in known.items()
    }
    pool = {"pool": {"min_size": 2, "max_size": pool_size}} if pool_size else {}
    kept = {"prepare_threshold": 0 if prepares else None}
    return {
        "ENGINE": "config.postgresql",
        "CONN_MAX_AGE": 0 if pool_size else 600,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {key: value for key, value in parts.items() if value is not None} | pool | kept,
    } | settings
