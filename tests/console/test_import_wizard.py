"""In the browser: one looks into a file before it becomes a table, and tries again."""

from __future__ import annotations

import os
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.console.conftest import Console, Opener

pytestmark = pytest.mark.stack

CONTENT = b"gate,opened,fee\nA1,2024-01-02,1.5\nB2,2024-02-03,2.25\nC3,,x\n"


def choose(page: Page, content: bytes = CONTENT, name: str = "Gates 2.csv") -> None:
    file: Any = {"name": name, "mimeType": "text/csv", "buffer": content}
    page.locator("#upload-file").set_input_files(file)
    page.get_by_role("button", name="Continue").click()


def test_it_looks_into_a_file_and_makes_a_table_of_it(visit: Opener, console: Console) -> None:
    page = visit("catalog/air", as_="owner")
    puts: list[str] = []
    page.on("request", lambda sent: puts.append(sent.url) if sent.method == "PUT" else None)
    page.get_by_role("button", name="Upload a file").click()
    choose(page)
    expect(page.get_by_label("Table", exact=True)).to_have_value("gates_2")
    rows = page.get_by_role("region", name="First rows")
    expect(rows.get_by_role("row")).to_have_count(4)
    expect(rows.get_by_label("Type of opened")).to_have_value("DATE")
    (straight,) = puts
    assert "X-Amz-Signature" in straight  # the bytes went to the storage, not through Upend

    rows.get_by_label("Type of fee").select_option("DOUBLE")
    page.get_by_role("button", name="Create the table").click()
    expect(page.get_by_role("alert")).to_contain_text("line 4")
    rows.get_by_label("Type of fee").select_option("VARCHAR")
    if where := os.environ.get("UPEND_SCREENSHOTS"):
        page.screenshot(path=f"{where}/import-wizard.png")
    page.get_by_role("button", name="Create the table").click()
    page.wait_for_url(console.address("catalog/air/main/gates_2"))
    expect(page.locator("main")).to_contain_text("DATE")


def test_it_forgets_a_file_that_is_not_loaded(visit: Opener) -> None:
    page = visit("catalog/air", as_="owner", width=820)
    page.get_by_role("button", name="Upload a file").click()
    choose(page, name="other.csv")
    expect(page.get_by_role("button", name="Create the table")).to_be_focused(timeout=30_000)
    assert page.evaluate("document.documentElement.scrollWidth") <= 820
    with page.expect_request(lambda sent: sent.method == "DELETE") as gone:
        page.keyboard.press("Escape")
    assert "/transfers/" in gone.value.url
    page.get_by_role("button", name="Upload a file").click()
    choose(page, content=b"", name="empty.csv")
    expect(page.get_by_role("alert")).to_contain_text("empty.csv is empty")
