"""What the database knows that decisions need, all of it at one moment and in one statement.

A decision is asked for at every request, and each statement is a round trip and Python beside it:
four of them cost more than Cedar.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import LiteralString
from uuid import UUID

from accounts import statements
from accounts.domain import Actor, PrincipalKind
from governance.bundle import Bundle, bundle_at
from governance.domain import Request, Securable
from governance.entities import Facts, Owner
from governance.rules import GUARDED
from governance.tags import NO_TAGS, spelled
from workspaces.domain import WorkspaceRole


class Part(StrEnum):
    """What a row says."""

    LOCAL_MODE = "local_mode"
    OWNER = "owner"
    POLICIES = "policies"
    ROLE = "role"
    TAG = "tag"


STATEMENT = """
SELECT 'role', m.workspace_id::text, m.role::text, '', '' FROM workspaces_membership m
WHERE m.workspace_id = ANY({workspaces}::uuid[]) AND (m.user_id = %(user)s
      OR m.service_account_id = %(service_account)s OR m.group_id = ANY({groups}::uuid[]))
UNION ALL
SELECT 'tag', t.securable_key::text, t.tag::text, t.value::text, '' FROM governance_tagassignment t
WHERE t.securable_key = ANY({keys}) {tags}
UNION ALL
SELECT 'owner', o.securable_key::text, u.id::text,
       coalesce(nullif(trim(u.first_name || ' ' || u.last_name), ''), u.email), u.email::text
FROM governance_ownership o JOIN accounts_user u ON u.id = o.owner_id
WHERE o.securable_key = ANY({keys}) {owners}
UNION ALL
SELECT 'policies', p.workspace_id::text, p.version::text, p.xmin::text, ''
FROM governance_policyset p WHERE p.workspace_id = ANY({workspaces}::uuid[])
UNION ALL
SELECT 'local_mode', '', '', '', '' FROM accounts_organization g
WHERE g.id = %(organization)s AND g.local_mode_enabled
"""

OF_COLUMNS = " OR t.table_key = ANY({tables})"
BELOW = " OR {0}.securable_key ~>=~ %(first)s AND {0}.securable_key ~<~ %(beyond)s"
"""What begins with the same characters, in a form that finds the index whatever they are."""

AFTER_SLASH = chr(ord("/") + 1)
SEPARATOR = "\x1f"
LISTS = {
    name: f"string_to_array(%({name})s, E'\\x1f')"
    for name in ("groups", "keys", "tables", "workspaces")
}
"""Lists go as text: an array's every element would be looked at in Python, at each decision."""

_Value = str | UUID | None


@dataclass(frozen=True, slots=True)
class Known:
    """What the database knew, at one moment, of an actor and of some securables."""

    facts: Facts
    bundles: Mapping[UUID, Bundle]


def know(actor: Actor, requests: Sequence[Request], *, tables_of: Securable | None = None) -> Known:
    """Return what the database knows now of all that the requests are about, in one statement.

    With a catalog in `tables_of`, the tags and owners of all its tables as well.
    """
    securables = [request.securable for request in requests]
    reads_columns = any(r.action in GUARDED and r.securable.columns for r in requests)
    text = _statement(reads_columns, tables_of is not None)
    return _known(statements.rows(text, _parameters(actor, securables, tables_of)))


def below(catalog: Securable) -> str:
    """Return what the keys of a catalog's tables begin with."""
    return f"{catalog.key.replace('catalog:', 'table:', 1)}/"


@cache
def _statement(reads_columns: bool, reads_tables: bool) -> LiteralString:
    tags = (OF_COLUMNS if reads_columns else "") + (BELOW.format("t") if reads_tables else "")
    owners = BELOW.format("o") if reads_tables else ""
    return STATEMENT.format(tags=tags.format(**LISTS), owners=owners, **LISTS)


def _parameters(
    actor: Actor, securables: Sequence[Securable], tables_of: Securable | None
) -> dict[str, _Value]:
    is_user = actor.kind is PrincipalKind.USER
    is_service_account = actor.kind is PrincipalKind.SERVICE_ACCOUNT
    first = below(tables_of) if tables_of else ""
    return {
        "workspaces": _list(s.workspace_id for s in securables if s.workspace_id),
        "user": actor.id if is_user else None,
        "service_account": actor.id if is_service_account else None,
        "groups": _list(actor.group_ids if is_user or is_service_account else ()),
        "organization": actor.organization_id,
        "keys": _list(node.key for s in securables for node in (s, *s.ancestors)),
        "tables": _list(s.key for s in securables),
        "first": first,
        "beyond": f"{first[:-1]}{AFTER_SLASH}",
    }


def _list(values: Iterable[UUID | str]) -> str:
    return SEPARATOR.join(map(str, dict.fromkeys(values)))


def _known(rows: Sequence[tuple[str, str, str, str, str]]) -> Known:
    roles: dict[UUID, set[WorkspaceRole]] = {}
    tags: dict[str, frozenset[str]] = {}
    owners: dict[str, Owner] = {}
    bundles: dict[UUID, Bundle] = {}
    is_local = False
    for part, key, first, second, third in rows:
        match Part(part):
            case Part.ROLE:
                roles.setdefault(UUID(key), set()).add(WorkspaceRole(first))
            case Part.TAG:
                tags[key] = tags.get(key, NO_TAGS) | spelled(first, second)
            case Part.OWNER:
                owners[key] = Owner(UUID(first), second, third)
            case Part.POLICIES:
                bundles[UUID(key)] = bundle_at(UUID(key), (int(first), second))
            case Part.LOCAL_MODE:
                is_local = True
    held = {where: frozenset(found) for where, found in roles.items()}
    return Known(Facts(held, tags, owners, is_local), bundles)
