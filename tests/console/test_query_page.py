"""The query page in a browser: from words to rows and a chart, and everything in between."""

from __future__ import annotations

import re
from urllib.parse import quote

import pytest
from playwright.sync_api import Page, expect

from tests.console.conftest import Console, Opener

pytestmark = [pytest.mark.browser, pytest.mark.stack]

DELAYS = (
    "SELECT carrier, count(*) AS flights, round(avg(dep_delay), 2) AS mean_delay\n"
    "FROM air.flights GROUP BY carrier ORDER BY mean_delay DESC"
)
SLOW = (
    "SELECT sum(a.distance * b.distance + c.distance)"
    " FROM air.flights a CROSS JOIN air.flights b CROSS JOIN air.flights c"
)


def query(sql: str, place: str = "auto") -> str:
    return f"query?sql={quote(sql)}&place={place}"


def run(page: Page) -> None:
    page.locator(".cm-content").click()
    page.keyboard.press("ControlOrMeta+Enter")


def rows(page: Page) -> list[list[str]]:
    lines = page.locator("table.grid tbody tr:not(.pad)")
    return [line.locator("td").all_inner_texts() for line in lines.all()]


def test_it_plans_while_one_types_and_says_why(visit: Opener) -> None:
    page = visit("query")
    strip = page.locator("plan-strip")
    expect(strip).to_contain_text("The plan appears here")
    page.locator(".cm-content").click()
    page.keyboard.insert_text("SELECT carrier FROM air.flights")
    expect(strip).to_contain_text("Server")
    expect(strip).to_contain_text(re.compile(r"[\d.]+ kB of [\d.]+ kB"))
    page.get_by_role("button", name="Why here?").click()
    why = page.locator("#why")
    expect(why).to_be_visible()
    expect(why).to_contain_text("upend login")
    expect(why).to_contain_text("air.main.flights")


def test_it_shows_rows_summaries_and_a_chart(visit: Opener) -> None:
    page = visit(query(DELAYS))
    run(page)
    expect(page.locator("table.grid tbody tr").nth(7)).to_be_visible()
    found = rows(page)
    assert [row[0] for row in found] == ["9E", "US", "MQ", "AA", "DL", "EV", "B6", "UA"]
    assert found[0][1] == "2,500"
    expect(page.locator("th").first).to_contain_text("8 distinct")
    expect(page.locator(".chart svg path").nth(8)).to_be_attached()
    expect(page.locator(".res-head")).to_contain_text("8 rows")
    page.get_by_role("tab", name="Plan").click()
    expect(page.locator(".res-body")).to_contain_text("Snapshot, pinned for every place")


def test_it_gives_each_run_a_permalink_and_a_way_back(visit: Opener) -> None:
    page = visit(query("SELECT 42 AS answer"))
    before = page.url
    run(page)
    page.wait_for_url("**/queries/*")
    expect(page.locator("table.grid td").get_by_text("42")).to_be_visible()
    permalink = page.url
    page.go_back()
    page.wait_for_url(before)
    expect(page.locator("result-view")).to_contain_text("Run a query to see rows here")
    page.goto(permalink)
    expect(page.locator("table.grid td").get_by_text("42")).to_be_visible()
    expect(page.locator(".cm-content")).to_contain_text("SELECT 42 AS answer")


def test_it_shows_the_times_where_there_is_little_room(visit: Opener) -> None:
    page = visit(query("SELECT count(*) FROM air.flights"), width=820)
    strip = page.locator("plan-strip")
    expect(strip.locator(".fact", has_text="server about")).to_be_visible()
    assert strip.evaluate("strip => strip.scrollWidth <= strip.clientWidth")
    expect(strip.get_by_role("button", name="Why here?")).to_be_in_viewport(ratio=1)


def test_it_points_at_what_is_wrong_where_it_is(visit: Opener) -> None:
    page = visit(query("SELECT *\nFROM air.fligths"))
    strip = page.locator("plan-strip")
    expect(strip).to_contain_text("Did you mean")
    page = visit(query("SELECT 1;\nDELETE FROM air.flights"))
    expect(page.locator("plan-strip .trouble")).to_be_visible()


def test_it_says_which_role_is_missing(visit: Opener) -> None:
    page = visit(query("SELECT count(*) FROM air.flights"), as_="auditor")
    strip = page.locator("plan-strip")
    expect(strip).to_contain_text("Not allowed")
    run(page)
    expect(page.locator("result-view [role=alert]")).to_contain_text("Not allowed")


def test_it_hands_local_runs_to_the_terminal_and_never_pretends(visit: Opener) -> None:
    page = visit(query("SELECT count(*) AS n FROM air.flights", "local"))
    expect(page.locator("plan-strip")).to_contain_text("My machine")
    page.get_by_role("button", name="How to run").click()
    command = page.locator("#local-command")
    expect(command).to_contain_text("upend query -w browser --on local")
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_text("Copied", exact=True)).to_be_visible()
    assert "--on local" in page.evaluate("navigator.clipboard.readText()")
    page.get_by_role("button", name="Run on the server instead").click()
    expect(page.locator("table.grid td").get_by_text("20,000")).to_be_visible()


def test_it_says_why_protected_data_stays_on_the_server(visit: Opener) -> None:
    page = visit(query("SELECT name FROM air.customers", "local"))
    expect(page.locator("plan-strip")).to_contain_text("refused")
    page.locator("#run").click()
    expect(page.locator("result-view")).to_contain_text("personal-data")
    page.get_by_role("button", name="Run on the server instead").click()
    expect(page.locator(".res-head")).to_contain_text("500 rows")


def test_it_cancels_by_escape(visit: Opener) -> None:
    page = visit(query(SLOW))
    run(page)
    expect(page.get_by_role("button", name="Cancel")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("result-view [role=alert]")).to_contain_text("Cancelled")


def test_it_scrolls_through_results_longer_than_a_page(visit: Opener) -> None:
    page = visit(query("SELECT flight FROM air.flights ORDER BY flight"))
    run(page)
    expect(page.locator(".res-head")).to_contain_text("20,000 rows")
    page.locator(".tw").evaluate("(box) => { box.scrollTop = box.scrollHeight; }")
    expect(page.locator("table.grid td").get_by_text("19,999")).to_be_visible()
    expect(page.locator("table.grid tbody tr").nth(120)).not_to_be_attached()


def test_it_keeps_every_digit_of_wide_numbers(visit: Opener) -> None:
    page = visit(query("SELECT 9007199254740993 AS big, 0.10::DECIMAL(18, 2) AS exact"))
    run(page)
    cells = page.locator("table.grid td.num")
    expect(cells.first).to_have_text("9,007,199,254,740,993")
    expect(cells.nth(1)).to_have_text("0.10")


@pytest.mark.parametrize("format_", ["CSV", "Parquet", "Arrow", "JSON"])
def test_it_exports_what_is_on_screen(visit: Opener, format_: str) -> None:
    page = visit(query("SELECT 1 AS one"))
    run(page)
    page.get_by_role("button", name="Export").click()
    with page.expect_download() as download:
        page.locator("#export-menu").get_by_role("button", name=format_).click()
    content = download.value.path().read_bytes()
    start = {"CSV": b'"one"\n1', "Parquet": b"PAR1", "JSON": b'[\n{"one":1}'}
    assert content.startswith(start.get(format_, b""))
    assert content


def test_it_saves_finds_and_deletes_a_query(visit: Opener, console: Console) -> None:
    page = visit(query("SELECT 7 AS lucky"))
    page.get_by_role("button", name="Save the query").click()
    page.get_by_label("Name").fill("Lucky number")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator(".toast")).to_contain_text("Lucky number")
    page.keyboard.press("ControlOrMeta+k")
    page.keyboard.type("lucky")
    page.get_by_role("option", name=re.compile("Lucky number")).click()
    expect(page.locator("#query-title")).to_have_text("Lucky number")
    expect(page.locator(".cm-content")).to_contain_text("SELECT 7 AS lucky")
    page.goto(console.address("saved"))
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Delete Lucky number").click()
    expect(page.get_by_role("status").filter(has_text="is deleted")).to_be_visible()


def test_it_completes_columns_of_the_tables_in_the_query(visit: Opener) -> None:
    page = visit(query("SELECT  FROM air.flights f"))
    page.locator(".cm-content").click()
    page.keyboard.press("Home")
    for _ in "SELECT ":
        page.keyboard.press("ArrowRight")
    page.keyboard.type("f.dep")
    expect(page.locator(".cm-tooltip-autocomplete li").first).to_contain_text("dep_delay")


def test_it_says_that_rows_were_kept_and_runs_anew_when_asked(visit: Opener) -> None:
    page = visit(query(DELAYS, place="server"))
    status = page.locator(".res-head [role=status]")
    run(page)
    expect(status).to_contain_text("rows")
    first = page.url
    run(page)
    expect(status).to_contain_text("from cache")
    assert page.url != first
    page.get_by_role("button", name="Run anew").click()
    expect(status).to_contain_text("read")
    expect(status).not_to_contain_text("from cache")
    expect(page.get_by_role("button", name="Run anew")).to_have_count(0)


def test_it_lists_what_was_run(visit: Opener) -> None:
    page = visit(query("SELECT 11 AS eleven"))
    run(page)
    expect(page.locator("table.grid td").get_by_text("11")).to_be_visible()
    page.get_by_role("button", name="History").click()
    expect(page.locator("#history")).to_contain_text("SELECT 11 AS eleven")


def test_it_filters_the_tree(visit: Opener) -> None:
    page = visit("query")
    page.get_by_label("Filter tables").fill("dep_delay")
    expect(page.locator(".tree .table:visible")).to_have_count(1)
    page.get_by_label("Filter tables").fill("zzz")
    expect(page.locator("#tree-none")).to_be_visible()
    expect(page.locator(".tree .table")).to_have_count(0)


def test_it_finds_a_table_of_a_catalog_as_one_types(visit: Opener) -> None:
    page = visit("catalog/air")
    page.get_by_role("heading", name="Snapshots").wait_for()
    page.keyboard.press("/")
    expect(page.get_by_role("searchbox", name="Find a table")).to_be_focused()
    page.keyboard.type("cust")
    expect(page).to_have_url(re.compile(r"\?q=cust$"))
    expect(page.locator("#tables tbody tr")).to_have_count(1)
    page.reload()
    expect(page.locator("#tables tbody tr")).to_have_count(1)
