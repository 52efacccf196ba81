"""The frame in a browser: keyboard, themes, widths, names and contrast."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from console import format as written
from tests.console.conftest import Console, Opener

pytestmark = [pytest.mark.browser, pytest.mark.stack]

PROBES = Path(__file__).parent / "probes"
PAGES = [
    "query",
    "saved",
    "catalog",
    "catalog/air",
    "catalog/air/main/flights",
    "events",
    "policies",
    "policies/new",
    "policies/view-as?principal=analyst@console.example",
    "/devices",
    "/settings/tokens",
    "/accounts/2fa/",
    "/accounts/password/change/",
]
NAMELESS = (PROBES / "nameless.js").read_text()
FAINT = (PROBES / "faint.js").read_text()


def address(console: Console, path: str) -> str:
    return f"{console.url}{path}" if path.startswith("/") else console.address(path)


def settled(page: Page) -> None:
    page.wait_for_load_state("networkidle")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_is_named_contrasted_and_fits_at_820(
    visit: Opener, console: Console, theme: str
) -> None:
    page = visit("query", as_="owner", width=820, theme=theme)
    for path in PAGES:
        page.goto(address(console, path))
        settled(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= 820, path
        expect(page.locator("h1"), path).to_have_count(1)
        assert page.evaluate(NAMELESS) == [], path
        assert page.evaluate(FAINT) == [], path
    page.locator(".crumbs li").last.evaluate("one => { one.textContent = 'long '.repeat(30) }")
    assert page.evaluate("document.documentElement.scrollWidth") <= 820


def test_it_goes_places_by_keyboard(visit: Opener, console: Console) -> None:
    page = visit("saved")
    page.keyboard.press("g")
    page.keyboard.press("c")
    page.wait_for_url(console.address("catalog"))
    page.keyboard.press("?")
    expect(page.locator("#shortcuts")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("ControlOrMeta+k")
    page.keyboard.type("flights")
    expect(page.get_by_role("option").first).to_contain_text("air.main.flights")
    page.keyboard.press("Enter")
    page.wait_for_url(console.address("catalog/air/main/flights"))


def test_it_switches_the_theme_and_remembers(visit: Opener) -> None:
    page = visit("saved")
    page.get_by_role("button", name="Switch light or dark theme").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")


def test_it_shows_a_table_with_statistics_and_access(visit: Opener) -> None:
    page = visit("catalog/air/main/customers")
    expect(page.get_by_text("personal-data").first).to_be_visible()
    expect(page.locator("section", has_text="Access for you").first).to_contain_text("Query")
    expect(page.locator("main")).to_contain_text("Person 99")
    page.get_by_role("link", name="Query this table").click()
    expect(page.locator(".cm-content")).to_contain_text("FROM air.main.customers")


def test_it_hides_statistics_from_who_may_not_query(visit: Opener) -> None:
    page = visit("catalog/air/main/customers", as_="auditor")
    expect(page.locator("main")).to_contain_text("customers")
    expect(page.locator("main")).not_to_contain_text("Person 99")


def test_it_writes_numbers_as_the_server_does(visit: Opener) -> None:
    page = visit("saved")
    sizes = [0, 999, 1000, 7_700_000, 99_949_999, 99_960_000, 999_600_000, 2 * 10**15]
    shown = page.evaluate("async (sizes) => sizes.map((await import('upend/format')).bytes)", sizes)
    assert shown == [written.size(size) for size in sizes]
