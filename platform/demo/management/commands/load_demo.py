"""`manage.py load_demo`: loads Demo Air into the installation that the environment names."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import InterfaceError, OperationalError

from demo.flights import DataMissing
from demo.loading import LoadingFailed, load
from problems import Problem


class Command(BaseCommand):
    help = "Load the demo's organization, people, catalogs and saved queries; again is harmless."

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002 - Django's signature
        """Load what is missing."""
        try:
            load(self.stdout.write)
        except (DataMissing, LoadingFailed) as failure:
            raise CommandError(str(failure)) from failure
        except (InterfaceError, OperationalError) as failure:
            raise CommandError("The database does not answer, or ended meanwhile.") from failure
        except Problem as problem:
            raise CommandError(f"{problem.title}: {problem.detail} {problem.hint}") from problem
