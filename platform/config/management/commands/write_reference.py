"""Writes the generated reference pages; run it after adding a problem or a client command."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from config import reference
from upend.cli import reference as commands


class Command(BaseCommand):
    help = "Write docs/reference/problems.md and cli.md from the code."

    def handle(self, **options: Any) -> None:  # noqa: ARG002 - Django's signature
        """Write the pages."""
        pages = {reference.PROBLEMS: reference.problems_page(), reference.COMMANDS: commands.page()}
        for path, text in pages.items():
            (reference.ROOT / path).write_text(text, encoding="utf-8")
            self.stdout.write(f"wrote {path}")
