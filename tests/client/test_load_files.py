"""Loading a file by the real client, against a whole running Upend."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

import upend
from tests.client.test_end_to_end import logged_in
from tests.stack import DemoAir
from upend import cli
from upend.api import Api
from upend.errors import QueryFailed, Unreachable

pytestmark = pytest.mark.stack

SCOPES = ("catalog:read", "catalog:write", "query:run")
Command = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def steward(
    demo_air: DemoAir, tmp_path_factory: pytest.TempPathFactory
) -> Generator[upend.Connection]:
    with logged_in(demo_air, "steward", tmp_path_factory.mktemp("s"), *SCOPES) as opened:
        yield opened


@pytest.fixture
def command(steward: upend.Connection, monkeypatch: pytest.MonkeyPatch) -> Command:
    monkeypatch.setenv("UPEND_CONFIG_DIR", str(steward.store.root))

    def run(*arguments: str) -> tuple[int, str, str]:
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = cli.run(list(arguments))
        return code, out.getvalue(), err.getvalue()

    return run


def test_it_loads_a_file_and_appends_another(
    command: Command, steward: upend.Connection, tmp_path: Path
) -> None:
    file = tmp_path / "gates.csv"
    file.write_text("gate,opened,fee\n" + "".join(f"G{n},2024-01-02,1.25\n" for n in range(500)))
    code, _, err = command("load", str(file), "flights.main.gates", "--type", "fee=decimal(9,2)")
    assert (code, err.strip()) == (0, err.strip())
    assert "500 rows in flights.main.gates, snapshot" in err
    code, out, _ = command("load", str(file), "flights.gates", "--append", "--json")
    assert (code, json.loads(out)["state"]) == (0, "succeeded")
    sql = "SELECT count(*) AS n, sum(fee)::VARCHAR AS fee FROM flights.main.gates"
    assert steward.sql(sql, on="server").fetchall() == [(1000, "1250.00")]


def test_it_says_which_line_does_not_fit(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "bad.csv"
    file.write_text("a,b\n1,x\n2,y\n")
    code, _, err = command("load", str(file), "flights.main.bad", "--type", "b=INTEGER")
    assert code == QueryFailed.exit_code
    assert "line 2" in err
    code, _, err = command("load", str(file), "flights", "-q")
    assert code == 2
    assert "catalog.schema.table" in err


def test_it_goes_by_the_server_where_the_storage_is_out_of_reach(
    steward: upend.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def barred(_api: Api, _url: str, _content: bytes) -> bool:
        raise Unreachable("no way", code="server-unreachable")

    monkeypatch.setattr(Api, "put_to_storage", barred)
    file = tmp_path / "far.json"
    file.write_text('{"a": 1}\n{"a": 2}\n')
    steps = []
    job = steward.load(file, "flights.main.far", on_step=lambda step: steps.append(step.state))
    assert job["result"]["rows"] == 2
    assert steps[0] == "sending"
