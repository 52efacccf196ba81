"""Carries an adoption one step further: reads and checks it, adopts it, or follows its source."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import psycopg
from django.db import Error
from django.utils import timezone

from catalog import lake
from catalog.adoption import checks, reading
from catalog.adoption.frames import Unreadable
from catalog.domain import AdoptionState
from catalog.locks import held_alone
from catalog.models import Adoption, Catalog
from catalog.services import adoption_steps as adoptions
from problems import Problem


def run_adoption(adoption_id: UUID) -> str:
    """Do what the adoption waits for, unless another worker does; return its state."""
    rows = Adoption.objects.select_related("workspace__organization", "bucket", "catalog")
    with held_alone(adoption_id) as is_ours:
        adoption = rows.get(id=adoption_id)
        if is_ours:
            _step(adoption)
    return adoption.state


def _step(adoption: Adoption) -> None:
    match adoption.state:
        case AdoptionState.QUEUED | AdoptionState.READING:
            _attempt(adoption, AdoptionState.FAILED, _read)
        case AdoptionState.CONFIRMED:
            _attempt(adoption, AdoptionState.CHECKED, _adopt)
        case AdoptionState.ADOPTED if adoption.sync_requested_at is not None:
            _attempt(adoption, AdoptionState.ADOPTED, _sync)


def _attempt(
    adoption: Adoption, otherwise: AdoptionState, step: Callable[[Adoption], None]
) -> None:
    """Take one step; where it fails the adoption is as `otherwise`, and says why."""
    try:
        step(adoption)
    except reading.Stopped:
        adoptions.end(adoption=adoption, state=AdoptionState.CANCELLED)
    except Unreadable as refused:
        adoptions.end(adoption=adoption, state=otherwise, problem=refused.as_dict())
    except Problem as problem:
        adoptions.end(adoption=adoption, state=otherwise, problem=problem.as_dict())
    except (psycopg.Error, Error) as error:
        told = {
            "code": "metadata-damaged",
            "detail": f"PostgreSQL refused the metadata: {type(error).__name__}.",
            "hint": "Can DuckDB read every table of the lake?",
        }
        adoptions.end(adoption=adoption, state=otherwise, problem=told)


def _read(adoption: Adoption) -> None:
    """Read and check; the report waits for a person."""
    lake.drop(adoption.place)  # what an attempt that died may have left
    adoption.state, adoption.problem = AdoptionState.READING, None
    adoption.metadata_schema = _new_schema()
    adoption.save(update_fields=["state", "problem", "metadata_schema"])
    report = _taken(adoption)
    state = AdoptionState.CHECKED if report["is_adoptable"] else AdoptionState.REFUSED
    adoptions.end(adoption=adoption, state=state)


def _adopt(adoption: Adoption) -> None:
    """Make the catalog, from what was checked; a source that moved on is read and checked anew."""
    if reading.fingerprint_of(adoption) != adoption.fingerprint:
        lake.drop(adoption.place)
        report = _taken(adoption)
        if not report["is_adoptable"]:
            adoptions.end(adoption=adoption, state=AdoptionState.REFUSED)
            return
    lake.create_indexes(adoption.place)
    adoptions.adopt(adoption=adoption)


def _sync(adoption: Adoption) -> None:
    """Read a followed lake again where it has changed, and swap the copies in one transaction.

    The new schema is noted as the one to remove, until the catalog reads it.
    """
    if reading.fingerprint_of(adoption) == adoption.fingerprint:
        adoptions.keep(adoption=adoption)
        return
    if adoption.retired_schema:
        lake.drop(Catalog(metadata_schema=adoption.retired_schema))
    before, adoption.metadata_schema = adoption.metadata_schema, _new_schema()
    rows = Adoption.objects.filter(id=adoption.id)
    rows.update(retired_schema=adoption.metadata_schema)
    report = _taken(adoption)
    if not report["is_adoptable"]:
        found = next(one for one in report["findings"] if one["severity"] == "blocking")
        raise Unreadable(found["code"].replace("_", "-"), found["detail"], found["hint"])
    lake.create_indexes(adoption.place)
    adoption.retired_schema = before
    adoptions.follow(adoption=adoption)


def _new_schema() -> str:
    return f"lake_{uuid4().hex}"


def _taken(adoption: Adoption) -> dict[str, Any]:
    """Read into the adoption's schema, check it, and note on the row what was found; unsaved."""

    def pulse(rows: int) -> None:
        row = Adoption.objects.filter(id=adoption.id)
        row.update(progress={"rows": rows}, heartbeat_at=timezone.now())
        if row.filter(is_cancelled=True).exists():
            raise reading.Stopped

    found = reading.read(adoption, adoption.metadata_schema, pulse)
    adoption.prefix, adoption.fingerprint = found.prefix, found.fingerprint
    adoption.progress = {"rows": found.rows}
    adoption.report = checks.report(adoption.place, found.said, found.not_adopted)
    return adoption.report
