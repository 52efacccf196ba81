"""Masks and row filters as their authors write them: YAML, read into values with what is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from yaml.nodes import MappingNode

from governance.domain import MaskMethod
from governance.findings import Finding
from governance.fitting import Mask
from governance.text import Mention
from governance.yaml_nodes import Node, Reader, Scalar, Unreadable, at, composed, mention
from workspaces.domain import WorkspaceRole

WHO = ("group", "user", "service_account", "role", "attribute")
PARAMETERS = {
    MaskMethod.BUCKET: "width",
    MaskMethod.CONSTANT: "value",
    MaskMethod.DATE_TRUNC: "unit",
    MaskMethod.EXPRESSION: "sql",
    MaskMethod.PARTIAL: "keep_last",
}
"""The one parameter of each method that has one."""

MASK_KEYS = ("columns", "method", "value", "keep_last", "unit", "width", "sql", "except")
ROW_FILTER_KEYS = ("where", "except")
MAX_LISTED = 500

Typed = TypeVar("Typed", int, float)


@dataclass(frozen=True, slots=True)
class Exempt:
    """An entry of `except`: someone by name, a role, or an attribute with its value."""

    kind: str
    name: str
    mention: Mention | None
    node: Node


@dataclass(frozen=True, slots=True)
class MaskDocument:
    """A mask: which columns, by name or tag, how, and for whom not."""

    columns: tuple[Scalar, ...]
    tags: tuple[Scalar, ...]
    mask: Mask
    exempt: tuple[Exempt, ...]
    nodes: dict[str, Node] = field(compare=False)
    """The values of the document's keys, to point at."""


@dataclass(frozen=True, slots=True)
class RowFilterDocument:
    """A row filter: the predicate, and whom it does not hold for."""

    where: Scalar
    exempt: tuple[Exempt, ...]


def read_mask(text: str) -> tuple[MaskDocument | None, list[Finding]]:
    """Return the mask in `text`, None where there is none, and what is wrong with its form."""
    try:
        reader = Reader(composed(text))
    except Unreadable as unreadable:
        return None, [unreadable.finding]
    nodes = dict(reader.mapping(MASK_KEYS, ["columns", "method"]))
    columns, tags = _columns(reader, nodes.get("columns"))
    mask = _mask(reader, nodes)
    exempt = _exempt(reader, nodes.get("except"))
    if mask is None or reader.findings:
        return None, reader.findings
    return MaskDocument(columns, tags, mask, exempt, nodes), []


def read_row_filter(text: str) -> tuple[RowFilterDocument | None, list[Finding]]:
    """Return the row filter in `text`, None where there is none, and what is wrong."""
    try:
        reader = Reader(composed(text))
    except Unreadable as unreadable:
        return None, [unreadable.finding]
    nodes = reader.mapping(ROW_FILTER_KEYS, ["where"])
    where = reader.scalar(nodes["where"], "an SQL predicate") if "where" in nodes else None
    exempt = _exempt(reader, nodes.get("except"))
    if where is None or reader.findings:
        return None, reader.findings
    return RowFilterDocument(where, exempt), []


def _columns(reader: Reader, node: Node | None) -> tuple[tuple[Scalar, ...], tuple[Scalar, ...]]:
    if node is None:
        return (), ()
    columns, tags = [], []
    for item in reader.items(node, "columns"):
        if isinstance(item, Scalar):
            columns.append(reader.scalar(item, "the name of a column"))
        elif found := reader.pair(item, ["tag"]):
            tags.append(reader.scalar(found[1], "the name of a tag"))
    if not columns and not tags and not reader.findings:
        reader.findings.append(at(node, "No column is named.", "Write [email], or [{tag: …}]."))
    if len(columns) + len(tags) > MAX_LISTED:
        reader.findings.append(at(node, f"These are more than {MAX_LISTED} columns."))
    return tuple(filter(None, columns)), tuple(filter(None, tags))


def _mask(reader: Reader, nodes: dict[str, Node]) -> Mask | None:
    """Return the method with its parameter; others' parameters are findings."""
    if "method" not in nodes or (written := reader.scalar(nodes["method"], "a method")) is None:
        return None
    known = [method.value for method in MaskMethod]
    if written.value not in known:
        hint = f"Use one of {', '.join(known)}."
        reader.findings.append(at(written, f"There is no method {written.value!r}.", hint))
        return None
    method = MaskMethod(written.value)
    own = PARAMETERS.get(method, "")
    for name in {*PARAMETERS.values()} & nodes.keys() - {own}:
        message = f"The method {method.value} has no parameter {name}."
        reader.findings.append(at(nodes[name], message, "Remove it, or use another method."))
    if not own:
        return Mask(method)
    if own not in nodes:
        reader.findings.append(at(written, f"The method {method.value} needs the key {own}."))
        return None
    return _with_parameter(reader, method, nodes[own])


def _with_parameter(reader: Reader, method: MaskMethod, node: Node) -> Mask | None:
    value = reader.scalar(node, "a value") if method is not MaskMethod.CONSTANT else node
    if not isinstance(value, Scalar):
        if value is not None:
            reader.findings.append(at(node, "Expected one value."))
        return None
    match method:
        case MaskMethod.CONSTANT:
            return Mask(method, value=_plain(value))
        case MaskMethod.PARTIAL:
            number = _number(value, int)
            if number is None:
                reader.findings.append(at(value, "Expected a whole number.", "Write 4."))
            return Mask(method, keep_last=number)
        case MaskMethod.DATE_TRUNC:
            return Mask(method, unit=str(value.value))
        case MaskMethod.BUCKET:
            return Mask(method, width=str(value.value))
        case _:
            return Mask(method, sql=str(value.value))


def _plain(node: Scalar) -> str | int | float | bool | None:
    """Return a scalar as YAML's types have it; dates and all else are text."""
    text = str(node.value)
    match node.tag.rpartition(":")[2]:
        case "null":
            return None
        case "bool":
            return text.lower() in {"true", "yes", "on"}
        case "int":
            number = _number(node, int)
            return text if number is None else number
        case "float":
            decimal = _number(node, float)
            return text if decimal is None else decimal
        case _:
            return text


def _number(node: Scalar, kind: type[Typed]) -> Typed | None:
    try:
        return kind(str(node.value))
    except ValueError:
        return None


def _exempt(reader: Reader, node: Node | None) -> tuple[Exempt, ...]:
    if node is None:
        return ()
    items = list(reader.items(node, "those it does not hold for"))
    if len(items) > MAX_LISTED:
        reader.findings.append(at(node, f"These are more than {MAX_LISTED}: use a group."))
        return ()
    found = (_one_exempt(reader, item) for item in items)
    return tuple(one for one in found if one is not None)


def _one_exempt(reader: Reader, item: Node) -> Exempt | None:
    pair = reader.pair(item, WHO)
    if pair is None:
        return None
    kind, node = pair
    if kind == "attribute":
        return _attribute(reader, node)
    value = reader.scalar(node, "a name")
    if value is None:
        return None
    roles = [role.value for role in WorkspaceRole]
    if kind == "role" and value.value not in roles:
        hint = f"Use one of {', '.join(roles)}."
        reader.findings.append(at(value, f"There is no role {value.value!r}.", hint))
        return None
    named = None if kind == "role" else mention(kind, value)
    return Exempt(kind, str(value.value), named, value)


def _attribute(reader: Reader, node: Node) -> Exempt | None:
    """Return `{department: hr}` as `department=hr`."""
    entries: Sequence[tuple[Node, Node]] = node.value if isinstance(node, MappingNode) else []
    if len(entries) == 1:
        name, value = entries[0]
        if isinstance(name, Scalar) and isinstance(value, Scalar) and value.value:
            return Exempt("attribute", f"{name.value}={value.value}", None, node)
    reader.findings.append(at(node, "Expected one attribute.", "Write {department: hr}."))
    return None
