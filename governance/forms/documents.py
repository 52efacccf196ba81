"""Masks and row filters as fields: their short YAML read strictly, and written for reading."""

from __future__ import annotations

import re
from collections.abc import Iterable

import yaml

from governance.domain import MaskMethod
from governance.forms.values import PARAMETERS, MaskForm, RowFilterForm, Who, WhoKind

NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,17})(\.[0-9]+)?")
WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_.@=+-]*")
NUMBERED = frozenset({MaskMethod.BUCKET, MaskMethod.CONSTANT, MaskMethod.PARTIAL})
"""The methods whose parameter may be written as a number."""

STRING, INT, FLOAT, BOOL = (f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool"))
Nodes = dict[str, yaml.Node]


class _NotAForm(Exception):
    """The text says something that has no field."""


def mask_form_of(text: str) -> MaskForm | None:
    """Return the fields of a mask's text, None where some of it has no field."""
    try:
        members = _document(text, {"columns", "method", "except", *PARAMETERS.values()})
        return _mask(members)
    except (_NotAForm, yaml.YAMLError):
        return None


def row_filter_form_of(text: str) -> RowFilterForm | None:
    """Return the fields of a row filter's text, None where some of it has no field."""
    try:
        members = _document(text, {"where", "except"})
        where = _text(members["where"]) if "where" in members else ""
        return RowFilterForm(where, _exempt(members))
    except (_NotAForm, yaml.YAMLError):
        return None


def mask_text_of(form: MaskForm) -> str:
    """Return a mask's text."""
    named = [*map(_plain, form.columns), *(f"{{tag: {_plain(tag)}}}" for tag in form.tags)]
    lines = [f"columns: [{', '.join(named)}]", f"method: {form.method}"]
    if key := PARAMETERS.get(form.method):
        is_number = form.method in NUMBERED and NUMBER.fullmatch(form.parameter)
        lines.append(f"{key}: {form.parameter if is_number else _sentence(form.parameter)}")
    return "\n".join([*lines, *_except_lines(form.exempt), ""])


def row_filter_text_of(form: RowFilterForm) -> str:
    """Return a row filter's text."""
    return "\n".join([f"where: {_sentence(form.where)}", *_except_lines(form.exempt), ""])


def _mask(members: Nodes) -> MaskForm:
    columns, tags = [], []
    for node in _items(members.get("columns")):
        if isinstance(node, yaml.MappingNode):
            tags.append(_text(_members(node, {"tag"}, exactly=True)["tag"]))
        else:
            columns.append(_text(node))
    method = _method(members)
    needed = PARAMETERS.get(method)
    if any(key in members for key in PARAMETERS.values() if key != needed):
        raise _NotAForm
    parameter = _scalar(members[needed], method) if needed and needed in members else ""
    return MaskForm(tuple(columns), tuple(tags), method, parameter, _exempt(members))


def _method(members: Nodes) -> MaskMethod:
    node = members.get("method")
    # An unquoted null is YAML's own; here it is the name of the method.
    value = node.value if isinstance(node, yaml.ScalarNode) else ""
    if value not in set(MaskMethod):
        raise _NotAForm
    return MaskMethod(value)


def _scalar(node: yaml.Node, method: MaskMethod) -> str:
    """Return a parameter as text; a number only where writing it again gives the same number."""
    if isinstance(node, yaml.ScalarNode) and node.tag in {INT, FLOAT} and method in NUMBERED:
        if NUMBER.fullmatch(node.value):
            return str(node.value)
        raise _NotAForm
    return _text(node)


def _exempt(members: Nodes) -> tuple[Who, ...]:
    return tuple(_who(node) for node in _items(members.get("except")))


def _who(node: yaml.Node) -> Who:
    members = _members(node, set(WhoKind))
    if len(members) != 1:
        raise _NotAForm
    ((kind, value),) = members.items()
    if kind == WhoKind.ATTRIBUTE:
        pairs = _members(value)
        if len(pairs) != 1:
            raise _NotAForm
        ((name, wanted),) = pairs.items()
        found = Who.parse(f"{kind}:{name}={_text(wanted)}") if "=" not in name else None
    else:
        found = Who.parse(f"{kind}:{_text(value)}")
    if found is None:
        raise _NotAForm
    return found


def _document(text: str, allowed: set[str]) -> Nodes:
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    return _members(node, allowed) if node is not None else {}


def _members(
    node: yaml.Node | None, allowed: set[str] | None = None, *, exactly: bool = False
) -> Nodes:
    if not isinstance(node, yaml.MappingNode):
        raise _NotAForm
    members: Nodes = {}
    for key, value in node.value:
        name = _text(key)
        if name in members or (allowed is not None and name not in allowed):
            raise _NotAForm
        members[name] = value
    if exactly and members.keys() != allowed:
        raise _NotAForm
    return members


def _items(node: yaml.Node | None) -> Iterable[yaml.Node]:
    if node is None:
        return []
    if not isinstance(node, yaml.SequenceNode):
        raise _NotAForm
    items: list[yaml.Node] = node.value
    return items


def _text(node: yaml.Node) -> str:
    if not isinstance(node, yaml.ScalarNode) or node.tag != STRING:
        raise _NotAForm
    return str(node.value)


def _except_lines(exempt: tuple[Who, ...]) -> list[str]:
    return ["except:", *(f"  - {_exemption(who)}" for who in exempt)] if exempt else []


def _exemption(who: Who) -> str:
    if who.kind is WhoKind.ATTRIBUTE:
        name, _, value = who.name.partition("=")
        return f"attribute: {{{_plain(name)}: {_plain(value)}}}"
    return f"{who.kind}: {_plain(who.name)}"


def _plain(text: str) -> str:
    """Return a name, quoted only where YAML would read something else than the name."""
    is_itself = WORD.fullmatch(text) and yaml.safe_load(text) == text
    return text if is_itself else _quoted(text)


def _sentence(text: str) -> str:
    """Return a longer text: quoted on one line, or as a block of lines."""
    lines = text.split("\n")
    if len(lines) > 1 and text.isascii() and all(_is_plain_line(line) for line in lines):
        return "\n".join(["|-", *(f"  {line}" for line in lines)])
    return _quoted(text)


def _is_plain_line(line: str) -> bool:
    return line.isprintable() and line.strip() != "" and line[0] != " "


def _quoted(text: str) -> str:
    written: str = yaml.safe_dump(text, default_style='"', allow_unicode=True, width=float("inf"))
    return written.strip()
