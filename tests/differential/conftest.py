"""The lab: two lakes with a history, a running Upend, and its real client on this machine."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import pytest

import upend
from embedded.running import RunningStack
from tests.differential import history, live
from upend.login import enrol

ROOT = Path(__file__).parents[2]


@dataclass
class Lab:
    """How to ask the same question in every place."""

    document: dict[str, Any]
    client: upend.Connection
    remembered: dict[str, int]
    engines: dict[tuple[str, bool], duckdb.DuckDBPyConnection] = field(default_factory=dict)

    def plainly(self, sql: str, catalog: str, *, is_older: bool) -> Answer:
        """Ask plain DuckDB, attached to the live lake."""
        con = self.engines.get((catalog, is_older))
        if con is None:
            con = live.connect(self.document)
            snapshot = self.remembered[catalog] if is_older else None
            live.attach(con, self.document, catalog, snapshot=snapshot)
            con.execute(f"USE {catalog}")
            self.engines[catalog, is_older] = con
        relation = con.sql(sql)
        types = [str(kind) for kind in relation.types]
        return Answer(relation.columns, types, relation.fetchall())

    def by_upend(self, sql: str, catalog: str, *, on: str, is_older: bool) -> Answer:
        """Ask through the real client, to run in one place."""
        snapshots = {catalog: self.remembered[catalog]} if is_older else None
        result = self.client.sql(sql, on=on, catalog=catalog, snapshots=snapshots)
        assert result.place == on
        return Answer(result.columns, result.types, result.fetchall())


@dataclass(frozen=True)
class Answer:
    """Columns, types as DuckDB spells them, and rows."""

    columns: list[str]
    types: list[str]
    rows: list[tuple[Any, ...]]


@pytest.fixture(scope="session")
def lab(stack: RunningStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Set the lab up once: an organization of its own, both lakes, an enrolled device."""
    scratch = tmp_path_factory.mktemp("lab")
    done = subprocess.run(
        [sys.executable, "-m", "tests.differential.set_up"],
        env=stack.environment | {"PYTHONPATH": f"{ROOT}:{ROOT / 'platform'}"},
        cwd=ROOT,
        capture_output=True,
        check=False,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    document = json.loads(done.stdout)
    remembered = history.write(document, scratch)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UPEND_CONFIG_DIR", str(scratch / "client"))
        client = enrolled_client(stack.url, document)
    made = Lab(document, client, remembered)
    yield made
    client.close()
    for engine in made.engines.values():
        engine.close()


def enrolled_client(url: str, document: dict[str, Any]) -> upend.Connection:
    """Return a client of the lab's workspace whose device is enrolled."""
    client = upend.connect(url, token=document["token"], workspace=document["workspace"])
    enrolment = enrol(client.api, client.store, client.profile, name="the lab")
    assert enrolment.is_approved
    return client
