"""An analyst at a laptop against a whole running Upend: the hybrid loop, by its real client."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from pathlib import Path

import psycopg
import pytest

import upend
from tests.client.browser import Browser
from tests.patience import LONG_SECONDS, until
from tests.stack import DemoAir
from upend import cli, local, login
from upend.api import Api
from upend.errors import HandedOver, NotLoggedIn, QueryFailed, Refused, Unreachable
from upend.follow import Progress
from upend.profile import Profile, Store
from upend.query import Request

pytestmark = pytest.mark.stack

MONTHLY = """
    SELECT month, count(*) AS flights, avg(arr_delay) AS delay, max(time_hour) AS latest
    FROM flights.flights WHERE month <= 2 GROUP BY month ORDER BY month
"""
OUTGROWING = "SELECT len(l) FROM (SELECT list(repeat(tailnum, 30)) AS l FROM flights.flights)"
OWNER_SCOPES = ("admin", "device:enroll", "query:run")
COMMAND = [
    sys.executable,
    "-c",
    # A shell has programs in the background ignore SIGINT, and their children inherit that.
    """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from upend.cli import main
main()
""",
]
PERSONAL = "SELECT c_mktsegment, count(*) AS n FROM tpch.customer GROUP BY ALL ORDER BY ALL"
ENDLESS = """
    SELECT count(*) FROM tpch.lineitem a, tpch.lineitem b
    WHERE a.l_comment || b.l_comment LIKE '%nothing such%'
"""


def logged_in(demo_air: DemoAir, name: str, root: Path, *scopes: str) -> upend.Connection:
    """Log one of the cast in by the device flow, into a folder of its own."""
    store, profile = Store(root / name), Profile("demo", demo_air.url, "flight-ops")
    with Api(demo_air.url) as api:
        authorization = login.begin(api, scopes=scopes)
        Browser(demo_air.url, demo_air.email(name), demo_air.secrets[name]).decide(
            authorization.url
        )
        credentials = login.wait(api, authorization)
    store.save(profile)
    store.save_credentials(profile, credentials)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UPEND_CONFIG_DIR", str(root / name))
        return upend.connect()


@pytest.fixture(scope="module")
def owner(
    demo_air: DemoAir, tmp_path_factory: pytest.TempPathFactory
) -> Generator[upend.Connection]:
    with logged_in(demo_air, "owner", tmp_path_factory.mktemp("o"), *OWNER_SCOPES) as opened:
        yield opened


@pytest.fixture(scope="module")
def laptop(
    demo_air: DemoAir, owner: upend.Connection, tmp_path_factory: pytest.TempPathFactory
) -> Generator[upend.Connection]:
    """Return the analyst's connection from an approved device."""
    with logged_in(demo_air, "analyst", tmp_path_factory.mktemp("a")) as opened:
        enrolment = login.enrol(opened.api, opened.store, opened.profile, name="Ana's laptop")
        if not enrolment.is_approved:
            owner.decide_device(enrolment.id, "approve")
        yield opened


@pytest.fixture
def command(
    laptop: upend.Connection, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[int, str, str]]:
    """Return the command line as the analyst has it: arguments to (exit code, stdout, stderr)."""
    monkeypatch.setenv("UPEND_CONFIG_DIR", str(laptop.store.root))

    def run(*arguments: str) -> tuple[int, str, str]:
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = cli.run(list(arguments))
        return code, out.getvalue(), err.getvalue()

    return run


def test_it_gives_the_same_rows_in_both_places(laptop: upend.Connection) -> None:
    server, local = (laptop.sql(MONTHLY, on=place) for place in ("server", "local"))
    assert (server.place, local.place) == ("server", "local")
    assert local.columns == server.columns == ["month", "flights", "delay", "latest"]
    assert local.types == server.types
    assert repr(local.fetchall()) == repr(server.fetchall())
    assert len(local) == 2
    assert local.arrow() == server.arrow()
    assert local.df().equals(server.df())
    assert local.pl().equals(server.pl())


def test_it_fetches_what_the_plan_said(laptop: upend.Connection) -> None:
    result = laptop.sql(MONTHLY, on="local")
    assert result.facts.bytes_read is not None
    assert 0 < result.facts.bytes_read <= 1.1 * result.plan["scan_bytes"]
    assert result.plan["scan_bytes"] < result.plan["total_bytes"]


def test_it_lets_the_plan_choose_and_say_why(laptop: upend.Connection) -> None:
    plan = laptop.explain(MONTHLY)
    result = laptop.sql(MONTHLY, cache=False)
    assert result.place == plan["place"]
    assert result.facts.why == plan["why"] != ""
    laptop.sql(MONTHLY, on="server")
    again = laptop.sql(MONTHLY)
    assert (again.place, again.fetchall()) == ("server", result.fetchall())
    assert again.facts.cached_at
    assert again.facts.why == "The server has the answer of an equal query already."


def test_it_records_what_the_device_reports(laptop: upend.Connection) -> None:
    result = laptop.sql(MONTHLY, on="local")
    newest = laptop.runner.history(1)[0]
    assert newest["id"] == result.query_id
    assert (newest["state"], newest["row_count"]) == ("succeeded", 2)
    assert newest["bytes_read"] == result.facts.bytes_read


def test_it_keeps_personal_data_on_the_server(laptop: upend.Connection) -> None:
    with pytest.raises(Refused) as refusal:
        laptop.sql(PERSONAL, on="local")
    assert "personal" in refusal.value.detail
    assert refusal.value.hint
    result = laptop.sql(PERSONAL, on="auto")
    assert result.place == "server"
    assert len(result) == 5


def test_it_runs_on_the_server_where_the_device_is_not_approved(
    demo_air: DemoAir, owner: upend.Connection, tmp_path: Path
) -> None:
    with logged_in(demo_air, "steward", tmp_path) as opened:
        enrolment = login.enrol(opened.api, opened.store, opened.profile)
        assert enrolment.status == "pending"
        assert opened.sql(MONTHLY).place == "server"
        with pytest.raises(Refused, match="approve"):
            opened.sql(MONTHLY, on="local")
        owner.decide_device(enrolment.id, "approve")

        def revoke(progress: Progress) -> None:
            if progress.state == "verifying":
                owner.decide_device(enrolment.id, "revoke")

        with pytest.raises(Refused) as refusal:
            opened.sql(MONTHLY, on="local", on_progress=revoke)
        assert refusal.value.code == "device-not-approved"
        assert opened.sql(MONTHLY, on="auto").place == "server"


def test_it_says_why_the_files_are_no_longer_served(laptop: upend.Connection) -> None:
    runner, request = laptop.runner, Request(MONTHLY.strip(), "local")
    document = runner._post("queries", request)
    manifest = runner._manifest(document, request)
    runner.cancel(document["id"])  # as somebody else might, between the manifest and the first byte
    run = local.run(manifest, request.sql, on_progress=lambda _: None)
    assert run.error is not None
    assert run.error.code == "files-unreachable"
    told = runner._explained(run.error, manifest)
    assert isinstance(told, QueryFailed)
    assert "stopped serving the files" in told.detail
    assert told.hint
    assert told.request_id


def test_it_says_what_is_wrong_with_a_query(
    laptop: upend.Connection, command: Callable[..., tuple[int, str, str]]
) -> None:
    with pytest.raises(Refused) as unknown:
        laptop.sql("SELECT * FROM flights.flihgts")
    assert "flights" in unknown.value.detail + unknown.value.hint
    for sql in ("DROP TABLE flights.flights", "SELECT * FROM read_csv('/etc/passwd')"):
        code, out, err = command("query", sql)
        assert (code, out) == (3, "")
        assert "Next:" in err or "Error:" in err
    with pytest.raises(QueryFailed):
        laptop.sql("SELECT carrier::INTEGER FROM flights.airlines", on="server")
    with pytest.raises(QueryFailed, match="9E"):
        laptop.sql("SELECT carrier::INTEGER FROM flights.airlines", on="local")


def test_it_reads_an_older_snapshot(laptop: upend.Connection) -> None:
    newest = laptop.explain("SELECT 1 FROM flights.airlines")["snapshots"]["flights"]
    result = laptop.sql(
        "SELECT count(*) FROM flights.airlines", on="local", snapshots={"flights": newest}
    )
    assert result.plan["snapshots"] == {"flights": newest}
    with pytest.raises(Refused):
        laptop.sql("SELECT count(*) FROM flights.airlines", snapshots={"flights": newest + 1000})


@pytest.mark.parametrize("place", ["server", "local"])
def test_it_writes_rows_for_machines(
    place: str, command: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    sql = "SELECT carrier, name FROM flights.airlines ORDER BY carrier"
    code, out, err = command("query", sql, "--on", place, "--json", "--limit", "2")
    assert code == 0, err
    document = json.loads(out)
    assert document["rows"][0] == ["9E", "Endeavor Air Inc."]
    assert (document["place"], len(document["rows"])) == (place, 2)
    assert place in err
    code, out, _ = command("query", sql, "--on", place, "--csv", "-q")
    assert out.splitlines()[:2] == ["carrier,name", "9E,Endeavor Air Inc."]
    target = tmp_path / "airlines.parquet"
    code, out, _ = command("query", sql, "--on", place, "--parquet", str(target))
    assert (code, out) == (0, "")
    assert target.stat().st_size > 0


def test_it_shows_rows_plans_tables_and_history(
    command: Callable[..., tuple[int, str, str]],
) -> None:
    for arguments, words in (
        (("query", "SELECT name FROM flights.airlines LIMIT 3"), "name"),
        (("explain", MONTHLY), "month"),
        (("tables",), "flights.main.flights"),
        (("history", "--limit", "3"), "succeeded"),
        (("whoami",), "Ana's laptop (approved)"),
        (("devices",), "this machine"),
    ):
        code, out, err = command(*arguments)
        assert code == 0, err
        assert words in out


def praise_every_device(demo_air: DemoAir) -> None:
    """Have devices thought quick, whatever this one took: where a query begins is not the point."""
    with psycopg.connect(demo_air.stack.environment["UPEND_DATABASE_URL"]) as link:
        link.execute(
            "UPDATE execution_learnedcorrection"
            " SET log_mean = CASE WHEN device_id IS NULL THEN 0 ELSE -2.3 END"
        )
        link.execute("UPDATE accounts_device SET link_bytes_per_second = 250000000")


def test_it_hands_over_what_outgrows_this_machine(
    demo_air: DemoAir, laptop: upend.Connection, command: Callable[..., tuple[int, str, str]]
) -> None:
    laptop.sql(MONTHLY, on="local")
    praise_every_device(demo_air)
    with pytest.MonkeyPatch.context() as small:
        small.setenv("UPEND_MEMORY", "60MB")
        steps: list[Progress] = []
        result = laptop.sql(OUTGROWING, on_progress=steps.append)
        assert result.place == "server"
        assert result.fetchall() == [(336776,)]
        assert result.facts.notice == (
            "It outgrew the 42 MB this machine may use; the server takes over."
        )
        assert [step.place for step in steps if step.state == "handed-over"] == ["server"]
        taken, given = laptop.runner.history(2)
        assert taken["handed_over_from"] == given["id"]
        assert taken["plan"]["snapshots"] == given["plan"]["snapshots"]
        assert taken["plan"]["why"].startswith("It outgrew the memory of your machine")
        assert given["problem"]["reason"] == "local-memory"
        # The receipt said how little this machine may use; until it says otherwise, heavy
        # queries are not sent here again.
        assert "device-memory" in [one["code"] for one in laptop.explain(OUTGROWING)["reasons"]]
        with pytest.raises(QueryFailed) as insisted:
            laptop.sql(OUTGROWING, on="local")
        assert insisted.value.code == "local-memory"
        assert "--on server" in insisted.value.hint
    laptop.sql(MONTHLY, on="local")
    praise_every_device(demo_air)
    with pytest.MonkeyPatch.context() as small:
        small.setenv("UPEND_MEMORY", "60MB")
        with pytest.warns(HandedOver, match="the server takes over"):
            assert laptop.sql(OUTGROWING, cache=False).place == "server"
        small.delenv("UPEND_MEMORY")
        laptop.sql(MONTHLY, on="local")
        praise_every_device(demo_air)
        small.setenv("UPEND_MEMORY", "60MB")
        code, out, err = command("query", OUTGROWING, "--csv", "--no-cache")
        assert (code, out.splitlines()[-1]) == (0, "336776")
        assert "the server takes over" in err
        small.setenv("UPEND_MEMORY", "plenty")
        code, _, err = command("query", OUTGROWING, "--on", "local")
        assert code == 2
        assert "UPEND_MEMORY=2GB" in err
    laptop.sql(MONTHLY, on="local")


def test_it_holds_predictions_against_runs(
    laptop: upend.Connection, command: Callable[..., tuple[int, str, str]]
) -> None:
    for place in ("server", "local"):
        result = laptop.sql(MONTHLY, on=place, cache=False)
        newest = laptop.runner.history(1)[0]
        predicted = result.plan["predictions"][place]
        assert newest["run_seconds"] > 0
        assert predicted["seconds"] == result.plan[f"{place}_seconds"]
        assert predicted["model_seconds"] > 0
    plan = laptop.explain(MONTHLY)
    assert plan["predictions"]["server"]["correction"] != 1.0
    assert plan["predictions"]["local"]["correction"] != 1.0
    code, out, _ = command("explain", MONTHLY)
    assert code == 0
    assert plan["times"].startswith("server about")
    assert "Takes: server about" in out
    assert ", here about" in out


def test_it_cancels_on_the_server_when_the_person_stops(laptop: upend.Connection) -> None:
    def stop(progress: Progress) -> None:
        if progress.state == "running":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        laptop.sql(ENDLESS, on="server", on_progress=stop)
    until(lambda: laptop.runner.history(1)[0]["state"] == "cancelled", "it goes on")


def test_it_cancels_when_its_time_is_over(laptop: upend.Connection) -> None:
    for place in ("server", "local"):
        with pytest.raises(QueryFailed) as late:
            laptop.sql(ENDLESS, on=place, timeout=3)
        assert late.value.code == "timeout"


def test_it_ends_with_130_on_ctrl_c(laptop: upend.Connection) -> None:
    before = laptop.runner.history(1)[0]["id"]
    started = subprocess.Popen(
        [*COMMAND, "query", ENDLESS, "--on", "local"],
        env=os.environ | {"UPEND_CONFIG_DIR": str(laptop.store.root)},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        _, said = interrupted_at_work(started, laptop, before)
    finally:
        started.kill()
    assert started.returncode == 130, said
    assert "Cancelled" in said


def interrupted_at_work(
    started: subprocess.Popen[str], laptop: upend.Connection, before: str
) -> tuple[str, str]:
    """Press Ctrl-C once the server has handed the manifest out; return what was said."""

    def is_handed_over() -> bool:
        newest = laptop.runner.history(1)[0]
        return bool(newest["id"] != before and newest["state"] == "delegated")

    until(is_handed_over, "the query was not handed to this machine")
    time.sleep(2)  # a person may be quicker, but here the engine shall be at work
    started.send_signal(signal.SIGINT)
    return started.communicate(timeout=LONG_SECONDS)


def test_it_says_when_nobody_is_there(laptop: upend.Connection) -> None:
    with (
        upend.connect("http://127.0.0.1:9", token="t", workspace="w") as nowhere,
        pytest.raises(Unreachable),
    ):
        nowhere.sql("SELECT 1")
    with (
        upend.connect(laptop.profile.url, token="upend_0000_none", workspace="w") as stranger,
        pytest.raises(NotLoggedIn) as unknown,
    ):
        stranger.sql("SELECT 1")
    assert unknown.value.exit_code == 4
