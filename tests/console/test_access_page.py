"""In the browser: somebody is refused, asks, and an owner grants it."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.console.conftest import Opener

pytestmark = pytest.mark.stack


def test_it_asks_and_grants(visit: Opener) -> None:
    page = visit("access?on=air.main.flights", as_="analyst")
    page.get_by_role("checkbox", name="Append to it").check()
    page.get_by_label("Why you need it").fill("I load the delays each month.")
    page.get_by_role("button", name="Ask", exact=True).click()
    page.get_by_text("You asked for access to air.main.flights.").wait_for()
    request = page.get_by_role("row", name="air.main.flights")
    expect(request.get_by_text("open")).to_be_visible()

    deciding = visit("access", as_="owner")
    card = deciding.get_by_role("article").filter(has_text="I load the delays each month.")
    card.get_by_text("A policy of its own").click()
    expect(card.locator("pre")).to_contain_text('User::"analyst@console.example"')
    card.get_by_role("button", name="Grant").click()
    deciding.get_by_text("Granted.").wait_for()

    page.reload()
    expect(request.get_by_text("granted")).to_be_visible()


def test_it_keeps_what_was_typed_when_it_says_no(visit: Opener) -> None:
    page = visit("access", as_="analyst", width=820)
    page.get_by_label("Table").fill("air.main.nothing")
    page.get_by_role("checkbox", name="Query it").check()
    page.get_by_label("Why you need it").fill("To count the nothing.")
    page.get_by_role("button", name="Ask", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("air.main.nothing")
    expect(page.get_by_label("Why you need it")).to_have_value("To count the nothing.")
    expect(page.get_by_role("checkbox", name="Query it")).to_be_checked()
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= 820


def test_it_reviews_everyones_rights(visit: Opener) -> None:
    page = visit("access", as_="owner")
    page.get_by_role("link", name="Reviews").click()
    page.get_by_label("Title").fill("Q4 2026")
    page.get_by_role("button", name="Start").click()
    page.get_by_role("heading", name="Q4 2026").wait_for()
    expect(page.get_by_role("button", name="Close the review")).to_be_disabled()

    kept = page.get_by_role("row", name="user analyst@console.example")
    kept.get_by_role("button", name="Keep").click()
    page.get_by_text("analyst@console.example: kept.").wait_for()

    mine = page.get_by_role("row", name="user owner@console.example")
    mine.get_by_label("Reason for").fill("To see what happens.")
    mine.get_by_role("button", name="Take away").click()
    expect(page.get_by_role("alert")).to_contain_text("Nobody takes their own role away.")

    page.get_by_role("link", name="confirmed").click()
    expect(page.get_by_role("row").filter(has_text="confirmed")).to_have_count(1)
    page.set_viewport_size({"width": 820, "height": 900})
    assert page.evaluate("document.documentElement.scrollWidth") <= 820
    with page.expect_download() as held:
        page.get_by_role("link", name="Evidence (CSV)").click()
    lines = Path(held.value.path()).read_text().splitlines()
    assert lines[0].startswith("holder,right,")
    assert any("analyst@console.example" in line and "confirmed" in line for line in lines)


def test_it_shows_no_review_to_who_may_not_read_it(visit: Opener) -> None:
    page = visit("access/reviews", as_="analyst")
    expect(page.get_by_text("There is no review of access that you may read.")).to_be_visible()
