"""How the console writes sizes, counts and times: the twin of static/console/format.js."""

from datetime import datetime, timedelta

UNITS = ("B", "kB", "MB", "GB", "TB", "PB")
MINUTE, HOUR, DAY = 60, 3600, 86400
TEN_THOUSAND = 10_000
ROUNDS_TO_100, ROUNDS_TO_1000 = 99.95, 999.5


def size(value: int) -> str:
    """Return bytes in powers of 1000: `7.7 MB`."""
    amount, unit = float(value), 0
    while amount >= ROUNDS_TO_1000 and unit < len(UNITS) - 1:
        amount, unit = amount / 1000, unit + 1
    digits = 0 if unit == 0 or amount >= ROUNDS_TO_100 else 1
    return f"{amount:.{digits}f} {UNITS[unit]}"


def compact(value: int) -> str:
    """Return a count in a few characters: `2.0M`."""
    if value < TEN_THOUSAND:
        return f"{value:,}"
    for limit, suffix in ((10**9, "B"), (10**6, "M")):
        if value >= limit:
            return f"{value / limit:.1f}{suffix}"
    return f"{value / 1000:.0f}K"


def seconds(value: float) -> str:
    """Return a duration a person can compare: `57 ms`, `1.4 s`, `3 min`."""
    if value < 1:
        return f"{max(1, round(value * 1000))} ms"
    return f"{value:.1f} s" if value < ROUNDS_TO_100 else f"{round(value / MINUTE)} min"


def ago(then: datetime, now: datetime) -> str:
    """Return how long ago `then` was, in one unit; the exact time belongs in a tooltip."""
    passed = max((now - then) / timedelta(seconds=1), 0)
    if passed < MINUTE:
        return "just now"
    for unit, length in (("d", DAY), ("h", HOUR), ("min", MINUTE)):
        if passed >= length:
            return f"{int(passed // length)} {unit} ago"
    return "just now"
