"""The pool of a web process: it lends what is well without a question, and nothing that ended."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy

import pytest
from django.db import connection

from config.postgresql.base import DatabaseWrapper

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def pooled() -> Iterator[DatabaseWrapper]:
    given = deepcopy(connection.settings_dict) | {"CONN_MAX_AGE": 0}
    given["OPTIONS"]["pool"] = {"min_size": 1, "max_size": 1}
    made = DatabaseWrapper(given, alias="pooled")
    yield made
    made.close()
    made.close_pool()


def backend_of(link: DatabaseWrapper) -> int:
    with link.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        [(pid,)] = cursor.fetchall()
    link.close()  # back into the pool
    return int(pid)


def last_said_to(pid: int) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT query FROM pg_stat_activity WHERE pid = %s", [pid])
        return [text for (text,) in cursor.fetchall()]


def test_it_lends_a_connection_without_asking_it_anything(pooled: DatabaseWrapper) -> None:
    pid = backend_of(pooled)
    pooled.ensure_connection()
    assert last_said_to(pid) == ["SELECT pg_backend_pid()"]
    pooled.close()
    assert backend_of(pooled) == pid


def test_it_lends_no_connection_that_has_ended(pooled: DatabaseWrapper) -> None:
    ended = backend_of(pooled)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 30000)", [ended])
        assert cursor.fetchall() == [(True,)]
    assert backend_of(pooled) != ended
