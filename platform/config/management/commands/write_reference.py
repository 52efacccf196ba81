"""Writes the generated reference pages; run it after adding a problem."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from config import reference


class Command(BaseCommand):
    help = "Write docs/reference/problems.md from the code."

    def handle(self, **options: Any) -> None:  # noqa: ARG002 - Django's signature
        """Write the pages."""
        path = reference.ROOT / reference.PROBLEMS
        path.write_text(reference.problems_page(), encoding="utf-8")
        self.stdout.write(f"wrote {reference.PROBLEMS}")
