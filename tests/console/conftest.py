"""A signed-in Chromium on a running stack, strict about what the console logs."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, StorageState, expect, sync_playwright

from embedded.running import RunningStack

ROOT = Path(__file__).parents[2]
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
FLAGS = [
    "--no-sandbox",  # tests run as root in containers
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
LONG = 120_000  # milliseconds: a page of a busy machine
expect.set_options(timeout=LONG)


@dataclass(frozen=True)
class Console:
    """Where the console is and how its people sign in."""

    url: str
    password: str
    workspace: str

    def address(self, path: str) -> str:
        """Return the address of a page of the workspace."""
        return f"{self.url}/w/{self.workspace}/{path}"


@pytest.fixture(scope="session")
def console(stack: RunningStack) -> Console:
    """Return a console over a small lake of its own."""
    done = subprocess.run(
        [sys.executable, "manage.py", "shell", "-c", "from tests.console import seed; seed.main()"],
        cwd=ROOT,
        env=stack.environment,
        check=True,
        capture_output=True,
        text=True,
    )
    seeded = json.loads(done.stdout.splitlines()[-1])
    return Console(stack.url, seeded["password"], seeded["workspace"])


@pytest.fixture(scope="module")
def chromium() -> Generator[Browser]:
    """Return the system's browser. Per module: its event loop would trip Django's ORM guard."""
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


Opener = Callable[..., Page]


@pytest.fixture(scope="session")
def sessions() -> dict[str, StorageState]:
    """Return the session of each person once signed in: sign-ins from one address are limited."""
    return {}


def sign_in(page: Page, console: Console, name: str) -> None:
    """Sign a person in by the form."""
    page.goto(f"{console.url}/accounts/login/")
    page.get_by_label("Email").fill(f"{name}@console.example")
    page.get_by_label("Password").fill(console.password)
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.wait_for_url("**/w/**")


@pytest.fixture
def visit(
    console: Console, chromium: Browser, sessions: dict[str, StorageState]
) -> Generator[Opener]:
    """Return `visit(path, as_, …)`; the page must log no error and break no policy."""
    complaints: list[str] = []
    contexts = []

    def open_page(
        path: str,
        *,
        as_: str = "analyst",
        width: int = 1440,
        theme: str = "light",
        scale: int = 1,
    ) -> Page:
        context = chromium.new_context(
            viewport={"width": width, "height": 900},
            device_scale_factor=scale,
            color_scheme="dark" if theme == "dark" else "light",
            storage_state=sessions.get(as_),
        )
        context.grant_permissions(["clipboard-read", "clipboard-write"], origin=console.url)
        context.set_default_timeout(LONG)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "console",
            lambda message: (
                complaints.append(message.text)
                if message.type == "error" and "status of 4" not in message.text
                else None
            ),
        )
        if as_ not in sessions:
            sign_in(page, console, as_)
            sessions[as_] = context.storage_state()
        page.goto(path if path.startswith("http") else console.address(path))
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []
