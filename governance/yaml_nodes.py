"""YAML read as marked nodes, never as objects: every value knows where in the text it stands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

import yaml

from governance.findings import Finding
from governance.text import Mention

MAX_CHARACTERS = 64 * 1024
MAX_NODES = 5_000
MAX_DEPTH = 12

Scalar = yaml.nodes.ScalarNode
Node = yaml.nodes.Node


class Unreadable(ValueError):
    """The text is not YAML that a policy may be written in; carries the finding."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.message)
        self.finding = finding


def place(node: Node) -> tuple[int, int]:
    """Return the line and column at which a node begins, from 1."""
    return node.start_mark.line + 1, node.start_mark.column + 1


def at(node: Node, message: str, hint: str = "") -> Finding:
    """Return an error at a node."""
    return Finding(*place(node), message, hint)


def mention(kind: str, node: Scalar) -> Mention:
    """Return a scalar as the name of something."""
    start, end = node.start_mark.index, node.end_mark.index
    return Mention(kind, str(node.value), start, end, "yaml")


def composed(text: str) -> Node | None:
    """Return the root of the one document in `text`; None where it is empty.

    Raises `Unreadable` on what is no YAML, is too big, or has anchors or tags.
    """
    if len(text) > MAX_CHARACTERS:
        raise Unreadable(Finding(1, 1, f"The text is longer than {MAX_CHARACTERS:,} characters."))
    try:
        _refuse_tricks(text)
        return yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        message = f"This is not YAML: {error.problem or error.context}."
        raise Unreadable(Finding(line, column, message)) from error
    except yaml.YAMLError as error:
        raise Unreadable(Finding(1, 1, f"This is not YAML: {error}.")) from error


def _refuse_tricks(text: str) -> None:
    depth = 0
    for count, event in enumerate(yaml.parse(text, Loader=yaml.SafeLoader)):
        mark = event.start_mark
        where = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        if isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
            depth += 1
        elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
            depth -= 1
        anchored = getattr(event, "anchor", None) or isinstance(event, yaml.AliasEvent)
        if anchored or getattr(event, "tag", None) not in {None, "!"}:
            message = "Anchors, aliases and tags are not read in policies."
            hint = "Write the value out, without & * and !."
            raise Unreadable(Finding(*where, message, hint))
        if count > MAX_NODES or depth > MAX_DEPTH:
            raise Unreadable(Finding(*where, "This is too much YAML."))


@dataclass(slots=True)
class Reader:
    """Reads the keys of one mapping and collects what is wrong."""

    node: Node | None
    findings: list[Finding] = field(default_factory=list)

    def mapping(self, known: Sequence[str], required: Sequence[str]) -> Mapping[str, Node]:
        """Return the values by key; unknown, doubled and missing keys are findings."""
        if not isinstance(self.node, yaml.MappingNode):
            where = place(self.node) if self.node else (1, 1)
            message = f"Expected the keys {', '.join(known)}."
            self.findings.append(Finding(*where, message, f"Begin with {known[0]}:"))
            return {}
        found: dict[str, Node] = {}
        for key, value in self.node.value:
            name = str(key.value) if isinstance(key, Scalar) else ""
            if name not in known:
                near = get_close_matches(name, known, n=1)
                hint = f"Did you mean {near[0]}?" if near else f"Use {', '.join(known)}."
                self.findings.append(at(key, f"There is no key {name!r} here.", hint))
            elif name in found:
                self.findings.append(at(key, f"The key {name} is there twice.", "Remove one."))
            else:
                found[name] = value
        for name in required:
            # A key that is misspelt is not also missing.
            if name not in found and not self.findings:
                self.findings.append(at(self.node, f"The key {name} is missing."))
        return found

    def scalar(self, node: Node, what: str) -> Scalar | None:
        """Return a node that must be one value, not empty."""
        if isinstance(node, Scalar) and str(node.value).strip():
            return node
        self.findings.append(at(node, f"Expected {what}."))
        return None

    def items(self, node: Node, what: str) -> Iterator[Node]:
        """Return the items of a node that must be a list."""
        if isinstance(node, yaml.SequenceNode):
            yield from node.value
        else:
            self.findings.append(at(node, f"Expected a list of {what}.", "Write [a, b]."))

    def pair(self, node: Node, known: Sequence[str]) -> tuple[str, Node] | None:
        """Return the key and value of a mapping that must have exactly one of the keys."""
        if isinstance(node, yaml.MappingNode) and len(node.value) == 1:
            key, value = node.value[0]
            if isinstance(key, Scalar) and key.value in known:
                return str(key.value), value
        forms = ", ".join(f"{{{name}: …}}" for name in known)
        self.findings.append(at(node, "This is not understood here.", f"Write one of {forms}."))
        return None


def characters(text: str, node: Scalar) -> list[int] | None:
    """Return where each character of a scalar's value stands in the text.

    None where that cannot be said: escapes other than quotes and backslashes.
    """
    raw, style = text[node.start_mark.index : node.end_mark.index], node.style or ""
    position = 1 if style in {"'", '"'} else 0
    if style in {"|", ">"}:
        position = raw.index("\n") + 1 if "\n" in raw else len(raw)
    found: list[int] = []
    for character in str(node.value):
        if character.isspace():
            found.append(node.start_mark.index + position)
            continue
        while position < len(raw) and raw[position].isspace():
            position += 1
        step = 2 if _is_escaped(raw, position, style, character) else 1
        if raw[position + step - 1 : position + step] != character:
            return None
        found.append(node.start_mark.index + position)
        position += step
    return found


def _is_escaped(raw: str, position: int, style: str, character: str) -> bool:
    if style == "'":
        return character == "'" and raw[position : position + 2] == "''"
    return style == '"' and raw[position] == "\\" and character in '"\\'
