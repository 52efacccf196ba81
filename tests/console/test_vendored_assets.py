"""What is vendored is what its table says, whole, licensed, and used."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pytest

from console.templatetags.console import MODULES, TYPE_ICONS, VENDORED

ROOT = Path(__file__).parents[2]
VENDOR = ROOT / "static" / "vendor"
MODULE_FOLDER = ROOT / "static" / "console"
README = (VENDOR / "README.md").read_text()
FILES = dict(re.findall(r"^\| `([^`]+)` \|.*\| `([0-9a-f]{64})` \|$", README, re.MULTILINE))
PACKAGES = re.findall(r"^\| (\S+) \| (\d[\w.]*) \| (\S+) \|$", README, re.MULTILINE)


@pytest.mark.parametrize("name", sorted(FILES))
def test_it_is_the_file_that_was_reviewed(name: str) -> None:
    assert hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() == FILES[name]


def test_it_lists_every_vendored_file() -> None:
    served = {p.relative_to(VENDOR).as_posix() for p in VENDOR.rglob("*") if p.is_file()}
    apart = {name for name in served if name.startswith(("src/", "licences/"))} | {"README.md"}
    assert served - apart == set(FILES)


@pytest.mark.parametrize(("name", "version", "licence"), PACKAGES)
def test_it_carries_the_licence_of_each_package(name: str, version: str, licence: str) -> None:
    text = (VENDOR / "licences" / f"{name.replace('/', '__')}.txt").read_text()
    words = {"Apache-2.0": "Apache License", "OFL-1.1": "SIL OPEN FONT", "ISC": "ISC License"}
    known = words.get(licence, "without restriction" if licence == "MIT" else "")
    assert known.lower() in text.lower()


def test_it_pins_exact_versions_without_a_registry_host() -> None:
    asked = json.loads((VENDOR / "src" / "package.json").read_text())["dependencies"]
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in asked.values())
    lock = (VENDOR / "src" / "package-lock.json").read_text()
    assert "http" not in re.sub(r'"(url|funding)": "[^"]*"', "", lock)
    listed = {name: version for name, version, _ in PACKAGES}
    assert {n: v for n, v in asked.items() if n != "esbuild"}.items() <= listed.items()


def test_it_names_every_module_of_the_console() -> None:
    assert {path.stem for path in MODULE_FOLDER.glob("*.js")} == set(MODULES)
    assert all((VENDOR / f"{name}.js").exists() for name in VENDORED)


def test_it_imports_only_modules_that_exist() -> None:
    known = {f"upend/{name}" for name in (*MODULES, *VENDORED)}
    for path in MODULE_FOLDER.glob("*.js"):
        imported = re.findall(r'(?:from |import |import\()"([^"]+)"', path.read_text())
        assert set(imported) <= known, path.name


def test_its_icons_are_the_ones_in_use() -> None:
    sprite = set(re.findall(r'<symbol id="([^"]+)"', (VENDOR / "icons.svg").read_text()))
    assert sprite == set((VENDOR / "src" / "icons.txt").read_text().split())
    places = [*(ROOT / "templates").rglob("*.html"), *MODULE_FOLDER.glob("*.js")]
    places += [
        p for room in ("platform", "catalog", "execution") for p in (ROOT / room).rglob("*.py")
    ]
    text = "\n".join(path.read_text() for path in places)
    written = set(re.findall(r'(?:% icon |[\s(]icon\()"([^"]+)"', text))
    named = {name for name in sprite if f'"{name}"' in text} | {name for _, name in TYPE_ICONS}
    assert written <= sprite
    assert sprite - named == set()


def test_it_leaves_nothing_inline_for_the_policy_to_refuse() -> None:
    for path in (ROOT / "templates").rglob("*.html"):
        text = path.read_text()
        assert not re.search(r"\sstyle=|\son\w+=|<style", text), path
        for attributes in re.findall(r"<script([^>]*)>", text):
            assert "src=" in attributes or "nonce=" in attributes, path
