"""Statements nobody wrote: a small grammar of DuckDB's SQL, and ways to disguise the corpus.

A statement says whether something live in it must be refused. What is only damaged (cut off,
sprinkled with characters) promises nothing: there the plan is what is judged.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from execution.gate import functions
from tests.security.corpus import ATTACKS

DEPTH = 3
LISTS: dict[str, list[str]] = yaml.safe_load(
    Path(__file__).with_name("mutation_words.yaml").read_text(encoding="utf-8")
)
SELDOM = 0.04
"""How often the grammar takes the forbidden path at one of its turns."""


BARE = {"hr", '"HR"', "'hr'", "$$hr$$", "hr TABLESAMPLE 50%"}


def _seat(number: int) -> str:
    return f"\x01{number}\x02"


@dataclass(frozen=True)
class Statement:
    """One text. `must_refuse` names what in it may not pass, where it is live for certain."""

    sql: str
    must_refuse: str = ""


class Grammar:
    """Makes statements; the same `random` makes the same ones."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.planted: list[str] = []
        self.calls = sorted(functions.allowed())

    def statement(self) -> Statement:
        """Return one statement."""
        self.planted = []
        text = self.query(DEPTH)
        live = [what for seat, what in enumerate(self.planted) if _seat(seat) in text]
        if "WITH hr AS" in text:  # there the bare name may stand for the common table expression
            live = [what for what in live if what not in BARE]
        for seat, what in enumerate(self.planted):
            text = text.replace(_seat(seat), what)
        return Statement(self.spaced(text), live[0] if live else "")

    def query(self, depth: int) -> str:
        """Return a query of at most `depth` levels."""
        forms: list[Callable[[int], str]] = [
            self.select,
            self.select,
            self.select,
            self.with_ctes,
            self.union,
            self.recursive,
            self.pivot,
            self.unpivot,
            self.describe,
            self.from_first,
        ]
        return self.rng.choice(forms if depth > 0 else forms[:1])(depth - 1)

    def select(self, depth: int) -> str:
        """Return a SELECT."""
        items = ", ".join(self.expression(depth) for _ in range(self.rng.randint(1, 3)))
        text = f"SELECT {self.rng.choice(['', '', 'DISTINCT '])}{items} FROM {self.relation(depth)}"
        if self.rng.random() < 0.4:
            text += f" WHERE {self.expression(depth)}"
        return text + self.rng.choice(
            [
                "",
                "",
                " GROUP BY ALL",
                " ORDER BY ALL",
                " LIMIT 3",
                f" LIMIT ({self.scalar(depth)})",
                f" QUALIFY row_number() OVER (ORDER BY {self.expression(depth)}) = 1",
                f" ORDER BY {self.expression(depth)} NULLS LAST",
                " USING SAMPLE 10 ROWS",
                " GROUP BY GROUPING SETS ((id), ())",
                f" HAVING {self.expression(depth)}",
            ]
        )

    def with_ctes(self, depth: int) -> str:
        name = self.rng.choice(["sales", "hr", "x", '"SALES"', "prices", "pg_x"])
        how = self.rng.choice(["", "MATERIALIZED ", "NOT MATERIALIZED "])
        body = self.query(depth)
        # Where the name is in scope it is no table, whatever it shadows.
        return f"WITH {name} AS {how}({body}) SELECT * FROM {name}, {self.relation(depth)}"

    def union(self, depth: int) -> str:
        kind = self.rng.choice(["UNION", "UNION ALL", "EXCEPT", "INTERSECT", "UNION ALL BY NAME"])
        return f"({self.query(depth)}) {kind} ({self.query(depth)})"

    def recursive(self, depth: int) -> str:
        return (
            "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r, "
            f"{self.relation(depth)} WHERE n < 3) FROM r"
        )

    def pivot(self, depth: int) -> str:
        source = self.relation(depth)
        return f"PIVOT (SELECT * FROM {source}) ON region IN ('EU', 'US') USING count(*)"

    def unpivot(self, depth: int) -> str:
        source = f"(SELECT id, amount FROM {self.relation(depth)})"
        return f"FROM {source} UNPIVOT (v FOR n IN (id, amount))"

    def describe(self, depth: int) -> str:
        kind = self.rng.choice(["DESCRIBE", "SUMMARIZE", "FROM (DESCRIBE", "FROM (SUMMARIZE"])
        return f"{kind} {self.query(depth)}{')' if '(' in kind else ''}"

    def from_first(self, depth: int) -> str:
        return f"FROM {self.relation(depth)} SELECT {self.expression(depth)}"

    def relation(self, depth: int) -> str:
        """Return what stands in FROM."""
        if self.rng.random() < SELDOM:
            return self.forbidden(LISTS["ungranted"] + LISTS["refused_tables"])
        granted = self.rng.choice([*LISTS["granted"], *LISTS["row_makers"]])
        if depth <= 0 or self.rng.random() < 0.5:
            return granted
        other = self.relation(depth - 1)
        return (
            self.rng.choice(
                [
                    f"({self.query(depth)}) q",
                    f"{granted}, LATERAL ({self.query(depth)}) l",
                    f"sales ASOF JOIN {other} ON sales.id = id AND sales.at >= at",
                    f"sales POSITIONAL JOIN {other}",
                    f"sales SEMI JOIN {other} USING (id)",
                    f"sales LEFT JOIN {other} ON ({self.expression(depth)})",
                    f"sales NATURAL JOIN {other}",
                    f"sales CROSS JOIN {other}",
                    f"{granted}, {other}",
                ]
            )
            if not self.rng.random() < 0.1
            else f"(FROM {other}) z"
        )

    def expression(self, depth: int) -> str:
        """Return an expression; most do not fit their types, which is the binder's matter."""
        if self.rng.random() < SELDOM:
            return self.forbidden(LISTS["refused_calls"])
        if depth <= 0 or self.rng.random() < 0.35:
            return self.rng.choice(LISTS["columns"] + LISTS["literals"])
        a, b = self.expression(depth - 1), self.scalar(depth - 1)
        operator = self.rng.choice(["+", "=", "<", "||", "AND", "IS DISTINCT FROM", "//", "%"])
        return self.rng.choice(
            [
                f"({a} {operator} {b})",
                self.call(depth),
                self.call(depth),
                self.call(depth),
                f"({self.query(depth)})",
                f"EXISTS ({self.query(depth)})",
                f"{b} IN ({self.query(depth)})",
                f"CASE WHEN {b} THEN {b} ELSE {b} END",
                f"TRY_CAST({b} AS {self.rng.choice(LISTS['types'])})",
                f"({b})::{self.rng.choice(LISTS['types'])}",
                f"[{b} FOR x IN [{b}] IF x IS NOT NULL]",
                f"list_transform([{b}], lambda x: {b})",
                f"{{'k': {b}}}.k",
                f"[{b}, {b}][1:2]",
                f"sum({b}) OVER (PARTITION BY region ORDER BY id)",
                f"count(*) FILTER (WHERE {b})",
                f"COLUMNS('{self.rng.choice(['.*', 'id', '^r'])}')",
                "* EXCLUDE (id)",
                f"* REPLACE ({b} AS id)",
                f"TRY({b})",
                f"{b} LIKE '%x_%'",
                f"sales.{self.rng.choice(['id', '*'])}",
                f"{b} BETWEEN {b} AND {b}",
                f"{b} COLLATE NOCASE",
                f"{b} AT TIME ZONE 'UTC'",
                "#1",
            ]
        )

    def scalar(self, depth: int) -> str:
        """Return an expression that is no star."""
        found = self.expression(depth)
        return "id" if found.startswith(("*", "COLUMNS", "sales.*")) else found

    def call(self, depth: int) -> str:
        """Return a call of any function that queries may call."""
        name = self.rng.choice(self.calls)
        if not re.fullmatch("[a-z_][a-z0-9_]*", name):
            name = f'"{name}"'
        inner = ", ".join(self.scalar(depth - 1) for _ in range(self.rng.randint(0, 3)))
        return f"{name}({inner})"

    def forbidden(self, choices: list[str]) -> str:
        """Return a seat for something that must be refused wherever it stands.

        What is made is not always used: only a seat that is in the text in the end counts.
        """
        self.planted.append(self.rng.choice(choices))
        return _seat(len(self.planted) - 1)

    def spaced(self, text: str) -> str:
        """Vary white space and the case of keywords; texts in quotes stay as they are."""
        pieces = re.split(r"('[^']*'|\"[^\"]*\"|\$\$[^$]*\$\$)", text)
        for i in range(0, len(pieces), 2):
            pieces[i] = re.sub(" ", lambda _: self.rng.choice(LISTS["spaces"]), pieces[i])
            if self.rng.random() < 0.2:
                pieces[i] = pieces[i].swapcase()
        return "".join(pieces)


class Disguise:
    """Hides the cases of the corpus in other statements, or damages them."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        # Of the denial-of-service cases only those are taken that are refused: all others run.
        self.cases = [a for a in ATTACKS if a.is_statement and a.code and len(a.sql) < 5000]

    def statement(self) -> Statement:
        """Return a disguised case of the corpus."""
        attack = self.rng.choice(self.cases)
        if self.rng.random() < 0.5:
            return Statement(self.damaged(attack.sql))
        return Statement(self.wrapped(attack.sql), attack.id)

    def wrapped(self, sql: str) -> str:
        """Return a statement in which `sql` is whole, and does not run unless it stands in it."""
        return self.rng.choice(
            [
                f"SELECT * FROM ({sql}) q",
                f"WITH sales AS ({sql}) SELECT * FROM sales",
                f"SELECT 1 WHERE EXISTS ({sql})",
                f"({sql}) UNION ALL SELECT 1",
                f"\ufeff{sql}",
                f"{sql};",
                f"/* x */ {sql} -- y",
                f"SELECT (SELECT 1 FROM ({sql}) q), * FROM sales",
                f"({sql})",
                f"SELECT * FROM sales, LATERAL ({sql}) l",
                f"DESCRIBE {sql}",
                f"SUMMARIZE {sql}",
                f"SELECT [x FOR x IN ({sql})]",
                f"SELECT 1 LIMIT ({sql})",
                f"\n\t{sql}\n",
                f"WITH RECURSIVE r AS (SELECT 1 UNION ALL ({sql})) FROM r",
                f"FROM ({sql}) q",
                f"SELECT list_transform([1], lambda x: ({sql}))",
                f"SELECT 1; {sql}",
                f"{sql}; SELECT 1",
                f"PIVOT ({sql}) ON region IN ('EU') USING count(*)",
                f"VALUES (({sql}))",
            ]
        )

    def damaged(self, sql: str) -> str:
        """Return the text with a few random edits."""
        for _ in range(self.rng.randint(1, 4)):
            at = self.rng.randrange(len(sql) + 1)
            sql = self.rng.choice(
                [
                    sql[:at],
                    sql[at:],
                    sql[:at] + self.rng.choice(LISTS["words"]) + sql[at:],
                    sql[:at] + sql[at + 1 :],
                    sql[:at] + " " + self.rng.choice(LISTS["words"]) + " " + sql[at:],
                    sql.swapcase(),
                    sql.replace(" ", self.rng.choice(LISTS["spaces"])),
                    sql + sql[:at],
                    re.sub("hr", "sales", sql),
                ]
            )
        return sql


def statements(seed: int, count: int) -> Iterator[Statement]:
    """Return `count` statements, two thirds of them by the grammar; the same for the same seed."""
    rng = random.Random(seed)
    grammar, disguise = Grammar(rng), Disguise(rng)
    for number in range(count):
        yield disguise.statement() if number % 3 == 2 else grammar.statement()
