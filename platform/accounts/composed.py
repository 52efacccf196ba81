"""Asks for rows by a statement that Django composed once, where it is asked at every request.

Composing a SELECT takes Django as long as PostgreSQL's answer, or twice that, and what is asked
at every request differs in its values only. Planning it takes PostgreSQL longer than the answer
too, so that each connection keeps its plan.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from threading import Lock
from typing import Any, Generic, TypeVar
from uuid import UUID, uuid4

from django.core.exceptions import EmptyResultSet
from django.db import models
from django.db.models.query import get_related_populators

from accounts import statements
from accounts.domain import Actor

Row = TypeVar("Row", bound=models.Model)
Value = str | UUID
KEPT = 512
"""More shapes than this are nobody's plan: what is beyond is composed each time."""


class NotComposable(RuntimeError):
    """A value is not in the statement as it was given: it cannot be asked with another one."""


@dataclass(frozen=True)
class _Composed(Generic[Row]):
    """One statement, the names of its values in their places, and how rows become objects."""

    compiler: Any
    text: str
    values: tuple[tuple[str, Any], ...]
    """By place: the name of the value that goes there, or `""` and what is always there."""

    def ask(self, given: Mapping[str, Value]) -> list[Row]:
        """Return the rows."""
        arguments = [given[name] if name else constant for name, constant in self.values]
        found: Any = statements.rows(self.text, arguments)
        if self._converters:
            found = self.compiler.apply_converters(found, self._converters)
        return [self._object(row) for row in found]

    def _object(self, row: Any) -> Row:
        start, end, names, populators = self._shape
        made = self.compiler.klass_info["model"].from_db(self.compiler.using, names, row[start:end])
        for populator in populators:
            populator.populate(row, made)
        return made  # type: ignore[no-any-return]  # Django's compiler is untyped

    @cached_property
    def _converters(self) -> Any:
        return self.compiler.get_converters([column for column, *_ in self.compiler.select])

    @cached_property
    def _shape(self) -> tuple[int, int, list[str], list[Any]]:
        select, info = self.compiler.select, self.compiler.klass_info
        start, end = info["select_fields"][0], info["select_fields"][-1] + 1
        names = [column.target.attname for column, *_ in select[start:end]]
        # The stubs are of a later Django, which asks for one argument more.
        populators = get_related_populators(info, select, self.compiler.using)  # type: ignore[call-arg]
        return start, end, names, populators


class Composed(Generic[Row]):
    """One question, by shapes: `build` composes the QuerySet for values that stand for others.

    What the QuerySet depends on besides the values must be in the `shape` that is asked with.
    """

    def __init__(self, build: Callable[..., models.QuerySet[Row]]) -> None:
        self._build = build
        self._known: dict[Hashable, _Composed[Row]] = {}
        self._lock = Lock()

    def ask(self, shape: Hashable = (), /, **values: Value) -> list[Row]:
        """Return the rows for these values. Raises `NotComposable`."""
        return self.ask_as(shape, values, self._build)

    def ask_as(
        self,
        shape: Hashable,
        values: Mapping[str, Value],
        build: Callable[..., models.QuerySet[Row]],
        unneeded: Collection[str] = (),
    ) -> list[Row]:
        """Return the rows, by a statement that `build` composes where the shape is new.

        It must hold every value, but for the `unneeded`.
        """
        key = (shape, frozenset((name, type(value)) for name, value in values.items()))
        known = self._known.get(key)
        if known is None:
            try:
                known = _composed(build, values, unneeded)
            except EmptyResultSet:  # nothing can match, whatever the values are
                return []
            with self._lock:
                if len(self._known) < KEPT:
                    self._known[key] = known
        return known.ask(values)


class ComposedFor(Generic[Row]):
    """A question about what an actor may see; `build` is given somebody like the actor.

    Alike are those of one kind and role, with as many groups.
    """

    def __init__(self, build: Callable[..., models.QuerySet[Row]]) -> None:
        self._build = build
        self._composed: Composed[Row] = Composed(build)

    def ask(self, actor: Actor, **values: Value) -> list[Row]:
        """Return the rows. Nobody without an organization is shown any."""
        if actor.organization_id is None:
            return []
        groups = numbered("group", actor.group_ids)
        own: dict[str, Value] = {"actor_id": actor.id, "organization": actor.organization_id}
        shape = (actor.kind, actor.organization_role, len(groups))
        given = {**own, **groups, **values}
        build = partial(self._for, actor)
        return self._composed.ask_as(shape, given, build, {*own, *groups})

    def _for(
        self, actor: Actor, *, actor_id: UUID, organization: UUID, **values: Value
    ) -> models.QuerySet[Row]:
        groups = {name: value for name, value in values.items() if name.startswith("group")}
        wanted = {name: value for name, value in values.items() if name not in groups}
        other = Actor(
            kind=actor.kind,
            id=actor_id,
            label="",
            organization_id=organization,
            organization_role=actor.organization_role,
            group_ids=frozenset(map(_uuid, groups.values())),
        )
        return self._build(other, **wanted)


def _composed(
    build: Callable[..., models.QuerySet[Row]],
    values: Mapping[str, Value],
    unneeded: Collection[str],
) -> _Composed[Row]:
    """Compose the statement with values that are nobody's, and find them in it again."""
    stand_ins = {name: _stand_in(value) for name, value in values.items()}
    query = build(**stand_ins)
    compiler = query.query.get_compiler(using=query.db)
    text, parameters = compiler.as_sql()
    names = {stand_in: name for name, stand_in in stand_ins.items()}
    places = tuple(
        (names[p], None) if isinstance(p, str | UUID) and p in names else ("", p)
        for p in parameters
    )
    found = {name for name, _ in places}
    constants = "".join(str(p) for name, p in places if not name).replace("-", "").lower()
    for stand_in, name in names.items():
        unique = str(stand_in).rpartition("_")[2].replace("-", "")
        if unique in constants or not (name in found or name in unneeded):
            message = f"the statement does not hold {name} as it was given"
            raise NotComposable(message)
    return _Composed(compiler, text, places)


def _stand_in(value: Value) -> Value:
    """Return a value of the same type that is nobody's."""
    unique = uuid4()
    return unique if isinstance(value, UUID) else f"stand_in_{unique.hex}"


def _uuid(value: Value) -> UUID:
    return value if isinstance(value, UUID) else UUID(value)


def first(rows: list[Row]) -> Row | None:
    """Return the first row, None where there is none."""
    return rows[0] if rows else None


def numbered(prefix: str, values: Iterable[Value]) -> dict[str, Value]:
    """Return values under names of their own, for an `IN` of as many."""
    return {f"{prefix}{number}": value for number, value in enumerate(values)}
