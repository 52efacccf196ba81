"""A table's definition and history in the browser: previewed, done by the writer, taken back."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from .conftest import Opener

pytestmark = pytest.mark.browser


def test_it_changes_a_table_with_a_preview_and_takes_it_back(visit: Opener) -> None:
    page = visit("catalog/air/main/customers", as_="owner")
    history = page.locator("section", has=page.locator("#history-title"))
    before = history.locator("tbody tr").first.locator("td").first.inner_text()
    page.get_by_role("button", name="Change", exact=True).click()
    dialog = page.locator("#change-table")
    dialog.get_by_label("Name of the new column").fill("note")
    dialog.get_by_label("Type").fill("no type")
    dialog.get_by_role("button", name="Preview").click()
    expect(dialog.get_by_role("alert")).to_contain_text("not a type")
    expect(dialog.get_by_role("button", name="Change it")).to_be_disabled()
    dialog.get_by_label("Type").fill("text")
    dialog.get_by_role("button", name="Preview").click()
    expect(dialog).to_contain_text("Adds the column note of type VARCHAR")
    page.keyboard.press("Enter")  # the button that does it has the focus
    expect(page.locator("#columns-title + * , section", has_text="note").first).to_be_visible()
    expect(history).to_contain_text("Changed the definition of main.customers.")

    page.get_by_role("button", name=f"Compare snapshot {before} with now").click()
    expect(page.locator("#compare")).to_contain_text("note (VARCHAR) was added.")
    page.keyboard.press("Escape")
    page.get_by_role("button", name=f"Roll back to snapshot {before}").click()
    back = page.locator("#roll-back")
    expect(back).to_contain_text("500 rows become 500")
    expect(back).to_contain_text("Drops the column note")
    back.get_by_role("button", name="Roll back", exact=True).click()
    expect(page.get_by_role("button", name="Profile note")).to_have_count(0)
    expect(page.get_by_role("button", name="Profile name")).to_have_count(1)


def test_it_profiles_a_column_for_a_reader_who_may_not_change_the_table(visit: Opener) -> None:
    page = visit("catalog/air/main/flights", as_="analyst", width=820, theme="dark")
    expect(page.get_by_role("button", name="Change", exact=True)).to_have_count(0)
    page.get_by_role("button", name="Profile carrier").click()
    dialog = page.locator("#profile")
    expect(dialog).to_contain_text("Most frequent")
    expect(dialog.locator("dl")).to_contain_text("20000")
    expect(dialog.locator("tr", has_text="UA")).to_contain_text("2,500")


MAKE = """async ({api, body}) => {
  const { call } = await import("upend/api");
  let job = await call("POST", `${api}/catalogs/air/views`, { json: body });
  while (!["succeeded", "failed"].includes(job.state))
    job = await call("GET", `${api}/jobs/${job.id}`);
  return job.state;
}"""


def test_it_shows_a_sample_what_was_done_changed_rows_and_views(visit: Opener) -> None:
    page = visit("catalog/air/main/flights", as_="owner")
    page.get_by_role("button", name="Show 20 rows").click()
    sample = page.locator("section", has=page.locator("#sample-title"))
    expect(sample.locator("tbody tr").first).to_be_visible(timeout=60_000)
    page.reload()  # what was done is looked up once, when it comes into view
    page.locator("#activity-title").scroll_into_view_if_needed()
    activity = page.locator("section", has=page.locator("#activity-title"))
    expect(activity).to_contain_text("SELECT")
    expect(activity).to_contain_text("of the last 400 queries of the workspace")
    page.get_by_role("button", name="Compare snapshot").first.click()
    compare = page.locator("#compare")
    compare.get_by_role("button", name="Show some changed rows").click()
    expect(compare).to_contain_text("row")
    page.keyboard.press("Escape")

    slug = page.url.split("/w/")[1].split("/")[0]
    body = {"name": "codes", "sql": "SELECT * FROM flights", "comment": "All of them."}
    asked = {"api": f"/api/v1/workspaces/{slug}", "body": body}
    assert page.evaluate(MAKE, asked) == "succeeded"
    page.goto(page.url.split("/main/")[0])
    page.get_by_role("link", name="codes", exact=True).click()
    expect(page.get_by_role("heading", name="codes")).to_be_visible()
    expect(page.locator("section", has=page.locator("#reads-title"))).to_contain_text("flights")
    expect(page.locator("section", has=page.locator("#text-title"))).to_contain_text("SELECT")
