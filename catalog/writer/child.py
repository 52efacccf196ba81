"""The writer's process: attaches one live lake, carries out one job, and exits.

It runs trusted code only; no tenant SQL comes here. Its keys arrive on stdin, never in arguments
or the environment. It holds an advisory lock of the catalog while it lives, so that a process
that outlives its killed parent can never write beside its successor.
"""

from __future__ import annotations

import json
import sys
import threading
from typing import Any

import duckdb
import psycopg
from psycopg import sql

from catalog.writer import catalogs, changes, definitions, files, restoring, stored_views, upkeep
from catalog.writer.parent import end_with_parent
from catalog.writer.problems import BadInput, redacted
from catalog.writer.registering import register
from catalog.writer.session import Lake, Spec

HEARTBEAT_SECONDS = 1.0


def main() -> None:
    """Read the spec from stdin, carry it out, and write progress and the outcome to stdout."""
    spec = Spec.of(json.loads(sys.stdin.readline()))
    end_with_parent()
    with psycopg.connect(**spec.database, autocommit=True) as session:
        session.execute("SELECT pg_advisory_lock(%s)", [spec.lock_key])
        emit(_outcome(spec, session))


def _outcome(spec: Spec, session: psycopg.Connection) -> dict[str, Any]:
    try:
        return {"result": _carry_out(spec, session)}
    except BadInput as error:
        return _failed(error)
    except (duckdb.Error, psycopg.Error) as error:
        return _failed(files.explained(error, spec))
    except Exception as error:  # noqa: BLE001 - whatever it was, the job's row must say so
        text = redacted(f"{type(error).__name__}: {error}", spec.secrets)
        return _failed(BadInput("writer-error", text, retryable=True))


def _failed(problem: BadInput) -> dict[str, Any]:
    return {"problem": problem.as_dict(), "retryable": problem.retryable}


def _carry_out(spec: Spec, session: psycopg.Connection) -> dict[str, Any]:
    if spec.kind == "initialize":
        name = sql.Identifier(spec.metadata_schema)
        session.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(name))
    if spec.kind in _BY_ROWS:
        return _BY_ROWS[spec.kind](session, spec)
    lake = Lake.attach(spec)
    stop = threading.Event()
    threading.Thread(target=report, args=(lake, stop), daemon=True).start()
    try:
        if spec.kind == "roll_back_catalog":  # rows of the metadata, and the engine
            return catalogs.roll_back_catalog(lake, session, spec)
        return _ACTIONS[spec.kind](lake, spec)
    finally:
        stop.set()


def _initialize(lake: Lake, spec: Spec) -> dict[str, Any]:  # noqa: ARG001 - attaching did it
    return {"snapshot_id": lake.newest_snapshot()}


def _create_schema(lake: Lake, spec: Spec) -> dict[str, Any]:
    return lake.commit(
        spec.marker(), [f"CREATE SCHEMA IF NOT EXISTS {lake.name(spec.arguments['schema'])}"]
    )


def _statements(lake: Lake, spec: Spec) -> dict[str, Any]:
    """Run the setup outside the lake, then each statement as a commit of its own."""
    for text in spec.arguments.get("setup", []):
        lake.execute(text)
    statements = spec.arguments["statements"]
    result: dict[str, Any] = {}
    for at, text in enumerate(statements):
        emit({"progress": {"step": at, "steps": len(statements)}})
        result = lake.commit(spec.marker(at), [text])
    return result


_BY_ROWS = {
    "change_view": stored_views.change_view,
    "restore_table": restoring.restore_table,
}
"""What needs no engine: rows of the metadata are all that it writes."""

_ACTIONS = {
    "append": files.append,
    "create_schema": _create_schema,
    "create_table": files.create_table,
    "define": definitions.define,
    "initialize": _initialize,
    "maintain": upkeep.maintain,
    "preview": files.preview,
    "register": register,
    "roll_back": definitions.roll_back,
    "sample_changes": changes.sample_changes,
    "statements": _statements,
}


def report(lake: Lake, stop: threading.Event) -> None:
    """Say every second that the process lives, and how far the statement is."""
    while not stop.wait(HEARTBEAT_SECONDS):
        percent = lake.percent()
        emit({"progress": {} if percent is None else {"percent": percent}})


def emit(message: dict[str, Any]) -> None:
    """Tell the parent something: one line of JSON."""
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
