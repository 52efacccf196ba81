"""One who floods, at a machine of his own: what his client takes is nobody else's time.

The analysts' client measures; were the flood sent by it, they would wait for their own clock.
So he has a process, and as another machine would, it takes no processor that the server wants.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from http import HTTPStatus

import httpx

from benchmarks.analysts import Desk, code_of, connections

CANCELS_AT_ONCE = 8
BEHIND_ALL = 19


@dataclass(slots=True)
class Abuse:
    """What became of the flood."""

    accepted: list[str] = field(default_factory=list)
    refused: int = 0
    failures: list[str] = field(default_factory=list)


class Elsewhere:
    """A process for the flood, started before anything is measured."""

    def __init__(self) -> None:
        self._pool = ProcessPoolExecutor(
            1, multiprocessing.get_context("spawn"), os.nice, (BEHIND_ALL,)
        )
        self._pool.submit(os.getpid).result()

    async def flood(self, url: str, token: str, texts: list[str], seconds: float) -> Abuse:
        """Submit all texts at once, for `seconds` again where refused; wait for nobody's rows."""
        loop = asyncio.get_running_loop()
        with self._pool:
            return await loop.run_in_executor(self._pool, _flood, url, token, texts, seconds)


async def withdraw(desk: Desk, query_ids: list[str]) -> None:
    """Cancel what still waits or runs."""
    room = asyncio.Semaphore(CANCELS_AT_ONCE)

    async def cancel(query_id: str) -> None:
        async with room:
            await desk.cancel(query_id)

    await asyncio.gather(*map(cancel, query_ids))


def _flood(url: str, token: str, texts: list[str], seconds: float) -> Abuse:
    return asyncio.run(_submit_all(url, token, texts, time.monotonic() + seconds))


async def _submit_all(url: str, token: str, texts: list[str], until: float) -> Abuse:
    """Submit all texts at once, and those answered 429 again later, up to `until`."""
    abuse = Abuse()
    with connections(url, "bench") as http:
        async with http:
            desk = Desk("abuser", token, http)
            await asyncio.gather(*(_insist(desk, sql, until, abuse) for sql in texts))
    return abuse


async def _insist(desk: Desk, sql: str, until: float, abuse: Abuse) -> None:
    while time.monotonic() < until:
        pause = await _submit(desk, sql, abuse)
        if pause is None:
            return
        abuse.refused += 1
        await asyncio.sleep(pause)


async def _submit(desk: Desk, sql: str, abuse: Abuse) -> float | None:
    """Submit one; return how many seconds to stay away where it was refused by a limit."""
    try:
        abuse.accepted.append((await desk.submit(sql, wait=False))["id"])
    except httpx.HTTPStatusError as error:
        if error.response.status_code == HTTPStatus.TOO_MANY_REQUESTS:
            return float(error.response.headers.get("Retry-After", 1))
        abuse.failures.append(f"{error.response.status_code} {code_of(error.response)}")
    except httpx.TransportError as error:
        abuse.failures.append(type(error).__name__)
    return None
