"""The demo comes up by one command, with real data, and again at once."""

from __future__ import annotations

import re
import stat
import time
from pathlib import Path

import duckdb
import httpx
import psycopg
import pytest

from demo import flights, tpch
from demo.cast import WORKSPACE_SLUG, hire
from demo.logins import LoginBook, banner
from demo.questions import QUESTIONS, Question
from execution import gate
from tests.stack import DemoAir, manage

ROWS = {"airlines": 16, "airports": 1458, "planes": 3322, "weather": 26115, "flights": 336776}


class TestLogins:
    def test_it_keeps_passwords_from_run_to_run_for_this_user_only(self, tmp_path: Path) -> None:
        path = tmp_path / "demo-logins.txt"
        password = LoginBook(path).password("owner", "owner@demo-air.example", "owns")
        assert LoginBook(path).password("owner", "owner@demo-air.example", "owns") == password
        assert stat.S_IMODE(path.stat().st_mode) == 0o600

    def test_it_makes_other_passwords_for_another_installation(self, tmp_path: Path) -> None:
        made = {LoginBook(tmp_path / name).password("owner", "o@x.example", "") for name in "abcd"}
        assert len(made) == 4

    def test_it_prints_all_that_a_person_needs(self, tmp_path: Path) -> None:
        book = LoginBook(tmp_path / "logins")
        password = book.password("owner", "owner@demo-air.example", "owns")
        text = banner("http://127.0.0.1:8000", book)
        assert all(part in text for part in ("8000", "owner@demo-air.example", password))


class TestCast:
    @pytest.mark.django_db
    def test_it_is_hired_once(self, tmp_path: Path) -> None:
        book = LoginBook(tmp_path / "logins")
        first = hire(book)
        again = hire(LoginBook(tmp_path / "logins"))
        assert again == first
        assert {login.name for login in book} == {"owner", "steward", "analyst", "auditor", "agent"}

    @pytest.mark.django_db
    def test_it_signs_in_with_the_printed_password(self, tmp_path: Path) -> None:
        book = LoginBook(tmp_path / "logins")
        company = hire(book)
        for login in book:
            if login.name in company.users:
                assert company.users[login.name].check_password(login.secret)


class TestData:
    def test_it_reads_every_row_with_proper_types(self, tmp_path: Path) -> None:
        flights.extract(tmp_path)
        with duckdb.connect() as con:
            for statement in flights.statements(tmp_path):
                if "PARTITIONED" not in statement:  # a lake's statement, not plain DuckDB's
                    con.execute(statement)
            counted = {t: con.execute(f"SELECT count(*) FROM {t}").fetchone() for t in ROWS}
            assert counted == {table: (rows,) for table, rows in ROWS.items()}
            nulls = con.execute("SELECT count(*) FROM flights WHERE dep_time IS NULL").fetchone()
            assert nulls == (8255,)

    @pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.name)
    def test_it_asks_only_what_the_gate_lets_through(self, question: Question) -> None:
        gate.check(question.sql)


@pytest.mark.stack
class TestLoaded:
    def test_it_partitions_flights_by_month(self, demo_air: DemoAir) -> None:
        url = demo_air.stack.environment["UPEND_DATABASE_URL"]
        with psycopg.connect(url) as link:
            found = link.execute(
                "SELECT metadata_schema FROM catalog_catalog WHERE name = %s", [flights.CATALOG]
            ).fetchone()
            assert found is not None
            months = link.execute(
                "SELECT count(DISTINCT partition_value) FROM "
                f"{found[0]}.ducklake_file_partition_value"
            ).fetchone()
        assert months == (12,)

    def test_it_loads_again_in_a_moment(self, demo_air: DemoAir) -> None:
        url = demo_air.stack.environment["UPEND_DATABASE_URL"]
        with psycopg.connect(url) as link:
            jobs = "SELECT count(*) FROM catalog_job"
            before = link.execute(jobs).fetchone()
            said = manage(demo_air.stack, "load_demo")
            assert link.execute(jobs).fetchone() == before
        for catalog in (flights.CATALOG, tpch.CATALOG):
            assert f"catalog {catalog} is already loaded" in said

    @pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.name)
    def test_it_answers_every_saved_question(self, demo_air: DemoAir, question: Question) -> None:
        headers = {"Authorization": f"Bearer {demo_air.secrets['agent']}"}
        base = f"{demo_air.url}/api/v1/workspaces/{WORKSPACE_SLUG}/"
        with httpx.Client(base_url=base, headers=headers, timeout=60) as client:
            saved = {
                row["name"]: row["sql"] for row in client.get("saved-queries").json()["results"]
            }
            query = client.post("queries", json={"sql": saved[question.name]}).json()
            deadline = time.monotonic() + 300
            while query["state"] not in {"succeeded", "failed", "cancelled"}:
                assert time.monotonic() < deadline, query
                time.sleep(0.2)
                query = client.get(f"queries/{query['id']}").json()
            assert query["state"] == "succeeded", query["problem"]
            page = client.get(f"queries/{query['id']}/result", params={"format": "json"}).json()
        assert page["rows"]

    def test_it_lets_the_cast_in(self, demo_air: DemoAir) -> None:
        for name in ("owner", "steward", "analyst", "auditor"):
            # From an address of its own: sign-ins are limited by it, and other tests sign in too.
            there = httpx.HTTPTransport(local_address="127.0.0.2")
            with httpx.Client(base_url=demo_air.url, transport=there, timeout=60) as client:
                page = client.get("/accounts/login/")
                token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.text)
                assert token is not None
                answer = client.post(
                    "/accounts/login/",
                    data={
                        "csrfmiddlewaretoken": token[1],
                        "login": demo_air.email(name),
                        "password": demo_air.secrets[name],
                    },
                )
                assert answer.status_code == 302
                assert "/accounts/login/" not in answer.headers["location"]
