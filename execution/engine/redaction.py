"""Makes an engine's own words fit for the owners of the data: what it says, not of what.

Engine text quotes values, addresses, hidden names and near misses, in sentences that change from
version to version. So nothing is searched for and blacked out: words that the engine is known to
speak of itself stay, and all else becomes a placeholder.
"""

from __future__ import annotations

import functools
import re
from pathlib import Path

from execution.engine.domain import ERROR_CHARACTERS
from execution.gate import functions

MAX_CHARACTERS = 500

PLACEHOLDER = "…"
SMALL_NUMBER = re.compile(r"[0-9]{1,2}")

# What follows names other things than the query: near misses, the text itself, stacks.
_AFTERWARDS = re.compile(r"\b(LINE \d+:|Did you mean|Candidate|Stack Trace|This error signals)")
# From the first quote to the last: a quoted value may hold quotes and line breaks of its own.
_QUOTED = re.compile(r"(['\"`$]).*\1|['\"`$].*", re.DOTALL)
_WORD = re.compile(r"[^\s()\[\]{},;]+")
_TRIMMED = ".:!?"
_RUN = re.compile(rf"{PLACEHOLDER}(?:[\s()\[\]{{}},;]*{PLACEHOLDER})+")


def redact(text: str) -> str:
    """Return `text` with every value, name, number and address in it replaced by a placeholder.

    Keeps the words of `vocabulary.txt`, the functions that queries may call and numbers of one or
    two digits. At most `MAX_CHARACTERS` long.
    """
    said = _AFTERWARDS.split(text[:ERROR_CHARACTERS], maxsplit=1)[0]
    unquoted = _QUOTED.sub(f" {PLACEHOLDER} ", said)
    kept = _WORD.sub(lambda found: _kept(found[0]), unquoted)
    short = _RUN.sub(PLACEHOLDER, " ".join(kept.split()))
    return short if len(short) <= MAX_CHARACTERS else short[: MAX_CHARACTERS - 1] + PLACEHOLDER


def _kept(word: str) -> str:
    """Return a word the engine says of itself with its punctuation, or the placeholder."""
    bare = word.strip(_TRIMMED)
    if not bare:
        return word[:1]
    known = bare.lower() in vocabulary() or SMALL_NUMBER.fullmatch(bare)
    tail = word[len(word.rstrip(_TRIMMED)) :][:1]
    return (bare if known else PLACEHOLDER) + tail


@functools.cache
def vocabulary() -> frozenset[str]:
    """Return the words that survive, in lower case."""
    text = Path(__file__).with_name("vocabulary.txt").read_text(encoding="utf-8")
    lines = (line for line in text.splitlines() if not line.startswith("#"))
    return frozenset(" ".join(lines).split()) | functions.allowed()
