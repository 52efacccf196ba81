"""Policies as files: one YAML document a policy, so that a team may keep them in git."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import yaml

from governance.domain import PolicyKind
from problems import Problem

KEYS = ("name", "kind", "on", "description", "expires_at", "tests", "text")
REQUIRED = ("name", "kind", "text")
MAX_BYTES = 5_000_000


class PolicyFileInvalid(Problem):
    """A file of policies cannot be read; the line says where."""

    code = "policy-file-invalid"
    status = 422
    title = "The file of policies cannot be read"


@dataclass(frozen=True, slots=True)
class PolicyFile:
    """One policy as a document. `on` is empty for the workspace."""

    name: str
    kind: PolicyKind
    text: str
    on: str = ""
    description: str = ""
    expires_at: datetime | None = None
    tests: list[dict[str, Any]] = field(default_factory=list)

    def dump(self) -> str:
        """Return the document, always the same for the same policy."""
        members: dict[str, Any] = {"name": self.name, "kind": self.kind.value}
        if self.on:
            members["on"] = self.on
        if self.description:
            members["description"] = self.description
        if self.expires_at:
            members["expires_at"] = self.expires_at.astimezone(UTC).isoformat()
        if self.tests:
            members["tests"] = self.tests
        members["text"] = self.text
        return yaml.dump(members, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)


def dump(files: Iterable[PolicyFile]) -> str:
    """Return documents in order of their names, each after a `---`."""
    ordered = sorted(files, key=lambda one: one.name)
    return "".join(f"---\n{one.dump()}" for one in ordered)


def load(text: str) -> list[PolicyFile]:
    """Return the policies of a text, each name once.

    Raises `PolicyFileInvalid` with the line of what cannot be read.
    """
    if len(text.encode()) > MAX_BYTES:
        message = f"The files have more than {MAX_BYTES // 10**6} MB together."
        raise PolicyFileInvalid(message, hint="Apply them in several parts, without prune.")
    found: dict[str, PolicyFile] = {}
    for line, members in _documents(text):
        one = _policy(line, members)
        if one.name in found:
            raise _invalid(line, f"The policy {one.name} is there twice.")
        found[one.name] = one
    return list(found.values())


def load_tests(text: str) -> list[Any]:
    """Return the tests of a YAML list, in which `on` is a word.

    Raises `PolicyFileInvalid` with the line of what cannot be read.
    """
    found = [members for _, members in _nodes(text)]
    tests = found[0] if found else []
    return _tests(1, tests)


def dump_tests(tests: Iterable[object]) -> str:
    """Return tests as a YAML list, a line each; nothing for none."""
    return "".join(f"- {_flow(test)}\n" for test in tests)


def _flow(test: object) -> str:
    written: str = yaml.dump(
        test,
        Dumper=_LineDumper,
        default_flow_style=True,
        sort_keys=False,
        allow_unicode=True,
        width=float("inf"),
    )
    return written.removesuffix("...\n").strip()


def diff(before: PolicyFile | None, after: PolicyFile | None) -> str:
    """Return a unified diff of two documents; None is a policy that is not there."""
    name = next(one.name for one in (before, after) if one)
    return "".join(
        difflib.unified_diff(
            before.dump().splitlines(keepends=True) if before else [],
            after.dump().splitlines(keepends=True) if after else [],
            f"in force/{name}.yaml" if before else "/dev/null",
            f"files/{name}.yaml" if after else "/dev/null",
        )
    )


class _Loader(yaml.SafeLoader):
    """Reads `on` as a word: only true and false are truth values, as in YAML 1.2; nor are dates."""


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as blocks, so that a diff shows the line that changed."""


class _LineDumper(_Dumper):
    """Writes a value on one line."""


BOOLEAN = "tag:yaml.org,2002:bool"
WORDS = frozenset({BOOLEAN, "tag:yaml.org,2002:timestamp"})
for _kind in (_Loader, _Dumper):
    _kind.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag not in WORDS]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    _kind.add_implicit_resolver(BOOLEAN, re.compile(r"true|false|True|False"), list("tfTF"))


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    breaks = '"' if isinstance(dumper, _LineDumper) else "|"
    style = breaks if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)
_Dumper.ignore_aliases = lambda *_: True  # type: ignore[method-assign]


def _documents(text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for line, members in _nodes(text):
        if not isinstance(members, dict):
            raise _invalid(line, "A policy is a mapping with name, kind and text.")
        yield line, members


def _nodes(text: str) -> Iterator[tuple[int, Any]]:
    """Return each document with the line it begins at; aliases are refused, they can explode."""
    try:
        for token in yaml.scan(text, Loader=yaml.SafeLoader):
            if isinstance(token, yaml.AliasToken):
                raise _invalid(token.start_mark.line + 1, "Aliases (*name) are not read here.")
        loader = _Loader(text)
        while loader.check_node():
            node = loader.get_node()
            members = None if node is None else loader.construct_document(node)
            if node is not None and members is not None:
                yield node.start_mark.line + 1, members
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        raise _invalid(
            mark.line + 1 if mark else 1, f"This is not YAML: {error.problem}."
        ) from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise _invalid(1, f"This is not YAML: {str(error)[:200]}.") from None


def _policy(line: int, members: dict[str, Any]) -> PolicyFile:
    if unknown := sorted(map(str, members.keys() - set(KEYS))):
        raise _invalid(line, f"A policy has no {', '.join(unknown)}; it has {', '.join(KEYS)}.")
    if missing := [key for key in REQUIRED if not isinstance(members.get(key), str)]:
        raise _invalid(line, f"{', '.join(missing)} must be there, as text.")
    kinds = [kind.value for kind in PolicyKind]
    if members["kind"] not in kinds:
        raise _invalid(line, f"`kind` is one of {', '.join(kinds)}, not {members['kind']!r}.")
    return PolicyFile(
        name=members["name"],
        kind=PolicyKind(members["kind"]),
        text=members["text"],
        on=_optional(line, members, "on"),
        description=_optional(line, members, "description").strip(),
        expires_at=_time(line, members.get("expires_at")),
        tests=_tests(line, members.get("tests") or []),
    )


def _tests(line: int, tests: object) -> list[dict[str, Any]]:
    if not isinstance(tests, list) or not all(isinstance(test, dict) for test in tests):
        raise _invalid(line, "`tests` is a list of mappings.")
    try:
        json.dumps(tests)
    except TypeError:
        message = "`tests` has a value that is no JSON: quote it."
        raise _invalid(line, message) from None
    return tests


def _optional(line: int, members: dict[str, Any], key: str) -> str:
    given = members.get(key) or ""
    if not isinstance(given, str):
        raise _invalid(line, f"`{key}` is text.")
    return given


def _time(line: int, given: object) -> datetime | None:
    if given is None:
        return None
    try:
        found = datetime.fromisoformat(str(given))
    except ValueError:
        raise _invalid(line, "`expires_at` is a time: 2026-12-31T18:00:00+00:00.") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _invalid(line: int, message: str) -> PolicyFileInvalid:
    return PolicyFileInvalid(f"Line {line}: {message}", hint="Nothing was changed.", line=line)
