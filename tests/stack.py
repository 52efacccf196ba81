"""The whole of Upend as its users meet it: its own processes, data directory and database."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from embedded.running import RunningStack


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Generator[RunningStack]:
    """Start `manage.py up` once for the run; tests may `kill` its parts, `up` restarts them.

    Its database is not the one of the `db` fixture: reach it by HTTP, by the client, or by
    management commands run with `stack.environment`.
    """
    running = RunningStack(tmp_path_factory.mktemp("stack"))
    running.start()
    yield running
    running.stop()
