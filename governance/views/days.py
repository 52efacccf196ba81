"""Days as forms write them."""

from __future__ import annotations

from datetime import UTC, datetime, time

from django.utils.dateparse import parse_date

from problems import Invalid


def end_of(written: str) -> datetime | None:
    """Return the last moment of a day in UTC; None where none is given. Raises `Invalid`."""
    if not written:
        return None
    try:
        day = parse_date(written)
    except ValueError:
        day = None
    if day is None:
        raise Invalid(f"{written!r} is not a day.", hint="Write it as 2026-12-31.")
    return datetime.combine(day, time(23, 59, 59), UTC)
