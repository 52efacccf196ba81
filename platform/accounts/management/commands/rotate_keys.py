"""An operator's way to another key-encryption key, while Upend runs."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from accounts.domain import SYSTEM
from accounts.sealing import current_key
from accounts.sealing.local import add_key
from accounts.services.rotation import Rotation, keys_in_use, rotate_keys
from problems import Problem


class Command(BaseCommand):
    """Wrap all secrets at rest by the current key-encryption key."""

    help = "Wrap all secrets at rest by the current key-encryption key; safe while Upend runs."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare what may be said on the command line."""
        what = parser.add_mutually_exclusive_group()
        what.add_argument(
            "--new-key",
            action="store_true",
            help="First put a new key into UPEND_KEY_FILE: where one machine runs all of Upend.",
        )
        what.add_argument(
            "--check",
            action="store_true",
            help="Change nothing; say how many secrets each key still opens.",
        )

    def handle(self, *_: Any, **options: Any) -> None:
        """Rotate or check, and say what is left to do."""
        try:
            if options["check"]:
                self._tell_keys()
                return
            if options["new_key"]:
                self._add_key()
            rotation = rotate_keys(actor=SYSTEM)
        except Problem as problem:
            raise CommandError(" ".join(filter(None, [problem.detail, problem.hint]))) from problem
        self._tell(rotation)

    def _add_key(self) -> None:
        if settings.KEY_PROVIDER != "file":
            message = f"--new-key is for key files; UPEND_KEY_PROVIDER is {settings.KEY_PROVIDER}."
            raise CommandError(message)
        self.stdout.write(f"Made the key {add_key(settings.KEY_FILE)}: back up the key file now.")

    def _tell(self, rotation: Rotation) -> None:
        self.stdout.write(f"Wrapped {rotation.rewrapped} secrets by {rotation.key_id}.")
        for label, why in rotation.failed.items():
            self.stderr.write(f"{label}: {why}")
        if rotation.failed:
            message = f"{len(rotation.failed)} secrets do not open and were left as they are."
            raise CommandError(message)

    def _tell_keys(self) -> None:
        wraps = current_key()
        for key_id, count in sorted(keys_in_use().items()):
            now = " (wraps now)" if key_id == wraps else ""
            self.stdout.write(f"{key_id}: {count} secrets{now}")
