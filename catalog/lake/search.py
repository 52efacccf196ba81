"""Finds tables by parts of their names, as a person types them.

Names are read one after the other: ten thousand take some milliseconds, less than the page around
them, so that no index of trigrams, and no extension of PostgreSQL, is needed (ADR 0027).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from psycopg import sql

from catalog.lake.metadata import LIVE, relation
from catalog.models import Catalog

MOST_WORDS = 8
"""More words are not looked at: nobody types them, and each is looked for in all names."""

LABEL = "lower(%(catalog)s || '.' || s.schema_name || '.' || t.table_name)"


@dataclass(frozen=True, slots=True)
class Search:
    """Words that a table's whole name must hold, each of them, whatever their order and case.

    With `in_columns` a word may be in the name of one of the table's columns instead. Policies
    may hide columns: whoever shows the answer leaves out what only a hidden column matches.
    """

    words: tuple[str, ...] = ()
    in_columns: bool = False

    @classmethod
    def of(cls, text: str, *, in_columns: bool = False) -> Search:
        """Return the search for what a person typed."""
        return cls(tuple(text.lower().split()[:MOST_WORDS]), in_columns)

    def fits(self, texts: tuple[str, ...]) -> bool:
        """Tell whether each word is in one of the texts, which are in lower case."""
        return all(any(word in text for text in texts) for word in self.words)

    def condition(self, catalog: Catalog) -> sql.Composable:
        """Return the condition over the tables `t` and their schemas `s`."""
        found = [self._condition(catalog, number) for number in range(len(self.words))]
        return sql.SQL(" AND ").join(found) if found else sql.SQL("true")

    def parameters(self, catalog: Catalog) -> dict[str, Any]:
        """Return the values that the condition names."""
        return {"catalog": catalog.name} | {f"word{n}": w for n, w in enumerate(self.words)}

    def _condition(self, catalog: Catalog, number: int) -> sql.Composable:
        word = sql.Placeholder(f"word{number}")
        text = "strpos(" + LABEL + ", {word}) > 0"
        if self.in_columns:
            text += (
                " OR t.table_id IN (SELECT table_id FROM {columns} WHERE {live}"
                " AND parent_column IS NULL AND strpos(lower(column_name), {word}) > 0)"
            )
        columns = relation(catalog.metadata_schema, "ducklake_column")
        return sql.SQL("(" + text + ")").format(word=word, columns=columns, live=LIVE)


EVERYTHING = Search()
"""Any table at all."""
