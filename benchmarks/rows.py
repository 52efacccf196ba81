"""The table of rows that small queries are measured on, the same for every benchmark of them."""

from __future__ import annotations

from typing import Any


def create_table(con: Any, rows: int) -> None:
    """Create `bench.t` with `rows` rows. Values are exact: sums do not depend on their order."""
    con.execute(
        "CREATE TABLE bench.t AS SELECT range AS i, (hash(range) % 100)::INT AS g,"
        " (hash(range, 1) % 10000 / 100)::DECIMAL(9, 2) AS v,"
        " 's' || (hash(range, 2) % 500)::VARCHAR AS s,"
        f" DATE '2020-01-01' + (range % 2000)::INT AS d FROM range({rows})"
    )
