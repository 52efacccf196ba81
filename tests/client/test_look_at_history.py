"""The history of tables by the real client: snapshots, differences, and the way back."""

from __future__ import annotations

import json
from collections.abc import Generator
from pathlib import Path

import pytest

import upend
from tests.client.test_end_to_end import logged_in
from tests.client.test_load_files import Command, command
from tests.stack import DemoAir

__all__ = ["command"]

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]

SCOPES = ("catalog:read", "catalog:write", "query:run")


@pytest.fixture(scope="module")
def steward(
    demo_air: DemoAir, tmp_path_factory: pytest.TempPathFactory
) -> Generator[upend.Connection]:
    with logged_in(demo_air, "steward", tmp_path_factory.mktemp("h"), *SCOPES) as opened:
        yield opened


def test_it_shows_what_changed_and_takes_a_table_back(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "pilots.csv"
    file.write_text("id,name\n1,one\n2,two\n")
    name = "flights.main.pilots"
    assert command("load", str(file), name, "-q")[0] == 0
    first = json.loads(command("snapshots", name, "--json")[1])[0]["snapshot_id"]
    file.write_text("id,name\n3,three\n")
    assert command("load", str(file), name, "--append", "-q")[0] == 0

    code, out, _ = command("snapshots", name)
    assert (code, "Added rows to main.pilots" in out) == (0, True)
    code, out, _ = command("diff", name, str(first), "--rows", "10")
    assert code == 0
    assert "rows 2 → 3" in out
    assert "three" in out
    code, out, _ = command("describe", name)
    assert (code, "3 rows" in out, "VARCHAR" in out) == (0, True, True)

    code, out, _ = command("rollback", name, str(first), "--dry-run")
    assert (code, "3 rows become 2." in out) == (0, True)
    assert "3 rows" in command("describe", name)[1]
    code, _, err = command("rollback", name, str(first), "--yes", "-m", "Loaded twice")
    assert (code, "Done, as snapshot" in err) == (0, True)
    assert "2 rows" in command("describe", name)[1]
    code, _, err = command("rollback", name, "999999", "--dry-run")
    assert (code, "no snapshot 999999" in err) == (3, True)
