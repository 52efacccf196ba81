"""What every test of Upend has at hand."""

from __future__ import annotations

import pytest
from django.db import connection
from hypothesis import settings
from pytest_django.plugin import DjangoDbBlocker

pytest_plugins = ["tests.broker", "tests.cast", "tests.customer", "tests.mariadb", "tests.stack"]

# How long an example takes says how busy the machine is, not whether the property holds.
settings.register_profile("upend", deadline=None)
settings.load_profile("upend")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep together, where test processes share the work, what shares a costly fixture.

    All that need the whole stack are one group, so that one process starts it; other modules are
    a group each.
    """
    for item in items:
        module = item.nodeid.partition("::")[0]
        group = "stack" if "stack" in getattr(item, "fixturenames", ()) else module
        item.add_marker(pytest.mark.xdist_group(group))


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> None:
    """Let tests that commit clear their tables by TRUNCATE, which the ledger's guard refuses."""
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute("ALTER TABLE audit_auditrecord DISABLE TRIGGER audit_no_truncate")
