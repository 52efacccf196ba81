"""It shows of a masked column only what its method leaves, in the column's own type."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from governance.domain import MaskMethod, SecurableColumn
from governance.masks import Mask, NotMaskable, compile_mask, compile_masks, problems

Masks = dict[tuple[str, ...], Mask]

NULL, CONSTANT = Mask(MaskMethod.NULL), Mask(MaskMethod.CONSTANT, value="***")
PARTIAL = Mask(MaskMethod.PARTIAL, keep_last=2)
DOMAIN = Mask(MaskMethod.EMAIL_DOMAIN)
IBAN = 'STRUCT("iban" VARCHAR, "t1" INTEGER)'
INFO = f'STRUCT("it\'s" VARCHAR, "bank" {IBAN})'


@pytest.fixture(scope="module")
def con() -> duckdb.DuckDBPyConnection:
    con = duckdb.connect()
    con.execute("SET TimeZone = 'UTC'")
    return con


def column(kind: str, *path: str) -> SecurableColumn:
    return SecurableColumn(f"column:{'.'.join(path)}", path or ("c",), kind)


def shown(con: Any, mask: Mask, kind: str, value: str) -> Any:
    """Return what `mask` makes of one value, having checked its type."""
    one = column(kind)
    assert problems(mask, one) == ()
    sql = compile_mask(mask, one, [one])
    row = con.execute(f"SELECT x, typeof(x) FROM (SELECT {sql} AS x FROM (SELECT {value} AS c))")
    found, spelled = row.fetchall()[0]
    assert spelled == kind
    return found


TYPES = [
    "BIGINT", "BLOB", "BOOLEAN", "DATE", "DECIMAL(38,3)", "DOUBLE", "FLOAT", "HUGEINT", "INTEGER",
    "INTERVAL", "JSON", "MAP(VARCHAR, INTEGER)", "SMALLINT", "STRUCT(a INTEGER)", "TIME",
    "TIMESTAMP", "TIMESTAMP WITH TIME ZONE", "TIMESTAMP_MS", "TIMESTAMP_NS", "TIMESTAMP_S",
    "TINYINT", "UBIGINT", "UHUGEINT", "UINTEGER", "USMALLINT", "UTINYINT", "UUID", "VARCHAR",
    "VARCHAR[]",
]  # fmt: skip


@pytest.mark.parametrize("kind", TYPES)
def test_it_shows_nothing_in_the_type_of_the_column(con: Any, kind: str) -> None:
    assert shown(con, NULL, kind, f"CAST(NULL AS {kind})") is None


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("VARCHAR", "it's \0 ü", "it's \0 ü"),
        ("VARCHAR", 7, "7"),
        ("TINYINT", -128, -128),
        ("UHUGEINT", str(2**128 - 1), 2**128 - 1),
        ("DECIMAL(5,2)", "-999.99", Decimal("-999.99")),
        ("BOOLEAN", False, False),
        ("DOUBLE", 0.5, 0.5),
    ],
)
def test_it_shows_a_constant(con: Any, kind: str, value: Any, expected: Any) -> None:
    mask = Mask(MaskMethod.CONSTANT, value=value)
    assert shown(con, mask, kind, f"CAST(NULL AS {kind})") == expected


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("INTEGER", "x"), ("INTEGER", 3.7), ("INTEGER", "1_0"), ("TINYINT", 128),
        ("UTINYINT", -1), ("DECIMAL(5,2)", "1000"), ("DECIMAL(5,2)", "0.001"),
        ("DATE", "2020-02-30"), ("DATE", "20200101"), ("TIMESTAMP", "2020-01-01 25:00"),
        ("BOOLEAN", "maybe"), ("TIMESTAMP_NS", "2262-12-31"), ("TIME", "12:30"),
        ("UUID", "x"), ("VARCHAR", "\ud800"), ("DOUBLE", "nan"),
        ("VARCHAR[]", "x"), ("STRUCT(a INTEGER)", "x"), ("JSON", "{}"), ("BLOB", "x"),
    ],
)  # fmt: skip
def test_it_refuses_constants_that_the_type_cannot_hold(kind: str, value: Any) -> None:
    (found,) = problems(Mask(MaskMethod.CONSTANT, value=value), column(kind))
    assert kind in found.message
    assert found.hint


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("DATE", "2020-02-29"), ("TIME", "12:30:00"), ("TIMESTAMP", "2020-01-01"),
        ("TIMESTAMP", "2020-01-01T12:30:00.5"),
        ("TIMESTAMP WITH TIME ZONE", "2020-01-01 12:30:00Z"),
        ("TIMESTAMP WITH TIME ZONE", "2020-01-01 12:30:00+00"), ("TIMESTAMP_S", "2020-01-01"),
        ("UUID", "00000000-0000-0000-0000-000000000000"),
    ],
)  # fmt: skip
def test_it_takes_constants_that_the_engine_reads(con: Any, kind: str, value: str) -> None:
    mask = Mask(MaskMethod.CONSTANT, value=value)
    assert shown(con, mask, kind, f"CAST(NULL AS {kind})") is not None


@pytest.mark.parametrize(
    ("value", "expected"),
    [("secret", "****et"), ("ab", "****"), ("", "****"), (None, None), ("ü€😀", "****€😀")],
)
def test_it_keeps_the_last_characters(con: Any, value: str | None, expected: str) -> None:
    text = "NULL::VARCHAR" if value is None else f"'{value}'"
    assert shown(con, PARTIAL, "VARCHAR", text) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("'ana@example.org'", "example.org"), ("'\"a@b\"@c'", "c"), ("'no address'", None),
        ("'ana@'", None), ("'see @ the secret'", None), ("NULL::VARCHAR", None),
        ("'a@b' || chr(10) || 'c'", None), ("'a@b' || chr(10)", None),
    ],
)  # fmt: skip
def test_it_keeps_the_domain_of_an_address(con: Any, value: str, expected: str | None) -> None:
    assert shown(con, DOMAIN, "VARCHAR", value) == expected


@pytest.mark.parametrize("kind", ["DATE", "TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_NS"])
@pytest.mark.parametrize(("unit", "expected"), [("month", "2020-03-01"), ("year", "2020-01-01")])
def test_it_cuts_dates(con: Any, kind: str, unit: str, expected: str) -> None:
    mask = Mask(MaskMethod.DATE_TRUNC, unit=unit)
    assert str(shown(con, mask, kind, f"CAST('2020-03-14' AS {kind})"))[:10] == expected
    assert shown(con, mask, kind, f"CAST(NULL AS {kind})") is None


@given(st.integers(-128, 127), st.integers(1, 200))
def test_it_puts_numbers_in_buckets(con: Any, number: int, width: int) -> None:
    found = shown(con, Mask(MaskMethod.BUCKET, width=str(width)), "TINYINT", f"({number})::TINYINT")
    lower = number // width * width
    assert found == (lower if lower >= -128 else None)


@given(
    st.decimals(-(10**8), 10**8, places=2),
    st.decimals("0.01", 10**5, places=2),
    st.sampled_from(["DECIMAL(11,2)", "DECIMAL(38,2)"]),
)
def test_it_puts_decimals_in_exact_buckets(
    con: Any, number: Decimal, width: Decimal, kind: str
) -> None:
    mask = Mask(MaskMethod.BUCKET, width=str(width))
    lower = number - ((number % width) + width) % width
    found = shown(con, mask, kind, f"CAST('{number}' AS {kind})")
    assert found == (None if abs(lower) >= 10**9 and "11" in kind else lower)


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("HUGEINT", str(-(2**127)), None),
        ("UHUGEINT", str(2**128 - 1), 340282366920938463463374607431768211000),
        ("UBIGINT", str(2**64 - 1), 18446744073709551000),
        ("DOUBLE", "-1500.5", -2000.0),
        ("DOUBLE", "inf", float("inf")),
        ("FLOAT", "1999.9", 1000.0),
    ],
)
def test_it_puts_the_largest_numbers_in_buckets(
    con: Any, kind: str, value: str, expected: Any
) -> None:
    mask = Mask(MaskMethod.BUCKET, width="1000")
    assert shown(con, mask, kind, f"CAST('{value}' AS {kind})") == expected


def test_it_shows_what_an_expression_makes(con: Any) -> None:
    mask = Mask(MaskMethod.EXPRESSION, sql="left(c, 1) || '…' -- initials")
    assert shown(con, mask, "VARCHAR", "'ana'") == "a…"


def test_it_never_fails_where_an_expression_outgrew_its_type(con: Any) -> None:
    mask = Mask(MaskMethod.EXPRESSION, sql="c::BIGINT * 1000")
    assert shown(con, mask, "TINYINT", "100::TINYINT") is None


COLUMNS = [
    column("INTEGER", "t1"),
    column(INFO, "info"),
    column("VARCHAR", "info", "it's"),
    column(IBAN, "info", "bank"),
    column("VARCHAR", "info", "bank", "iban"),
    column("INTEGER", "info", "bank", "t1"),
    column(f"{IBAN}[]", "element_0"),
    column(IBAN, "element_0", "element"),
    column("VARCHAR", "element_0", "element", "iban"),
    column("INTEGER", "element_0", "element", "t1"),
    column("MAP(VARCHAR, VARCHAR)", "notes"),
    column("VARCHAR", "notes", "value"),
]
ROWS = f"""
    (SELECT 5 AS t1, {{'it''s': 'x', 'bank': {{'iban': 'DE01', 't1': 7}}}}::{INFO} AS info,
            [{{'iban': 'FR02', 't1': 1}}, NULL, {{'iban': NULL, 't1': NULL}}]::{IBAN}[] AS element_0
     UNION ALL SELECT 6, {{'it''s': NULL, 'bank': NULL}}::{INFO}, []
     UNION ALL SELECT 7, NULL, NULL) AS t1
"""


def rebuilt(con: Any, masks: Masks, top: str) -> list[Any]:
    sql = compile_masks(masks, COLUMNS)[top]
    rows = con.execute(f"SELECT {sql} AS x, typeof(x) = typeof({top}) FROM {ROWS} ORDER BY t1")
    found = rows.fetchall()
    assert all(same for _, same in found)
    return [value for value, _ in found]


def test_it_rebuilds_structs_around_their_masked_children(con: Any) -> None:
    masks: Masks = {("info", "bank", "iban"): PARTIAL, ("info", "it's"): CONSTANT}
    assert rebuilt(con, masks, "info") == [
        {"it's": "***", "bank": {"iban": "****01", "t1": 7}},
        {"it's": "***", "bank": None},
        None,
    ]


def test_it_rebuilds_the_elements_of_lists(con: Any) -> None:
    masks: Masks = {("element_0", "element", "iban"): NULL}
    assert rebuilt(con, masks, "element_0") == [
        [{"iban": None, "t1": 1}, None, {"iban": None, "t1": None}],
        [],
        None,
    ]


def test_it_masks_the_whole_where_a_part_is_masked_too(con: Any) -> None:
    masks: Masks = {("info",): NULL, ("info", "bank", "iban"): PARTIAL}
    assert rebuilt(con, masks, "info") == [None, None, None]


@pytest.mark.parametrize(
    ("mask", "kind", "says"),
    [
        (PARTIAL, "INTEGER", "Use bucket"),
        (Mask(MaskMethod.HMAC), "BIGINT", "mask_hmac"),
        (DOMAIN, "DATE", "Use date_trunc"),
        (Mask(MaskMethod.DATE_TRUNC, unit="month"), "VARCHAR", "Use partial"),
        (Mask(MaskMethod.DATE_TRUNC, unit="day"), "DATE", "month"),
        (Mask(MaskMethod.DATE_TRUNC, unit="epoch'"), "DATE", "month"),
        (Mask(MaskMethod.DATE_TRUNC), "DATE", "month"),
        (Mask(MaskMethod.BUCKET, width="10"), "VARCHAR", "Use partial"),
        (Mask(MaskMethod.BUCKET, width="0"), "INTEGER", "width"),
        (Mask(MaskMethod.BUCKET, width="0.5"), "INTEGER", "whole numbers"),
        (Mask(MaskMethod.BUCKET, width="0.001"), "DECIMAL(5,2)", "2 decimal places"),
        (Mask(MaskMethod.BUCKET, width="1000"), "DECIMAL(5,2)", "below 1,000"),
        (Mask(MaskMethod.BUCKET, width="1 OR 1"), "INTEGER", "width"),
        (Mask(MaskMethod.PARTIAL), "VARCHAR", "keep_last"),
        (Mask(MaskMethod.PARTIAL, keep_last=0), "VARCHAR", "keep_last"),
        (Mask(MaskMethod.CONSTANT), "VARCHAR", "value"),
        (Mask(MaskMethod.EXPRESSION, sql=" "), "VARCHAR", "sql"),
    ],
)
def test_it_says_what_fits_instead(mask: Mask, kind: str, says: str) -> None:
    one = column(kind)
    (found,) = problems(mask, one)
    assert says in found.message + found.hint
    with pytest.raises(NotMaskable):
        compile_mask(mask, one, [one])


@pytest.mark.parametrize(
    ("mask", "path", "says"),
    [
        (Mask(MaskMethod.HIDE), ("info", "bank", "iban"), "Hide all of info"),
        (NULL, ("notes", "value"), "Mask all of notes"),
        (Mask(MaskMethod.EXPRESSION, sql="'x'"), ("element_0", "element", "iban"), "inside a list"),
    ],
)
def test_it_refuses_what_cannot_be_rebuilt(mask: Mask, path: tuple[str, ...], says: str) -> None:
    (one,) = (c for c in COLUMNS if c.path == path)
    (found,) = problems(mask, one, COLUMNS)
    assert says in found.message + found.hint
    with pytest.raises(NotMaskable):
        compile_mask(mask, one, COLUMNS)
