"""`manage.py demo`: Upend with Demo Air in it, from nothing, by one command."""

from __future__ import annotations

import os
import subprocess
import sys
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from demo.loading import login_book
from demo.logins import banner
from embedded import programs
from embedded.combined_log import CombinedLog
from embedded.installation import Installation
from embedded.lock import AlreadyRunning, State
from embedded.management.commands.up import given_settings, serve, wants_colour


class Command(BaseCommand):
    help = "Start Upend here with the demo's data in it, and print the address and the logins."
    requires_system_checks = ("isolation",)

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take the address to listen on, and whether to stay."""
        parser.add_argument("--host", default="127.0.0.1", help="address the web process binds")
        parser.add_argument("--port", type=int, help="its port; default 8000 or the next free one")
        parser.add_argument(
            "--check",
            action="store_true",
            default=os.environ.get("UPEND_DEMO_EXIT") == "1",
            help="stop once everything is loaded and printed (also UPEND_DEMO_EXIT=1)",
        )

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002 - Django's signature
        """Start, load, print, and serve; or load into what already runs on the data directory."""
        log = CombinedLog(sys.stdout, colour=wants_colour())
        installation = Installation(
            settings.DATA_DIR,
            given=given_settings(),
            log=log,
            host=options["host"],
            port=options["port"],
        )

        def load() -> bool:
            installation.run_steps(installation.step("demo", "load_demo"))
            log.say("demo", banner(installation.url, login_book()))
            return not options["check"]

        try:
            serve(installation, log, once_started=load)
        except AlreadyRunning as running:
            if running.state is None:
                raise CommandError(str(running)) from running
            self.load_into(running.state)

    def load_into(self, running: State) -> None:
        """Load into the installation that already serves from the data directory."""
        environment = {**programs.base_environment(), **running.environment}
        command = [sys.executable, "-m", "django", "load_demo"]
        done = subprocess.run(
            command, env=environment, stderr=subprocess.PIPE, text=True, check=False
        )
        if done.returncode and State.read(settings.DATA_DIR) != running:
            raise CommandError(str(AlreadyRunning(settings.DATA_DIR, None)))
        if done.returncode:
            self.stderr.write(done.stderr)
            raise CommandError(
                f"The demo could not be loaded into Upend, which runs at {running.url} "
                f"(pid {running.pid}). Stop it, then try again."
            )
        self.stdout.write(banner(running.url, login_book()))
