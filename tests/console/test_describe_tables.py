"""What a steward says of a column, and what an administrator settles, in the browser."""

from __future__ import annotations

import pytest
from playwright.sync_api import Dialog, expect

from .conftest import Console, Opener

pytestmark = pytest.mark.browser


def test_it_describes_a_column_and_shows_it_to_readers(visit: Opener) -> None:
    page = visit("catalog/air/main/flights", as_="owner")
    page.get_by_role("link", name="Describe carrier").click()
    page.get_by_label("Description").fill("Who flew, by IATA code.")
    page.get_by_label("Classification").select_option("confidential")
    page.get_by_label("Tags").fill("partner-data quality=checked")
    page.get_by_role("button", name="Keep").click()
    expect(page.locator(".notice[role=status]")).to_contain_text("air.main.flights.carrier")
    reader = visit("catalog/air/main/flights", as_="analyst", width=820)
    row = reader.locator("tr", has_text="Who flew, by IATA code.")
    for shown in ("confidential", "partner-data", "quality=checked", "values"):
        expect(row).to_contain_text(shown)
    expect(reader.get_by_role("link", name="Describe carrier")).to_have_count(0)
    access = reader.locator("section", has_text="Access for you").first
    expect(access).to_contain_text("Run on your machine: no")
    expect(access).to_contain_text("What would change it")


def test_it_turns_local_compute_off_for_everyone_and_on_again(
    visit: Opener, console: Console
) -> None:
    page = visit(f"{console.url}/organization", as_="owner")
    asked: list[str] = []

    def accept(dialog: Dialog) -> None:
        asked.append(dialog.message)
        dialog.accept()

    page.on("dialog", accept)
    page.get_by_role("button", name="Turn off for everyone").click()
    expect(page.locator(".notice[role=status]")).to_contain_text("Local compute is off.")
    page.get_by_role("button", name="Turn on again").click()
    expect(page.locator(".notice[role=status]")).to_contain_text("Local compute is on again")
    assert asked[0].startswith("Turn local compute off for everyone in Console tests?")
