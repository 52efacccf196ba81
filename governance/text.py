"""Names in the text of policies: where they stand, and how a new name is put in their place."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

CEDAR = re.compile(
    r"(?P<space>\s+|//[^\n\r]*)"
    r'|(?P<string>"(?:\\.|[^"\\])*")'
    r"|(?P<name>[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<other>::|&&|\|\||[=!<>]=|.)",
    re.DOTALL,
)
ESCAPE = re.compile(r"\\(?:u\{([0-9a-fA-F]{1,6})\}|x([0-9a-fA-F]{2})|(.))", re.DOTALL)
ESCAPED = {"0": "\0", "n": "\n", "r": "\r", "t": "\t"}

BRACKETS = {"(": 1, "[": 1, "{": 1, ")": -1, "]": -1, "}": -1}
MAX_BRACKETS = 30
MAX_JOINED = {"if": 30, "&&": 50, "||": 50, "+": 30, "-": 30, "*": 30, ".": 300}
"""How often a word may stand in one policy: each may put the rest one level deeper."""

KINDS = {
    "Catalog": "catalog",
    "Group": "group",
    "Organization": "organization",
    "ServiceAccount": "service_account",
    "Table": "table",
    "User": "user",
    "Workspace": "workspace",
}
"""What Cedar's entity types that people name are called in references."""

PLAIN_SQL = re.compile(r"[a-z_][a-z0-9_]*")
PLAIN_YAML = re.compile(r"[A-Za-z_][A-Za-z0-9_.@ -]*")


@dataclass(frozen=True, slots=True)
class Mention:
    """A name in a text, at the characters from `start` up to `end`, quotes included.

    `form` says how it is written there: `cedar`, `yaml`, or `sql` with the quotes around the SQL.
    """

    kind: str
    name: str
    start: int
    end: int
    form: str

    def reference(self, key: str, keys: Sequence[str] = ()) -> dict[str, Any]:
        """Return the mention as it is kept beside the text, with what it names."""
        kept: dict[str, Any] = {
            "kind": self.kind, "key": key, "name": self.name,
            "start": self.start, "end": self.end, "form": self.form,
        }  # fmt: skip
        return kept | ({"keys": list(keys)} if keys else {})


@dataclass(frozen=True, slots=True)
class Token:
    """A word of Cedar's syntax; comments and white space are none."""

    kind: str
    text: str
    start: int

    @property
    def end(self) -> int:
        """Return where it ends."""
        return self.start + len(self.text)


def cedar_tokens(text: str) -> list[Token]:
    """Return the words of a Cedar text, in order."""
    found = (Token(str(m.lastgroup), m.group(), m.start()) for m in CEDAR.finditer(text))
    return [token for token in found if token.kind != "space"]


def too_deep(tokens: Iterable[Token]) -> Token | None:
    """Return the word at which a Cedar text is nested too deeply; None where it is not.

    To be asked before Cedar reads a text: its parser recurses, and some hundred levels end the
    process, not the call.
    """
    depth, joined = 0, dict.fromkeys(MAX_JOINED, 0)
    for token in tokens:
        depth += BRACKETS.get(token.text, 0)
        if token.text in joined:
            joined[token.text] += 1
        elif token.text == ";" and depth <= 0:
            depth, joined = 0, dict.fromkeys(MAX_JOINED, 0)
        if depth > MAX_BRACKETS or joined.get(token.text, 0) > MAX_JOINED.get(token.text, 0):
            return token
    return None


def cedar_mentions(text: str) -> Iterator[Mention]:
    """Return the entities and the tags that a Cedar text names."""
    tokens = cedar_tokens(text)
    for position, token in enumerate(tokens):
        if token.kind != "string":
            continue
        before = [one.text for one in tokens[max(0, position - 8) : position]]
        if before[-1:] == ["::"] and len(before) > 1 and before[-2] in KINDS:
            kind = KINDS[before[-2]]
        elif _is_tag(before):
            kind = "tag"
        else:
            continue
        yield Mention(kind, unescaped(token.text), token.start, token.end, "cedar")


def columns_named(text: str) -> Iterator[Token]:
    """Return where a Cedar text names a column as an entity, which has no name in Cedar."""
    tokens = cedar_tokens(text)
    for entity, dots, name in zip(tokens, tokens[1:], tokens[2:], strict=False):
        if entity.text == "Column" and dots.text == "::" and name.kind == "string":
            yield entity


def _is_tag(before: Sequence[str]) -> bool:
    """Tell whether what stands before a string is `resource.tags.contains(`, or a list of it."""
    opening = ["tags", ".", "contains", "("]
    if list(before[-4:]) == opening:
        return True
    joined = "".join(before)
    return bool(re.search(r'tags\.contains(All|Any)\(\[("[^"]*",)*$', joined))


def unescaped(literal: str) -> str:
    """Return the text that a Cedar string means."""

    def one(match: re.Match[str]) -> str:
        code, byte, plain = match.groups()
        if code or byte:
            return chr(int(code or byte, 16))
        return ESCAPED.get(plain, plain)

    return ESCAPE.sub(one, literal[1:-1])


def replaced(text: str, references: Iterable[Mapping[str, Any]], names: Mapping[str, str]) -> str:
    """Return the text with the names that things have now; `names` are by key.

    A name that is unchanged stays as it was written, and so does one that nothing bears any more.
    """
    for one in sorted(references, key=lambda one: -int(one["start"])):
        current = names.get(one["key"])
        if current is not None and current.lower() != str(one["name"]).lower():
            text = text[: one["start"]] + _written(current, one["form"]) + text[one["end"] :]
    return text


def _written(name: str, form: str) -> str:
    """Return a name as it is written in Cedar, in YAML, or in SQL within YAML."""
    match form:
        case "cedar":
            return json.dumps(name, ensure_ascii=False)
        case "yaml":
            return name if _is_plain(name) else json.dumps(name, ensure_ascii=False)
        case _:
            return ".".join(_sql_name(part, form.removeprefix("sql")) for part in name.split("."))


def _is_plain(name: str) -> bool:
    if not PLAIN_YAML.fullmatch(name) or name.endswith(" "):
        return False
    node = yaml.compose(name, Loader=yaml.SafeLoader)
    return node is not None and node.tag == "tag:yaml.org,2002:str"


def _sql_name(part: str, around: str) -> str:
    if PLAIN_SQL.fullmatch(part):
        return part
    quote = '\\"' if around == '"' else '"'
    return quote + part.replace('"', quote * 2).replace("'", "''" if around == "'" else "'") + quote
