"""An auditor's way to find out whether the ledger is what was signed."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from audit.checkpoints import take_checkpoint
from audit.models import LedgerCheckpoint
from audit.verifying import verify_ledger
from problems import Problem


class Command(BaseCommand):
    """Check the ledger against its signed checkpoints, those outside the database included."""

    help = "Check the ledger against its signed checkpoints; fails where a record was touched."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare what may be said on the command line."""
        parser.add_argument(
            "--against",
            action="append",
            default=[],
            type=Path,
            metavar="FILE",
            help="Check against a checkpoint that was kept elsewhere too; may be repeated.",
        )
        parser.add_argument(
            "--take",
            action="store_true",
            help="First sign how the ledger stands, and write that checkpoint to stdout: keep it.",
        )

    def handle(self, *_: Any, **options: Any) -> None:
        """Verify, and say what was found; the exit status is 1 where the ledger does not hold."""
        try:
            witnesses = [path.read_text(encoding="utf-8") for path in options["against"]]
            if options["take"]:
                take_checkpoint()
                newest = LedgerCheckpoint.objects.order_by("number").last()
                self.stdout.write(newest.text if newest else "[]")
            verdict = verify_ledger(witnesses)
        except OSError as error:
            message = f"The checkpoint cannot be read: {error}"
            raise CommandError(message) from error
        except Problem as problem:
            raise CommandError(" ".join(filter(None, [problem.detail, problem.hint]))) from problem
        for failure in verdict.failures:
            self.stderr.write(failure)
        if not verdict.holds:
            message = "The ledger is not what was signed. Keep the database and the checkpoints."
            raise CommandError(message)
        self.stderr.write(
            f"{verdict.records:,} records are what {verdict.checkpoints:,} checkpoints say;"
            f" {verdict.waiting:,} wait for the next."
        )
