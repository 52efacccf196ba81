"""Which names catalogs, schemas and tables may have, so that SQL never needs to guess."""

from __future__ import annotations

import re

from problems import Problem

IDENTIFIER = re.compile(r"[a-z][a-z0-9_]{0,62}")
RESERVED_CATALOGS = frozenset({"lake", "main", "memory", "system", "temp"})
RESERVED_SCHEMAS = frozenset({"information_schema", "pg_catalog"})
RESERVED_PREFIXES = ("ducklake_", "pg_", "upend_")


class InvalidName(Problem):
    """The name cannot be used; nothing was changed."""

    code = "invalid-name"
    status = 422
    title = "The name cannot be used"

    def __init__(self, detail: str, *, hint: str, kind: str) -> None:
        """Say of which kind of thing it was to be the name: a catalog, a schema or a table."""
        super().__init__(detail, hint=hint)
        self.kind = kind


def check_catalog_name(name: str) -> None:
    """Raise `InvalidName` unless a catalog may be called so."""
    _check("catalog", name, RESERVED_CATALOGS)


def check_schema_name(name: str) -> None:
    """Raise `InvalidName` unless a schema may be called so."""
    _check("schema", name, RESERVED_SCHEMAS)


def check_table_name(name: str) -> None:
    """Raise `InvalidName` unless a table may be called so."""
    _check("table", name, frozenset())


def _check(kind: str, name: str, reserved: frozenset[str]) -> None:
    if not IDENTIFIER.fullmatch(name):
        raise InvalidName(
            f"{name[:80]!r} cannot be the name of a {kind}.",
            hint="Use up to 63 lower-case letters, digits and underscores, a letter first.",
            kind=kind,
        )
    if name in reserved or name.startswith(RESERVED_PREFIXES):
        raise InvalidName(f"{name!r} is reserved.", hint="Choose another name.", kind=kind)
