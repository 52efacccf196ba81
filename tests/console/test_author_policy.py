"""Someone who never saw a policy masks a column for everyone but one group, and sees whom it hits.

With UPEND_SCREENSHOTS set to a directory, as `make screenshots` does, the pictures that
docs/tutorial/mask-a-column.md shows are left there.
"""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import Page, expect

from tests.console.conftest import Opener
from tests.screenshots import shrink

pytestmark = [pytest.mark.browser, pytest.mark.stack]

FEW_CLICKS = 10
COUNTER = """addEventListener("pointerdown", () => {
  sessionStorage.clicks = Number(sessionStorage.clicks ?? 0) + 1;
}, true);"""
ONE_NAME = quote("SELECT name, email FROM air.staff WHERE id = 7")


def clicks(page: Page) -> int:
    """Return how often a button of the pointer went down, on any page of the tab."""
    return int(page.evaluate("Number(sessionStorage.clicks ?? 0)"))


def keep(page: Page, name: str) -> None:
    """Leave a picture for the docs, where they are asked for."""
    if directory := os.environ.get("UPEND_SCREENSHOTS"):
        path = Path(directory) / f"{name}.png"
        page.screenshot(path=path)
        shrink(path)


def seen(page: Page) -> list[str]:
    """Run the query that is in the editor and return its one row."""
    page.locator(".cm-content").click()
    page.keyboard.press("ControlOrMeta+Enter")
    cells = page.locator("table.grid tbody tr:not(.pad) td")
    expect(cells.nth(1)).to_be_visible()
    return cells.all_inner_texts()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_takes_few_clicks_to_mask_a_column_and_shows_whom_it_affects(
    visit: Opener, theme: str
) -> None:
    page = visit("query", as_="owner", theme=theme, scale=2)
    page.add_init_script(COUNTER)
    page.reload()
    page.get_by_role("link", name="Policies", exact=True).click()
    page.get_by_role("link", name="New policy").click()
    page.get_by_text("Mask columns").click()
    page.get_by_role("button", name="air.main.staff").click()
    page.locator(".pick", has_text="email").click()
    page.locator("#suggest-exempt").get_by_role("button", name="group hr").click()

    said = page.locator("#verdict .sentence")
    expect(said).to_contain_text("everyone but the group hr")
    affected = page.locator("#impact")
    expect(affected).to_contain_text("2 of 4 people")
    differently = affected.locator(".effect", has_text="see it differently").locator(".person")
    expect(differently).to_have_text(["Analyst Tester", "Owner Tester"])
    expect(affected.locator(".effect", has_text="unchanged")).to_contain_text("Steward Tester")
    page.wait_for_load_state("networkidle")
    keep(page, f"mask-a-column-{theme}")

    page.get_by_role("button", name="Publish…").click()
    page.get_by_role("button", name="Publish now").click()
    expect(page.locator("main [role=status]").first).to_contain_text("is in force")
    assert clicks(page) < FEW_CLICKS
    try:
        assert seen(visit(f"query?sql={ONE_NAME}", as_="analyst")) == ["Chidi Falk", "null"]
        assert seen(visit(f"query?sql={ONE_NAME}", as_="steward"))[1] == "chidi.falk7@air.example"
    finally:
        page.get_by_role("button", name="Retire…").click()
        page.locator("#retire").get_by_label("Why").fill("the test is over")
        page.get_by_role("button", name="Retire it").click()
        expect(page.locator("main [role=status]").first).to_contain_text("has ended")
