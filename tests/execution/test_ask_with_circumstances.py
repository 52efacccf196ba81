"""Policies look at what a query was asked with: when it is planned, run, and placed."""

from __future__ import annotations

import uuid
from dataclasses import replace

import pytest

from accounts.domain import Actor, DeviceIdentity, DeviceStatus
from execution import services
from execution.domain import Place, QueryState, RequestedPlace
from governance.domain import PolicyKind
from governance.materialization import Outcome
from governance.services import AccessDenied
from tests.cast import Cast
from tests.catalog.lakes import WrittenLake, written_lake
from tests.execution.lakes import plan
from tests.governance.publishing import access, publish
from workspaces.models import Workspace

__all__ = ["written_lake"]

LAPTOP = DeviceIdentity(uuid.uuid4(), "laptop", "thumb", DeviceStatus.APPROVED, os="linux")
SOME, ALL = "SELECT sum(id) FROM t", "SELECT sum(id), max(text), min(more) FROM t"


@pytest.fixture
def table(cast: Cast, written_lake: WrittenLake) -> WrittenLake:
    """Return a lake whose table has one narrow column and two wide ones."""
    written_lake.run(
        "CALL lake.set_option('data_inlining_row_limit', 0)",
        "CREATE TABLE t AS SELECT i::INTEGER AS id, md5(i::VARCHAR) AS text,"
        " sha256(i::VARCHAR) AS more FROM range(4000) r(i)",
    )
    return written_lake


def forbid(cast: Cast, table: WrittenLake, action: str, condition: str) -> None:
    """Publish a policy that forbids an action on the lake where a condition fails."""
    text = f'forbid (principal, action == Action::"{action}", resource) unless {{ {condition} }};'
    scope = table.catalog.securable
    publish(
        cast, action.replace(".", "-").replace("_", "-"), PolicyKind.ACCESS, scope, access(text)
    )


def test_it_places_by_what_the_plan_reads_of_the_table(
    cast: Cast, table: WrittenLake, analyst: Actor, workspace: Workspace
) -> None:
    on_laptop = replace(analyst, device=LAPTOP)
    small, large = (plan(on_laptop, workspace, sql).estimate.scan_bytes for sql in (SOME, ALL))
    assert 0 < small < large
    for action in ("table.materialize_locally", "table.materialize_extract"):
        forbid(cast, table, action, f"context.bytes <= {small}")
    near, far = (
        plan(on_laptop, workspace, sql, requested=RequestedPlace.AUTO) for sql in (SOME, ALL)
    )
    assert (near.placement.place, far.placement.place) == (Place.LOCAL, Place.SERVER)
    assert [m.outcome for m in (*near.materializations, *far.materializations)] == [
        Outcome.RAW,
        Outcome.SERVER,
    ]


@pytest.mark.django_db(transaction=True)
def test_it_runs_on_the_server_with_the_purpose_and_factor_it_was_asked_with(
    cast: Cast, table: WrittenLake, analyst: Actor, workspace: Workspace
) -> None:
    forbid(cast, table, "table.query", 'context.mfa && context.purpose like "audit-*"')
    known = replace(analyst, mfa=True)
    sql = "SELECT count(*) FROM t WHERE false"
    for actor, purpose in ((analyst, "audit-1"), (known, "curiosity")):
        with pytest.raises(AccessDenied):
            services.submit_query(actor=actor, workspace=workspace, sql=sql, purpose=purpose)
    query = services.submit_query(
        actor=known, workspace=workspace, sql=sql, purpose="audit-1"
    ).query
    services.run_query(query.id, worker="test")
    query.refresh_from_db()
    assert query.state == QueryState.SUCCEEDED, query.problem
