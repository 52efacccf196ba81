"""An extract is written once for all who wait, or said not to be: then their queries go on."""

from __future__ import annotations

from datetime import timedelta

import duckdb
import pytest
from django.conf import settings
from django.utils import timezone

from execution import services
from execution.domain import QueryState
from execution.engine.domain import Progress
from execution.models import Extract
from execution.services import extracts, preparing
from execution.services.submit import PlaceRefused
from tests.cast import Cast
from tests.catalog.lakes import WrittenLake, written_lake
from tests.execution import governed
from tests.execution.governed import Laptop, ask, row_filter
from tests.execution.test_governed_extracts import PEOPLE, events, keys_of, laptop, people, states
from workspaces.models import Workspace

__all__ = ["laptop", "people", "written_lake"]


# --- When it cannot be made -------------------------------------------------------------------
def test_it_runs_on_the_server_where_an_extract_would_be_too_large(
    people: WrittenLake, workspace: Workspace, laptop: Laptop
) -> None:
    Workspace.objects.update(max_extract_bytes=100)
    workspace.refresh_from_db()
    query = ask(laptop.actor, workspace, PEOPLE, on="auto")
    assert query.state == QueryState.PREPARING
    services.write_extracts("test")
    query.refresh_from_db()
    assert (query.place, query.state) == ("server", QueryState.QUEUED)
    assert "The server runs it." in query.plan["why"]
    services.run_query(query.id, worker="test")
    query.refresh_from_db()
    assert (query.state, query.row_count) == (QueryState.SUCCEEDED, 401)
    assert keys_of(workspace) == []
    with pytest.raises(PlaceRefused, match="There is no extract"):
        ask(laptop.actor, workspace, PEOPLE)
    assert events().count("extract.failed") == 1


def test_it_fails_a_local_query_whose_extract_cannot_be_made(
    people: WrittenLake, workspace: Workspace, laptop: Laptop
) -> None:
    Workspace.objects.update(max_extract_bytes=100)
    workspace.refresh_from_db()
    query = ask(laptop.actor, workspace, PEOPLE)
    services.write_extracts("test")
    query.refresh_from_db()
    assert query.state == QueryState.FAILED
    assert query.problem
    assert query.problem["code"] == "extract-too-large"


def test_it_makes_no_extract_of_what_changes_by_itself(
    written_lake: WrittenLake, workspace: Workspace, laptop: Laptop
) -> None:
    written_lake.run("CREATE TABLE t AS SELECT DATE '2020-01-01' AS day")
    row_filter(written_lake, "t", "day < current_date")
    with pytest.raises(PlaceRefused, match="changes by itself"):
        ask(laptop.actor, workspace, "SELECT * FROM t")


def test_it_stops_writing_when_nobody_waits_any_more(
    people: WrittenLake, workspace: Workspace, laptop: Laptop
) -> None:
    query = ask(laptop.actor, workspace, PEOPLE)
    held = extracts.claim("test")
    assert held
    assert extracts.is_wanted(held)
    services.cancel_query(actor=laptop.actor, query=query)
    assert not extracts.is_wanted(held)
    preparing.write(held)
    assert states() == ["failed"]
    assert keys_of(workspace) == []
    query.refresh_from_db()
    assert query.state == QueryState.CANCELLED


# --- Writers ----------------------------------------------------------------------------------
def test_it_is_written_once_for_all_who_wait(
    people: WrittenLake, workspace: Workspace, laptop: Laptop, cast: Cast
) -> None:
    steward = governed.laptop_of(cast, "steward")
    queries = [ask(one.actor, workspace, PEOPLE) for one in (laptop, steward, laptop)]
    assert states() == ["preparing"]
    assert services.write_extracts("test") == 1
    for query in queries:
        query.refresh_from_db()
        assert query.state == QueryState.DELEGATED
    assert events().count("extract.created") == 1


def test_it_shows_its_progress_to_who_waits(
    people: WrittenLake, workspace: Workspace, laptop: Laptop
) -> None:
    query = ask(laptop.actor, workspace, PEOPLE)
    held = extracts.claim("test")
    assert held
    extracts.beat(held, Progress(percent=40.0, rows=7))
    query.refresh_from_db()
    assert (query.state, query.progress["percent"]) == (QueryState.PREPARING, 40.0)


def test_it_is_written_again_where_a_writer_died(
    people: WrittenLake, workspace: Workspace, laptop: Laptop
) -> None:
    query = ask(laptop.actor, workspace, PEOPLE)
    dead = extracts.claim("dead")
    assert dead
    assert extracts.claim("other") is None
    long_ago = timezone.now() - timedelta(seconds=settings.HEARTBEAT_TIMEOUT_SECONDS + 1)
    Extract.objects.update(heartbeat_at=long_ago)
    services.sweep()
    assert services.write_extracts("alive") == 1
    preparing.write(dead)
    assert len(keys_of(workspace)) == 1
    query.refresh_from_db()
    assert query.state == QueryState.DELEGATED
    assert Extract.objects.get().key == keys_of(workspace)[0]


def test_it_is_given_up_where_its_writers_die_again(
    people: WrittenLake, workspace: Workspace, laptop: Laptop
) -> None:
    query = ask(laptop.actor, workspace, PEOPLE, on="auto")
    long_ago = timezone.now() - timedelta(seconds=settings.HEARTBEAT_TIMEOUT_SECONDS + 1)
    for _ in range(2):
        assert extracts.claim("dead")
        Extract.objects.update(heartbeat_at=long_ago)
        services.sweep()
    query.refresh_from_db()
    assert (states(), query.place, query.state) == (["failed"], "server", QueryState.QUEUED)


def test_it_raises_where_a_column_is_read_that_an_extract_does_not_hold(
    people: WrittenLake, workspace: Workspace, laptop: Laptop
) -> None:
    """Never a NULL in place of a value: what is shown and not held is an error, were it read."""
    query = ask(laptop.actor, workspace, PEOPLE)
    services.write_extracts("test")
    query.refresh_from_db()
    query.execution["tables"][0]["extract"]["columns"] = ["id", "region"]
    query.save()
    with pytest.raises(duckdb.InvalidInputException, match="does not hold the column"):
        governed.rows_of(laptop, query)
