"""Starts PostgreSQL, Valkey and S3 for the tests before Django reads its settings.

Loaded by `-p tests.plugin`, because Django's settings read the environment when imported. Every
run has servers, ports and a directory of its own, so several runs share a machine. The servers
die with this process, however it dies; a later run removes the directory of a killed one.
"""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
import uuid
from collections.abc import Generator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from embedded.keyring import Keyring
from embedded.parts import backing_services
from embedded.ports import PortBook
from embedded.process import Identity
from embedded.service import start_all, stop_all

PREFIX = "upend-test-"


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None]:
    """Start the services, then let pytest-django import the settings."""
    remove_leftovers(Path(tempfile.gettempdir()))
    if not hands_out_work(early_config):
        start(early_config)
    yield


def hands_out_work(config: pytest.Config) -> bool:
    """Say whether other processes run the tests: each starts services of its own.

    What this process started they would take for the installation's, by its environment, and
    share: rows, rate limits and all.
    """
    is_one_of_them = "PYTEST_XDIST_WORKER" in os.environ
    return bool(getattr(config.known_args_namespace, "numprocesses", None)) and not is_one_of_them


def start(config: pytest.Config) -> None:
    """Bring the services up in a fresh directory and put their settings into the environment."""
    directory = Path(tempfile.mkdtemp(prefix=PREFIX))
    config.add_cleanup(lambda: shutil.rmtree(directory, ignore_errors=True))
    run = uuid.uuid4().hex
    Identity.of(os.getpid(), run).write(directory / "owner.pid")
    keys, ports = Keyring(directory / "keys"), PortBook(directory / "ports.json")
    services = backing_services(
        directory, run=run, environment=os.environ, keys=keys, ports=ports, durable=False
    )
    config.add_cleanup(lambda: stop_all(services))
    config.add_cleanup(say_nothing_more)
    start_all(services)
    (directory / "static").mkdir()  # WhiteNoise warns where it is missing
    os.environ.update(keys.environment())
    os.environ["UPEND_DATA_DIR"] = str(directory)
    os.environ["UPEND_FILE_CACHE_BYTES"] = "0"  # copies are made when there is time, not by turns
    os.environ["UPEND_DEBUG"] = "1"  # static files by their plain names; pytest-django resets DEBUG
    for service in services:
        os.environ.update(service.environment)
    own = urlsplit(os.environ["UPEND_S3_ENDPOINT"]).netloc
    os.environ["UPEND_STORAGE_ALLOWED_HOSTS"] = own  # customers of the tests have buckets there too


def say_nothing_more() -> None:
    """Let threads that hear the broker go be silent: they speak to a stream that pytest closed."""
    logging.raiseExceptions = False


def remove_leftovers(parent: Path) -> None:
    """Remove the directories of earlier runs that were killed before they could."""
    for directory in parent.glob(f"{PREFIX}*"):
        owner = Identity.read(directory / "owner.pid")
        if owner is not None and owner.process() is None:
            shutil.rmtree(directory, ignore_errors=True)
