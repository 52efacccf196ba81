"""What a receipt says of the machine itself: checked here, believed for placing queries only."""

from __future__ import annotations

from typing import Any

MAX_TABLES = 1000
MAX_KEY = 200
LARGEST = 2**62


def machine_of(claims: dict[str, Any]) -> dict[str, Any]:
    """Return the keyword arguments of `accounts.note_device_report` that a receipt holds.

    What makes no sense is left out: a receipt is about its run, which did happen.
    """
    given = claims.get("machine")
    if not isinstance(given, dict):
        return {}
    found: dict[str, Any] = {}
    for name, largest in (
        ("memory_bytes", LARGEST),
        ("cores", 2**16),
        ("link_bytes_per_second", LARGEST),
    ):
        if _is_count(given.get(name), largest):
            found[name] = given[name]
    if isinstance(given.get("cached_bytes"), dict):
        found["cached_bytes"] = _cached(given["cached_bytes"])
    return found


def _is_count(value: object, largest: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= largest


def _cached(given: dict[str, Any]) -> dict[str, int]:
    """Return bytes by table key; of a list too long to be honest, nothing."""
    if len(given) > MAX_TABLES:
        return {}
    return {key: v for key, v in given.items() if len(key) <= MAX_KEY and _is_count(v, LARGEST)}
