"""Sends a small result to the bucket while the end of its run is written down.

Nothing is said to have succeeded before its rows have landed: the transaction that says so waits
for them at its end, for a moment. Where they take longer it is rolled back, so that no row stays
locked while a storage is slow, and done again once they are there.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache

MOMENT_SECONDS = 0.25


class NotLanded(Exception):
    """The rows are still on their way; what waited for them must not be committed."""


class Landing:
    """One object on its way."""

    def __init__(self, send: Callable[[], int]) -> None:
        self._sent: Future[int] = _senders().submit(send)

    def check(self) -> None:
        """Return when the object is there. Raises `NotLanded` soon, or why it will never be."""
        try:
            self._sent.result(MOMENT_SECONDS)
        except TimeoutError:
            if not self._sent.done():  # else the storage's own, which is told as it is
                raise NotLanded from None
            raise

    def wait(self) -> None:
        """Return when the object is there. Raises why it will never be."""
        self._sent.result()


@cache
def _senders() -> ThreadPoolExecutor:
    """Return the threads that send; more than a worker has slots are never needed."""
    return ThreadPoolExecutor(32, thread_name_prefix="landing")
