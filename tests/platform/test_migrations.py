"""A fresh database is made in few steps, and is what an old one became in many."""

from __future__ import annotations

from django.db.migrations.autodetector import MigrationAutodetector
from django.db.migrations.loader import MigrationLoader


def test_it_makes_a_fresh_database_as_an_old_one_became() -> None:
    step_by_step = MigrationLoader(None, replace_migrations=False)
    at_once = MigrationLoader(None)
    assert at_once.replacements
    states = step_by_step.project_state(), at_once.project_state()
    assert MigrationAutodetector(*states).changes(at_once.graph) == {}


def test_it_replaces_no_migrations_of_the_app_that_holds_the_users() -> None:
    """Others depend on "its first": a database half-way up would be taken for a broken one."""
    assert "accounts" not in {app for app, _ in MigrationLoader(None).replacements}
