"""The whole of Upend as its users meet it: its own processes, data directory and database."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path

import pytest

from demo.logins import LoginBook
from embedded.ports import PortBook
from embedded.running import RunningStack
from tests.observability.collector import Collector


@pytest.fixture(scope="session")
def installation_directory() -> Callable[[], Path]:
    """Return a maker of directories for installations.

    pytest's own are of no use here: it closes their parent to all but its user, again and again,
    and PostgreSQL is another user where the tests run as root. These go when the run ends.
    """

    def make() -> Path:
        directory = Path(tempfile.mkdtemp(dir=os.environ["UPEND_DATA_DIR"]))
        directory.chmod(0o711)
        return directory

    return make


@pytest.fixture(scope="session")
def stack(installation_directory: Callable[[], Path]) -> Generator[RunningStack]:
    """Start `manage.py up` once for the run; tests may `kill` its parts, `up` restarts them.

    Its database is not the one of the `db` fixture: reach it by HTTP, by the client, or by
    management commands run with `stack.environment`.
    """
    directory = installation_directory()
    storage = PortBook(directory / "ports.json").choose("s3:s3.port")
    allowed = f"127.0.0.1:{storage}"  # customers of the tests have buckets there too
    running = RunningStack(directory, {"UPEND_STORAGE_ALLOWED_HOSTS": allowed})
    running.start()
    yield running
    running.stop()


@pytest.fixture(scope="session")
def collector() -> Generator[Collector]:
    """Receive the spans of the spare stack."""
    made = Collector()
    yield made
    made.close()


@pytest.fixture(scope="session")
def _spare(
    collector: Collector, installation_directory: Callable[[], Path]
) -> Generator[RunningStack]:
    given = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_BSP_SCHEDULE_DELAY": "200",
        "UPEND_LOG_FORMAT": "json",
    }
    running = RunningStack(installation_directory(), given)
    yield running
    running.stop()


@pytest.fixture
def spare(_spare: RunningStack) -> RunningStack:
    """Return one more stack, without data, that runs: anything of it may be killed, and all of it.

    It tells its spans to `collector`, and logs as machines like it.
    """
    if _spare.supervisor_pid is None:
        _spare.start()
    return _spare


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


def manage(stack: RunningStack, *arguments: str, timeout: float = 600) -> str:
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
