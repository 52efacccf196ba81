"""Generated (policy, principal, query) triples, and what each must show: policies applied by hand.

The hand works on rows in Python, without any of Upend's SQL: what it leaves becomes a plain table
of a plain DuckDB, which is asked the same query.
"""

from __future__ import annotations

import hashlib
import hmac
import math
import random
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import duckdb

Row = dict[str, Any]
COLUMNS = {
    "id": "INTEGER",
    "region": "VARCHAR",
    "email": "VARCHAR",
    "boss": "VARCHAR",
    "salary": "DECIMAL(12,2)",
    "day": "DATE",
    "seen": "TIMESTAMP",
    "score": "DOUBLE",
    "info": 'STRUCT("iban" VARCHAR, "n" INTEGER)',
    "langs": "VARCHAR[]",
    "ssn": "VARCHAR",
}
CREATE = f"CREATE TABLE people ({', '.join(f'{n} {kind}' for n, kind in COLUMNS.items())})"
OFFICES = (
    "CREATE TABLE offices AS SELECT * FROM (VALUES ('EU', 'Oslo'), ('US', 'Lima'), "
    "('it''s', 'Rome')) AS o (region, town)"
)
ROWS_OF_PEOPLE = """
    INSERT INTO people SELECT i, CASE WHEN i % 7 > 0 THEN ['EU', 'US', 'it''s'][1 + i % 3] END,
    CASE WHEN i % 5 > 0 THEN ['ana', 'bé', 'x'][1 + i % 3] || i % 11 || '@'
         || ['x.org', 'y.com'][1 + i % 2] WHEN i % 2 = 0 THEN 'none ' || i END,
    ['analyst', 'owner', 'nobody'][1 + i % 3] || '@demo-air.example',
    ((i - 20) * 333.33)::DECIMAL(12,2), DATE '2020-01-05' + (i * 3)::INTEGER,
    TIMESTAMP '2020-01-05 10:11:12.5' + INTERVAL (i * 100) MINUTE,
    CASE WHEN i % 9 > 0 THEN (i - 20) / 4 END,
    CASE WHEN i % 6 > 0 THEN {{'iban': CASE WHEN i % 4 > 0 THEN 'NO00' || i END, 'n': i}} END,
    CASE WHEN i % 8 > 0 THEN [['no', 'fr'][1 + i % 2], 'de' || i % 4] END, 'S' || i % 13
    FROM range({first}, {end}) AS r(i)
"""
"""Some of everything: nulls, negative numbers, no addresses, quotes, letters beyond ASCII."""


@dataclass(frozen=True)
class Person:
    """Whom the policies look at: the name in the cast, the roles held, and attributes."""

    name: str
    role: str
    attributes: Mapping[str, str] = field(default_factory=dict)

    @property
    def known(self) -> dict[str, str]:
        """Return what `principal.<name>` stands for; a program has no address."""
        email = {} if self.name == "agent" else {"email": f"{self.name}@demo-air.example"}
        return {**self.attributes, **email}


PEOPLE = (
    Person("analyst", "analyst", {"region": "EU"}),
    Person("steward", "steward", {"region": "it's"}),
    Person("owner", "owner"),
    Person("agent", "analyst", {"region": "US"}),
)
EXEMPTIONS: dict[str, Callable[[Person], bool]] = {
    "": lambda _: False,
    "{role: owner}": lambda p: p.role == "owner",
    "{role: analyst}, {role: steward}": lambda p: p.role in {"analyst", "steward"},
    "{user: steward@demo-air.example}": lambda p: p.name == "steward",
    "{service_account: agent}": lambda p: p.name == "agent",
    "{attribute: {region: EU}}": lambda p: p.attributes.get("region") == "EU",
}


def _hmac(value: str, key: bytes) -> str:
    return hmac.new(key, value.encode(), hashlib.sha256).hexdigest()


def _domain(value: str) -> str | None:
    found = re.search(r"@([^@\s]+)\Z", value)
    return found[1] if found else None


def _last(value: str, kept: int) -> str:
    return "****" + (value[-kept:] if len(value) > kept else "")


def _below(value: Any, width: Any) -> Any:
    return math.floor(value / width) * width


Method = tuple[str, Callable[[Any, Row, bytes], Any]]
"""The YAML of a method, and what it makes of a value of a row."""

TEXT: tuple[Method, ...] = (
    ("method: hmac", lambda v, _, key: v if v is None else _hmac(v, key)),
    ("method: partial\nkeep_last: 4", lambda v, *_: v if v is None else _last(v, 4)),
    ('method: constant\nvalue: "it\'s -- gone"', lambda *_: "it's -- gone"),
    ("method: null", lambda *_: None),
)
METHODS: dict[str, tuple[Method, ...]] = {
    "email": (
        *TEXT,
        ("method: email_domain", lambda v, *_: v if v is None else _domain(v)),
        (
            "method: expression\nsql: left(email, 2) || '…' -- short",
            lambda v, *_: v if v is None else v[:2] + "…",
        ),
    ),
    "salary": (
        ("method: bucket\nwidth: 1000", lambda v, *_: _below(v, Decimal(1000))),
        ("method: bucket\nwidth: 0.5", lambda v, *_: _below(v, Decimal("0.5"))),
        ("method: constant\nvalue: 1.50", lambda *_: Decimal("1.50")),
        (
            "method: expression\nsql: CASE WHEN region = 'EU' THEN salary END",
            lambda v, row, _: v if row["region"] == "EU" else None,
        ),
    ),
    "day": (
        ("method: date_trunc\nunit: month", lambda v, *_: v.replace(day=1)),
        ("method: date_trunc\nunit: year", lambda v, *_: v.replace(day=1, month=1)),
        ("method: constant\nvalue: '2000-02-29'", lambda *_: date(2000, 2, 29)),
    ),
    "seen": (
        (
            "method: date_trunc\nunit: hour",
            lambda v, *_: v.replace(minute=0, second=0, microsecond=0),
        ),
        ("method: null", lambda *_: None),
    ),
    "score": (
        ("method: bucket\nwidth: 2.5", lambda v, *_: v if v is None else _below(v, 2.5)),
        ("method: constant\nvalue: 0.25", lambda *_: 0.25),
    ),
    "id": (("method: bucket\nwidth: 10", lambda v, *_: _below(v, 10)),),
    "info.iban": TEXT,
    "info": (("method: null", lambda *_: None),),
    "langs": (
        (
            "method: expression\nsql: |\n  list_transform(langs, lambda x: left(x, 1))",
            lambda v, *_: v if v is None else [x[:1] for x in v],
        ),
    ),
    "ssn": (("method: hide", lambda *_: None), TEXT[0]),
}
JANUARY_7 = datetime(2020, 1, 7)  # noqa: DTZ001 - as the column: a TIMESTAMP has no zone
Predicate = Callable[[Row, Mapping[str, str]], bool]
FILTERS: dict[str, Predicate] = {
    "region = 'EU'": lambda r, _: r["region"] == "EU",
    "region IN ('US', principal.region) -- theirs": lambda r, p: r["region"] in {"US", p["region"]},
    "boss = principal.email": lambda r, p: r["boss"] == p["email"],
    "salary < 3000 OR email LIKE '%x.org'": lambda r, _: (
        r["salary"] < 3000 or (r["email"] or "").endswith("x.org")
    ),
    "day >= DATE '2020-02-01' AND region <> principal.region": lambda r, p: (
        r["region"] not in {None, p["region"]} and r["day"] >= date(2020, 2, 1)
    ),
    "info.iban IS NOT NULL": lambda r, _: bool(r["info"] and r["info"]["iban"]),
    "list_contains(langs, 'no') AND seen < TIMESTAMP '2020-01-07'": lambda r, _: (
        "no" in (r["langs"] or []) and r["seen"] < JANUARY_7
    ),
    "principal.absent = 'x' OR true": lambda _, p: bool(p["absent"]),
}
QUERIES = (
    "SELECT * FROM people",
    "SELECT * EXCLUDE (region) FROM people WHERE region = 'US'",
    "SELECT count(*), count(email), count(DISTINCT region), sum(salary), min(day) FROM people",
    "SELECT region, count(*) AS n, sum(salary) AS s, max(seen) FROM people GROUP BY ALL",
    "SELECT id, email FROM people WHERE email LIKE '%org'",
    "SELECT id, salary FROM people WHERE salary >= 2000",
    "SELECT email, count(*) FROM people WHERE day = DATE '2020-02-01' GROUP BY ALL",
    "SELECT count(*) FROM people WHERE email = 'ana1@x.org' OR email IS NULL",
    "SELECT p.region, count(*) FROM people p JOIN people q USING (email) GROUP BY ALL",
    "SELECT info.iban, info.n, info IS NULL FROM people",
    "SELECT unnest(langs) AS lang, count(*) FROM people GROUP BY ALL",
    "SELECT id, email FROM people WHERE id IN (SELECT max(id) FROM people GROUP BY region)",
    "SELECT count(*) FROM people WHERE ssn LIKE 'S1%'",
    "SELECT id, sum(salary) OVER (PARTITION BY region) AS s FROM people",
    "SELECT DISTINCT email FROM people ORDER BY 1 LIMIT 5",
    "SELECT string_agg(email, ',' ORDER BY seen, email) FROM people",
    "SELECT o.town, count(p.id) FROM offices o LEFT JOIN people p USING (region) GROUP BY ALL",
    "WITH t AS (SELECT max(score) AS m FROM people) SELECT count(*) FROM people, t WHERE score = m",
    "SELECT region FROM people EXCEPT SELECT region FROM offices",
    "SELECT COLUMNS(c -> c LIKE 's%') FROM people",
    "SELECT min(region), max(email), min(ssn), max(info) FROM people",
    "SELECT (SELECT max(q.salary) FROM people q WHERE q.region = o.region) FROM offices o",
    "SELECT TRY_CAST(ssn AS INTEGER) AS n, count(*) FROM people GROUP BY ALL",
    "SELECT date_trunc('month', seen) AS m, avg(score) FROM people GROUP BY ALL",
)


@dataclass(frozen=True)
class Rule:
    """One policy: its text, and whom it is not for."""

    name: str
    kind: str
    text: str
    spares: Callable[[Person], bool]
    column: str = ""
    method: Callable[[Any, Row, bytes], Any] | None = None
    predicate: Predicate | None = None


@dataclass(frozen=True)
class Round:
    """Policies that hold at the same time, and the questions that are asked of them."""

    rules: tuple[Rule, ...]
    asked: tuple[tuple[Person, str], ...]


def rounds(seed: int, *, count: int, queries: int) -> Iterator[Round]:
    """Return rounds that ask each person so many queries: the same ones for the same seed."""
    chance = random.Random(seed)
    for number in range(count):
        filters = tuple(_filters(chance, number))
        rules = filters + tuple(_masks(chance, " ".join(rule.text for rule in filters)))
        # The first brings the whole table into an engine, which is kept for those that follow.
        first, *others = QUERIES
        asked = [
            (one, sql) for one in PEOPLE for sql in [first, *chance.sample(others, queries - 1)]
        ]
        yield Round(rules, tuple(asked))


def _masks(chance: random.Random, filters: str) -> Iterator[Rule]:
    """Return a few masks: what is filtered by is not masked, and what is masked is so once."""
    taken = {name for name in COLUMNS if re.search(rf"\b{name}\b", filters)}
    for column in chance.sample(sorted(METHODS), chance.randint(2, 6)):
        top = column.partition(".")[0]
        if top in taken:
            continue
        taken.add(top)
        text, method = chance.choice(METHODS[column])
        spared = chance.choice(sorted(EXEMPTIONS))
        whole = f"columns: [{column}]\n{text}\nexcept: [{spared}]\n"
        name = f"mask-{column.replace('.', '-')}"
        yield Rule(name, "mask", whole, EXEMPTIONS[spared], column, method)


def _filters(chance: random.Random, number: int) -> Iterator[Rule]:
    for where in chance.sample(sorted(FILTERS), [1, 1, 0, 2][number % 4]):
        spared = chance.choice(sorted(EXEMPTIONS))
        text = f"where: |\n  {where}\nexcept: [{spared}]\n"
        name = f"filter-{len(where)}"
        yield Rule(name, "row_filter", text, EXEMPTIONS[spared], predicate=FILTERS[where])


@dataclass
class Hand:
    """Applies policies to rows by hand."""

    people: list[Row]
    key: bytes

    def table_of(self, rules: tuple[Rule, ...], who: Person) -> tuple[list[str], list[list[Any]]]:
        """Return the names of the columns and the rows that `who` may see."""
        holding = [rule for rule in rules if not rule.spares(who)]
        hidden = {r.column for r in holding if "method: hide" in r.text}
        names = [name for name in COLUMNS if name not in hidden]
        kept = [row for row in self.people if all(_passes(rule, row, who) for rule in holding)]
        shown = [self._shown(row, holding) for row in kept]
        return names, [[row[name] for name in names] for row in shown]

    def _shown(self, row: Row, holding: list[Rule]) -> Row:
        shown = dict(row)
        for rule in holding:
            top, _, part = rule.column.partition(".")
            if rule.method is None:
                continue
            if not part:
                shown[top] = rule.method(row[top], row, self.key)
            elif row[top] is not None:
                shown[top] = row[top] | {part: rule.method(row[top][part], row, self.key)}
        return shown

    def engine(self, rules: tuple[Rule, ...], who: Person) -> duckdb.DuckDBPyConnection:
        """Return a plain DuckDB with nothing but what `who` may see."""
        names, rows = self.table_of(rules, who)
        con = duckdb.connect()
        con.execute(f"CREATE TABLE people ({', '.join(f'{n} {COLUMNS[n]}' for n in names)})")
        if rows:
            con.executemany(f"INSERT INTO people VALUES ({', '.join('?' * len(names))})", rows)
        con.execute(OFFICES)
        return con


def _passes(rule: Rule, row: Row, who: Person) -> bool:
    """Tell whether a row passes a filter; without an attribute that it asks for, none does."""
    if rule.predicate is None:
        return True
    try:
        return rule.predicate(row, who.known)
    except KeyError:
        return False
