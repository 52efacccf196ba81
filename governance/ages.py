"""`@max_age("8h")` of access policies: how long what they permit to hand out may be held."""

from __future__ import annotations

import re

AGE = re.compile(r"([1-9][0-9]{0,5})(s|m|h|d)")
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def seconds_of(text: str) -> int | None:
    """Return an age in seconds; None for what is none."""
    found = AGE.fullmatch(text)
    return int(found[1]) * SECONDS[found[2]] if found else None
