"""The running panel of the query page: it moves by itself, speaks seldom and ends in rows."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.console.conftest import Opener
from tests.console.test_query_page import query, run

pytestmark = [pytest.mark.browser, pytest.mark.stack]

GROWING = (
    "SELECT a.flight, b.distance FROM air.flights a CROSS JOIN air.flights b"
    " CROSS JOIN air.flights c WHERE hash(a.flight, b.flight, c.flight) % 200 = 0"
)
"""Its rows come for minutes: no page is too late to see some, and nobody gets all of them."""
STREAM = re.compile(r"/events$")


def facts(page: Page) -> str:
    return page.locator(".res-head .running").inner_text()


def cancel(page: Page) -> None:
    page.keyboard.press("Escape")
    expect(page.locator("result-view [role=alert]")).to_contain_text("Cancelled")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_shows_rows_bytes_and_seconds_as_they_come(visit: Opener, theme: str) -> None:
    page = visit(query(GROWING), theme=theme)
    with page.expect_request(STREAM):
        run(page)
    running = page.locator(".res-head .running")
    expect(running).to_contain_text(
        re.compile(r"Running.*[\d,]{5,} rows.*of result.*\d s", re.DOTALL)
    )
    before = facts(page)
    expect(running).not_to_have_text(before)
    expect(page.locator(".res-head [aria-live=polite]")).to_contain_text("Running")
    cancel(page)


def test_it_shows_the_result_without_a_reload(visit: Opener) -> None:
    page = visit(query("SELECT count(*) AS n FROM air.flights"))
    page.evaluate("window.isSamePage = true")
    run(page)
    expect(page.locator("table.grid td").get_by_text("20,000")).to_be_visible()
    assert page.evaluate("window.isSamePage")


def test_it_asks_where_events_do_not_come(visit: Opener) -> None:
    page = visit(query("SELECT count(*) AS n FROM air.flights"))
    page.route(STREAM, lambda route: route.fulfill(status=200, content_type="text/event-stream"))
    run(page)
    expect(page.locator("table.grid td").get_by_text("20,000")).to_be_visible()


def test_it_closes_the_stream_when_the_page_goes_on_to_another_query(visit: Opener) -> None:
    page = visit(query(GROWING))
    with page.expect_request(STREAM) as first:
        run(page)
    expect(page.locator(".res-head .running")).to_contain_text("Running")
    with page.expect_event("requestfailed", lambda one: one == first.value):
        run(page)
    expect(page.locator(".res-head .running")).to_be_visible()
    cancel(page)
