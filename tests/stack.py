"""The whole of Upend as its users meet it: its own processes, data directory and database."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Generator
from dataclasses import dataclass

import pytest

from demo.logins import LoginBook
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


@dataclass(frozen=True)
class DemoAir:
    """A running Upend with the demo's data, and how its cast gets in."""

    stack: RunningStack
    secrets: dict[str, str]
    """Passwords by name (`owner`, `steward`, `analyst`, `auditor`); the token of `agent`."""

    @property
    def url(self) -> str:
        """Return the address of the console and the API."""
        return self.stack.url

    def email(self, name: str) -> str:
        """Return the address that a person signs in with."""
        return f"{name}@demo-air.example"


def manage(stack: RunningStack, *arguments: str, timeout: float = 120) -> str:
    """Run a management command on the stack and return what it prints."""
    done = subprocess.run(
        [sys.executable, "-m", "django", *arguments],
        env=stack.environment,
        cwd=stack.directory,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def demo_air(stack: RunningStack) -> DemoAir:
    """Load Demo Air into the stack, once."""
    manage(stack, "load_demo")
    book = LoginBook(stack.directory / "demo-logins.txt")
    return DemoAir(stack, {login.name: login.secret for login in book})
