"""How long a run would take at each place: a formula one can do by hand, corrected by what was."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from accounts.domain import DeviceIdentity
from execution.domain import Estimate, Prediction, TableEstimate

SERVER_START_SECONDS = 0.35
LOCAL_START_SECONDS = 0.2
SERVER_BYTES_PER_SECOND = 250 * 10**6
LOCAL_BYTES_PER_SECOND = 12.5 * 10**6
"""What a link is thought to carry until the device has reported what it saw."""

DECODED_BYTES_PER_SECOND = 150 * 10**6
"""Compressed bytes of columns that one core decodes and works through in a second."""

HELD_BYTES_PER_SECOND = 500 * 10**6
"""Bytes of hash tables, sorted runs and windows that one core builds in a second."""

WRITTEN_BYTES_PER_SECOND = 40 * 10**6
"""Bytes of Parquet that one writer of extracts compresses and sends in a second."""

LOCAL_CORES = 4
SMALLEST_FACTOR, LARGEST_FACTOR = 0.1, 10.0
NEWEST_WEIGHS = 0.2
"""What the newest run counts for at least, so that a correction follows a changed machine."""

WORTH_SAYING = 1.1
RUNS_REMEMBERED = 20


@dataclass(frozen=True, slots=True)
class Correction:
    """How many times longer than the formula says runs took: learned, explained, resettable.

    `log_mean` is an exponentially weighted mean of ln(actual / predicted): geometric, because
    twice as slow and twice as fast must cancel out.
    """

    log_mean: float = 0.0
    runs: int = 0

    @property
    def factor(self) -> float:
        """Return what predictions are multiplied by."""
        return min(max(math.exp(self.log_mean), SMALLEST_FACTOR), LARGEST_FACTOR)

    def learn(self, *, predicted: float, actual: float) -> Correction:
        """Return the correction that has seen one run more.

        The first run moves it half of the way: one cold start is no pattern.
        """
        weight = max(1 / (self.runs + 2), NEWEST_WEIGHS)
        moved = self.log_mean + weight * (
            log_ratio(predicted=predicted, actual=actual) - self.log_mean
        )
        return Correction(moved, self.runs + 1)

    @property
    def in_words(self) -> str:
        """Return such as `1.4x slower than predicted over the last 12 runs`; empty if as it was."""
        if max(self.factor, 1 / self.factor) < WORTH_SAYING:
            return ""
        word = "slower" if self.factor > 1 else "faster"
        runs = min(self.runs, RUNS_REMEMBERED)
        over = "in the last run" if runs == 1 else f"over the last {runs} runs"
        return f"{max(self.factor, 1 / self.factor):.1f}x {word} than predicted {over}"


def log_ratio(*, predicted: float, actual: float) -> float:
    """Return what one run says, as the logarithm of how many times longer it took."""
    return math.log(min(max(actual / predicted, SMALLEST_FACTOR), LARGEST_FACTOR))


@dataclass(frozen=True, slots=True)
class ServerLoad:
    """What waits on the server now: how many queries, and how long a new one would wait."""

    queued: int = 0
    wait_seconds: float = 0.0
    cores: int = 2


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What is true of the moment rather than of the query: load, and what was learned."""

    load: ServerLoad = field(default_factory=ServerLoad)
    server: Correction = field(default_factory=Correction)
    device: Correction = field(default_factory=Correction)


def on_server(estimate: Estimate, now: Circumstances) -> Prediction:
    """Return how long a worker would take, its queue included."""
    return Prediction(
        start_seconds=SERVER_START_SECONDS,
        fetch_seconds=estimate.scan_bytes / SERVER_BYTES_PER_SECOND,
        compute_seconds=_compute(estimate, now.load.cores),
        wait_seconds=now.load.wait_seconds,
        correction=now.server.factor,
    )


def on_device(
    estimate: Estimate, device: DeviceIdentity, now: Circumstances, *, wait_seconds: float = 0.0
) -> Prediction:
    """Return how long the device would take: what its cache holds is not fetched again.

    `wait_seconds` pass before it can begin.

    A device is never thought nearer to the bucket, or stronger, than the server is: what else it
    can do its correction learns.
    """
    link = min(device.link_bytes_per_second or LOCAL_BYTES_PER_SECOND, SERVER_BYTES_PER_SECOND)
    cores = min(device.cores or LOCAL_CORES, now.load.cores)
    return Prediction(
        start_seconds=LOCAL_START_SECONDS,
        fetch_seconds=bytes_to_fetch(estimate, device) / link,
        compute_seconds=_compute(estimate, cores),
        wait_seconds=wait_seconds,
        correction=now.device.factor,
    )


def to_prepare(*, scan_bytes: int, written_bytes: int) -> float:
    """Return the seconds that a worker needs to write an extract."""
    reading = scan_bytes / SERVER_BYTES_PER_SECOND + scan_bytes / DECODED_BYTES_PER_SECOND
    return SERVER_START_SECONDS + reading + written_bytes / WRITTEN_BYTES_PER_SECOND


def bytes_to_fetch(estimate: Estimate, device: DeviceIdentity | None) -> int:
    """Return the bytes that the device would fetch: those read, minus those it says it holds."""
    held = device.cached_bytes if device else {}
    return sum(table.scan_bytes - _held(table, held) for table in estimate.tables)


def _held(table: TableEstimate, held: dict[str, int]) -> int:
    return min(max(held.get(table.table_key, 0), 0), table.scan_bytes)


def _compute(estimate: Estimate, cores: int) -> float:
    decoding = estimate.scan_bytes / DECODED_BYTES_PER_SECOND
    return (decoding + estimate.held_bytes / HELD_BYTES_PER_SECOND) / max(cores, 1)
