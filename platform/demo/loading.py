"""Loads Demo Air: what is already there is left as it is, so loading again takes a moment."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.conf import settings

from catalog import lake
from catalog import services as catalogs
from catalog.domain import JobKind, JobState
from catalog.models import Catalog, Job
from demo import flights, tpch
from demo.cast import Company, hire
from demo.logins import LoginBook
from demo.questions import QUESTIONS
from execution import services as execution
from execution.models import SavedQuery
from governance import services as governance
from governance.selectors import assigned_tags_of

PERSONAL_DATA = "personal-data"
LOADING_TIMEOUT_SECONDS = 900.0

Report = Callable[[str], None]


class LoadingFailed(RuntimeError):
    """The catalog's writer could not load the data."""


def load(report: Report) -> None:
    """Bring Demo Air up to what this version describes, saying what is done.

    Raises `LoadingFailed` where the writer reports a problem or does nothing for too long.
    """
    company = hire(login_book())
    report(f"organization {company.organization.name} and its cast are there")
    load_flights(company, report)
    load_tpch(company, report)
    tag_personal_data(company, report)
    save_questions(company, report)


def login_book() -> LoginBook:
    """Return the logins of this installation."""
    return LoginBook(Path(settings.DATA_DIR) / "demo-logins.txt")


def load_flights(company: Company, report: Report) -> None:
    """Load the flights of 2013 into their catalog."""
    catalog = _catalog(company, flights.CATALOG, "Every departure from New York in 2013")
    directory = Path(settings.DATA_DIR) / "demo"
    if not _is_loaded(catalog):
        flights.extract(directory)
    _load(company, catalog, {"statements": flights.statements(directory)}, report)


def load_tpch(company: Company, report: Report) -> None:
    """Load TPC-H at the scale of settings.DEMO_SCALE into its catalog."""
    scale = settings.DEMO_SCALE
    catalog = _catalog(company, tpch.CATALOG, f"TPC-H at scale factor {scale}")
    arguments = {
        "extensions": tpch.EXTENSIONS,
        "setup": tpch.setup(scale),
        "statements": tpch.statements(),
    }
    _load(company, catalog, arguments, report)


def tag_personal_data(company: Company, report: Report) -> None:
    """Tag TPC-H's customers, so that they stay on the server."""
    catalog = _find(company, tpch.CATALOG)
    snapshot = lake.latest_snapshot(catalog)
    table = lake.table(catalog, snapshot.snapshot_id, "main", tpch.PERSONAL_DATA_TABLE)
    if table is None:
        message = f"{tpch.CATALOG} has no table {tpch.PERSONAL_DATA_TABLE}"
        raise LoadingFailed(message)
    securable = table.securable(catalog.securable)
    if PERSONAL_DATA not in assigned_tags_of([securable])[securable.key]:
        governance.assign_tag(
            actor=company.actor("steward"), securable=securable, tag=PERSONAL_DATA
        )
    report(f"{table.label} is tagged {PERSONAL_DATA}")


def save_questions(company: Company, report: Report) -> None:
    """Save the example queries that are missing."""
    saved = set(
        SavedQuery.objects.filter(workspace=company.workspace).values_list("name", flat=True)
    )
    for question in QUESTIONS:
        if question.name not in saved:
            execution.save_query(
                actor=company.actor("analyst"),
                workspace=company.workspace,
                name=question.name,
                description=question.description,
                sql=question.sql,
            )
    report(f"{len(QUESTIONS)} saved queries are there")


def _catalog(company: Company, name: str, description: str) -> Catalog:
    if not Catalog.objects.live().filter(workspace=company.workspace, name=name).exists():
        owner = company.actor("owner")
        catalog = catalogs.create_catalog(
            actor=owner, workspace=company.workspace, name=name, description=description
        )
        governance.set_owner(
            actor=owner, securable=catalog.securable, owner=company.users["steward"]
        )
    return _find(company, name)


def _find(company: Company, name: str) -> Catalog:
    return (
        Catalog.objects.live()
        .select_related("bucket", "workspace__organization")
        .get(workspace=company.workspace, name=name)
    )


def _jobs(catalog: Catalog) -> Any:
    return Job.objects.filter(catalog=catalog, idempotency_key__startswith="demo-")


def _is_loaded(catalog: Catalog) -> bool:
    return bool(_jobs(catalog).filter(state=JobState.SUCCEEDED).exists())


def _load(company: Company, catalog: Catalog, arguments: dict[str, Any], report: Report) -> None:
    """Have the catalog's one writer carry out the statements, once, and follow it."""
    if _is_loaded(catalog):
        report(f"catalog {catalog.name} is already loaded")
        return
    began = time.monotonic()
    failed = _jobs(catalog).filter(state=JobState.FAILED).count()
    job = catalogs.enqueue_job(
        actor=company.actor("owner"),
        catalog=catalog,
        kind=JobKind.STATEMENTS,
        arguments=arguments | {"message": "Demo Air's data"},
        idempotency_key=f"demo-{failed + 1}",
    )
    _follow(job, catalog.name, report)
    tables = lake.tables(catalog, lake.latest_snapshot(catalog).snapshot_id)
    rows = sum(table.record_count for table in tables)
    report(
        f"catalog {catalog.name}: {len(tables)} tables, {rows:,} rows, "
        f"{time.monotonic() - began:.1f} s"
    )


def _follow(job: Job, name: str, report: Report) -> None:
    """Say how far the job is until it ends. Raises `LoadingFailed`."""
    deadline, said = time.monotonic() + LOADING_TIMEOUT_SECONDS, ""
    while job.state not in {JobState.SUCCEEDED, JobState.FAILED}:
        if time.monotonic() > deadline:
            message = f"{name} was not loaded within {LOADING_TIMEOUT_SECONDS:.0f} s"
            raise LoadingFailed(f"{message}; is the catalog worker running?")
        time.sleep(0.2)
        job.refresh_from_db()
        if (now := _progress(job)) and now != said:
            report(f"catalog {name}: {now}")
            said = now
    if job.state == JobState.FAILED:
        problem = job.problem or {}
        message = f"{name} could not be loaded: {problem.get('detail', 'no reason was recorded')}"
        raise LoadingFailed(message)


def _progress(job: Job) -> str:
    steps = job.progress.get("steps")
    return f"step {job.progress['step'] + 1} of {steps}" if steps else ""
