"""What every test of Upend has at hand."""

from __future__ import annotations

import pytest
from django.db import connection
from hypothesis import HealthCheck, settings
from pytest_django.plugin import DjangoDbBlocker

from tests.clearing import clear_what_tests_commit

pytest_plugins = [
    "tests.broker",
    "tests.cast",
    "tests.customer",
    "tests.mariadb",
    "tests.sharing",
    "tests.stack",
]

# How long an example takes says how busy the machine is, not whether the property holds.
settings.register_profile("upend", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("upend")


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> None:
    """Let tests that commit clear the ledger by TRUNCATE, which its guard refuses."""
    clear_what_tests_commit()
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute("ALTER TABLE audit_auditrecord DISABLE TRIGGER audit_no_truncate")
