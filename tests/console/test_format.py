"""Sizes, counts and times read the same wherever they are written."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from console import format as written


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (7_700_000, "7.7 MB"),
        (99_949_999, "99.9 MB"),
        (99_960_000, "100 MB"),
        (999_600_000, "1.0 GB"),
        (2 * 10**15, "2.0 PB"),
    ],
)
def test_it_writes_sizes_in_powers_of_a_thousand(value: int, text: str) -> None:
    assert written.size(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(16, "16"), (3322, "3,322"), (26_115, "26K"), (6_400_000, "6.4M")]
)
def test_it_shortens_counts(value: int, text: str) -> None:
    assert written.compact(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0, "1 ms"), (0.057, "57 ms"), (1.44, "1.4 s"), (240, "4 min")]
)
def test_it_writes_durations(value: float, text: str) -> None:
    assert written.seconds(value) == text


@pytest.mark.parametrize(
    ("passed", "text"),
    [
        (timedelta(seconds=-3), "just now"),
        (timedelta(seconds=59), "just now"),
        (timedelta(minutes=5), "5 min ago"),
        (timedelta(hours=30), "1 d ago"),
    ],
)
def test_it_says_how_long_ago(passed: timedelta, text: str) -> None:
    now = datetime(2026, 1, 2, tzinfo=UTC)
    assert written.ago(now - passed, now) == text
