"""Which tags count for what: reads of assignments, inherited ones and those of columns included."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from django.db.models import Q

from governance.domain import Securable, SecurableColumn
from governance.models import TagAssignment

Assigned = Mapping[str, frozenset[str]]
"""Tags by the key of what bears them itself. A tag with a value is in twice: `a` and `a=b`."""

NO_TAGS: frozenset[str] = frozenset()


def spelled(tag: str, value: str) -> frozenset[str]:
    """Return how policies may name one assignment: by its tag, and by tag and value."""
    return frozenset({tag, f"{tag}={value}"}) if value else frozenset({tag})


def shown(tags: Iterable[str]) -> list[str]:
    """Return tags for people: sorted, and a tag with a value only with its value."""
    found = set(tags)
    return sorted(found - {tag.partition("=")[0] for tag in found if "=" in tag})


def assignments(securables: Iterable[Securable], *, with_columns: bool = False) -> Assigned:
    """Return the tags of the securables and of all above them, in one statement.

    `with_columns` reads those of the columns of the tables among them too.
    """
    wanted = list(securables)
    condition = Q(securable_key__in={n.key for s in wanted for n in (s, *s.ancestors)})
    if with_columns:
        condition |= Q(table_key__in={s.key for s in wanted})
    found: dict[str, frozenset[str]] = {}
    rows = TagAssignment.objects.filter(condition)
    for key, tag, value in rows.values_list("securable_key", "tag", "value"):
        found[key] = found.get(key, NO_TAGS) | spelled(tag, value)
    return found


def inherited(securable: Securable, assigned: Assigned) -> frozenset[str]:
    """Return the securable's tags with those of everything above it."""
    chain = (securable, *securable.ancestors)
    return NO_TAGS.union(*(assigned.get(node.key, NO_TAGS) for node in chain))


def of_columns(table: Securable, assigned: Assigned) -> dict[str, frozenset[str]]:
    """Return the tags that count for each column of a table, by the column's key.

    A column has its own, its table's with all that inherits, and those of the structs it is in.
    """
    from_table = inherited(table, assigned)
    by_path: dict[tuple[str, ...], frozenset[str]] = {}
    found: dict[str, frozenset[str]] = {}
    for column in table.columns:
        above = by_path.get(column.path[:-1], from_table)
        found[column.key] = by_path[column.path] = above | assigned.get(column.key, NO_TAGS)
    return found


def bears_on_column(table: Securable, assigned: Assigned, tag: str) -> bool:
    """Tell whether any column of a table bears the tag itself."""
    return any(tag in assigned.get(column.key, NO_TAGS) for column in table.columns)


def tags_of(securables: Iterable[Securable]) -> dict[str, frozenset[str]]:
    """Return the tags that count for each securable, inherited ones included, by its key."""
    wanted = list(securables)
    assigned = assignments(wanted)
    return {securable.key: inherited(securable, assigned) for securable in wanted}


def assigned_tags_of(securables: Iterable[Securable]) -> dict[str, frozenset[str]]:
    """Return the tags on each securable itself, without inherited ones, by its key."""
    wanted = list(securables)
    assigned = assignments(wanted)
    return {securable.key: assigned.get(securable.key, NO_TAGS) for securable in wanted}


def column_tags_of(tables: Iterable[Securable]) -> dict[str, frozenset[str]]:
    """Return the tags that count for every column of the tables, by the column's key."""
    wanted = list(tables)
    assigned = assignments(wanted, with_columns=True)
    return {key: tags for table in wanted for key, tags in of_columns(table, assigned).items()}


def own_column_tags(table: Securable) -> dict[str, frozenset[str]]:
    """Return the tags that the columns of one table bear themselves, by the column's key."""
    assigned = assignments([table], with_columns=True)
    columns: Iterable[SecurableColumn] = table.columns
    return {column.key: assigned.get(column.key, NO_TAGS) for column in columns}
