"""The pages of policies: one policy as form and as text, found by keyboard and by address."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.console.conftest import Console, Opener

pytestmark = [pytest.mark.browser, pytest.mark.stack]


def begin(page: Page, kind: str, scope: str) -> None:
    """Begin a policy on the page that asks for its kind and scope."""
    page.locator(".start-card", has_text=kind).click()
    page.locator("#scopes button", has_text=scope).click()
    page.wait_for_url(re.compile(r"/policies/(?!new)"))


def test_it_edits_one_policy_as_form_and_as_text(visit: Opener) -> None:
    page = visit("policies/new", as_="steward")
    begin(page, "Filter rows", "air.main.staff")
    page.get_by_label("Which rows are shown").fill("region = principal.region")
    expect(page.locator("#source")).to_contain_text('where: "region = principal.region"')
    page.get_by_role("tab", name="Text").click()
    editor = page.locator("policy-text .cm-content")
    editor.click()
    page.keyboard.press("ControlOrMeta+End")
    page.keyboard.insert_text("except: [{role: owner}]")
    expect(page.locator("#verdict")).to_contain_text("owner")
    page.get_by_role("tab", name="Form").click()
    expect(page.locator("#who-exempt .chosen")).to_contain_text("role owner")
    page.get_by_role("tab", name="Text").click()
    editor.click()
    page.keyboard.press("ControlOrMeta+End")
    page.keyboard.insert_text("\nwhen: tuesday")
    finding = page.locator("#findings li")
    expect(finding).to_contain_text("when")
    expect(page.locator(".cm-lintRange-error")).to_be_visible()


def test_it_finds_policies_by_keyboard_and_by_address(visit: Opener, console: Console) -> None:
    page = visit("policies/new", as_="owner")
    begin(page, "Allow or forbid", "every table of the catalog")
    name = page.locator("h1").inner_text()
    page.keyboard.press("g")
    page.keyboard.press("p")
    page.wait_for_url(console.address("policies"))
    page.get_by_role("link", name="Row filter", exact=True).click()
    expect(page.locator("table.policies")).not_to_contain_text(name)
    page.go_back()
    expect(page.locator("table.policies")).to_contain_text(name)
    page.keyboard.press("ControlOrMeta+k")
    page.keyboard.type(name)
    expect(page.get_by_role("option").first).to_contain_text(name)
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(rf"/policies/{name}$"))
