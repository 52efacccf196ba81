"""Takes the README's pictures: `make screenshots`.

Starts an Upend of its own with the demo's data, asks one of its saved questions in the system's
Chromium, and reduces each picture to a palette: a repository keeps every version for ever.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

from embedded.running import RunningStack

ROOT = Path(__file__).parents[1]
TARGET = ROOT / "docs" / "screenshots"
THEMES = ("light", "dark")
SIZE = {"width": 1440, "height": 900}
LOGIN = (
    "import json; from demo.loading import login_book;"
    "print(json.dumps({l.name: [l.identity, l.secret] for l in login_book()}))"
)
FLAGS = ["--no-sandbox", "--disable-background-networking", "--no-first-run"]


def main() -> None:
    """Write the pictures."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        sys.exit("Install Chromium first: the pictures are taken with the system's browser.")
    TARGET.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="upend-screenshots-") as directory:
        stack = RunningStack(Path(directory) / "data")
        stack.start()
        try:
            email, password = load(stack)
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
                for theme in THEMES:
                    picture(browser, stack.url, (email, password), theme)
                browser.close()
        finally:
            stack.stop()


def load(stack: RunningStack) -> tuple[str, str]:
    """Load the demo and return how its analyst signs in."""
    command = [sys.executable, "manage.py"]
    subprocess.run([*command, "load_demo"], cwd=ROOT, env=stack.environment, check=True)
    asked = [*command, "shell", "-c", LOGIN]
    done = subprocess.run(
        asked, cwd=ROOT, env=stack.environment, check=True, capture_output=True, text=True
    )
    logins = json.loads(done.stdout.splitlines()[-1])
    email, password = logins["analyst"]
    return email, password


def picture(browser: Browser, url: str, login: tuple[str, str], theme: str) -> None:
    """Ask a saved question and take the page, rows and chart included."""
    context = browser.new_context(viewport=SIZE, device_scale_factor=2)  # type: ignore[arg-type]
    context.add_cookies([{"name": "upend_theme", "value": theme, "url": url}])
    context.set_default_timeout(120_000)  # the machine may be busy
    page = context.new_page()
    page.goto(f"{url}/accounts/login/")
    page.get_by_label("Email").fill(login[0])
    page.get_by_label("Password").fill(login[1])
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.wait_for_url("**/query")
    page.goto(f"{url}/w/flight-ops/saved")
    page.get_by_role("link", name="Which airlines are late most often?").click()
    page.locator("plan-strip .where").wait_for()
    page.locator(".tree .table summary", has_text="flights").click()
    page.locator("#run").click()
    page.locator(".chart svg").wait_for()
    page.wait_for_timeout(600)
    path = TARGET / f"query-{theme}.png"
    page.screenshot(path=path)
    context.close()
    shrink(path)


def shrink(path: Path) -> None:
    """Reduce a picture to 128 colours, which flat interfaces survive."""
    with Image.open(path) as taken:
        reduced = taken.convert("RGB").quantize(colors=128, dither=Image.Dither.NONE)
    reduced.save(path, optimize=True)


if __name__ == "__main__":
    main()
