"""`manage.py up`: all of Upend on this machine, until Ctrl-C."""

from __future__ import annotations

import os
import signal
import sys
from argparse import ArgumentParser
from collections.abc import Callable
from types import FrameType
from typing import Any, NoReturn

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from embedded.combined_log import CombinedLog
from embedded.installation import Installation, PortTaken
from embedded.lock import AlreadyRunning
from embedded.program import StepFailed
from embedded.service import ServiceFailed
from embedded.wheels import MissingWheel

REFUSALS = (MissingWheel, PortTaken, ServiceFailed, StepFailed)


class Interrupted(BaseException):
    """Somebody asked the whole to stop."""


class Command(BaseCommand):
    help = "Start PostgreSQL, Valkey, S3, web, workers and beat here; Ctrl-C stops everything."
    requires_system_checks = ("isolation",)

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take the address to listen on."""
        parser.add_argument("--host", default="127.0.0.1", help="address the web process binds")
        parser.add_argument("--port", type=int, help="its port; default 8000 or the next free one")

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002 - Django's signature
        """Serve until interrupted."""
        log = CombinedLog(sys.stdout, colour=wants_colour())
        installation = Installation(
            settings.DATA_DIR,
            given=given_settings(),
            log=log,
            host=options["host"],
            port=options["port"],
        )
        try:
            serve(installation, log)
        except AlreadyRunning as running:
            raise CommandError(str(running)) from running


def serve(
    installation: Installation, log: CombinedLog, once_started: Callable[[], bool] = lambda: True
) -> None:
    """Start `installation`, keep it alive until a signal comes, and stop it whatever happens.

    `once_started` is called when everything serves; it says whether to go on serving. Raises
    `AlreadyRunning`, and `CommandError` for whatever else kept it from starting or serving.
    """
    catch_signals()
    try:
        installation.start()
        if once_started():
            installation.say("Ctrl-C stops everything")
            installation.supervise()
    except Interrupted:
        installation.say("stopping")
    except REFUSALS as refusal:
        raise CommandError(str(refusal)) from refusal
    finally:
        if installation.stop():
            installation.say("stopped")
        log.close()


def catch_signals() -> None:
    """Turn the first signal that asks us to stop into `Interrupted`; let stopping finish."""

    def interrupt(number: int, frame: FrameType | None) -> NoReturn:  # noqa: ARG001
        for other in stops:
            signal.signal(other, signal.SIG_IGN)
        raise Interrupted

    stops = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    for stop in stops:
        signal.signal(stop, interrupt)


def given_settings() -> dict[str, str]:
    """Return the `UPEND_*` settings that the person set."""
    return {name: value for name, value in os.environ.items() if name.startswith("UPEND_")}


def wants_colour() -> bool:
    """Tell whether colours help here (https://no-color.org)."""
    return sys.stdout.isatty() and "NO_COLOR" not in os.environ
