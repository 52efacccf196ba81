"""It lets one expression of the right type over one row into a policy, and says what else it is."""

from __future__ import annotations

import pytest

from execution.expressions import EngineExpressions
from governance.domain import SecurableColumn
from governance.expressions import Inspected, Reference, checker

INFO = 'STRUCT("iban" VARCHAR, "two words" INTEGER)'
COLUMNS = [
    SecurableColumn("", ("id",), "BIGINT"),
    SecurableColumn("", ("Region",), "VARCHAR"),
    SecurableColumn("", ("day",), "DATE"),
    SecurableColumn("", ("langs",), "VARCHAR[]"),
    SecurableColumn("", ("data",), "JSON"),
    SecurableColumn("", ("info",), INFO),
    SecurableColumn("", ("info", "iban"), "VARCHAR"),
    SecurableColumn("", ("info", "two words"), "INTEGER"),
    SecurableColumn("", ("t1",), "STRUCT(id BIGINT)"),
]
checks = EngineExpressions()


def spelled(sql: str, references: tuple[Reference, ...]) -> list[list[str]]:
    return [[sql[start:end] for start, end in one.spans] for one in references]


def named(sql: str) -> tuple[list[list[str]], list[list[str]]]:
    found = checks.inspect(sql)
    assert found.faults == ()
    return spelled(sql, found.columns), spelled(sql, found.attributes)


def test_it_is_who_checks_for_governance() -> None:
    assert isinstance(checker(), EngineExpressions)


@pytest.mark.parametrize(
    ("sql", "columns", "attributes"),
    [
        ("region = principal.region", [["region"]], [["principal", "region"]]),
        (
            "'ü€😀' || \"Region\" = principal . /* a /* b */ */ \"it\"\"s\" -- end",
            [['"Region"']],
            [["principal", '"it""s"']],
        ),
        ("info.\"two words\" > 3 AND\n  INFO.iban LIKE 'principal.x'",
         [["info", '"two words"'], ["INFO", "iban"]], []),
        ("list_transform(langs, lambda region: region || id)", [["langs"], ["id"]], []),
        ("[x || id for x in langs if x <> region]", None, []),
        ("data -> '$.a' = principal.a", [["data"]], [["principal", "a"]]),
        ("region IN ('a', principal.region)", [["region"]], [["principal", "region"]]),
        ("contains(principal.regions, region)", [["region"]], [["principal", "regions"]]),
        ("CASE WHEN id > 1 THEN principal.a ELSE region END", [["id"], ["region"]],
         [["principal", "a"]]),
        ("mask_hmac(region)", [["region"]], []),
    ],
)  # fmt: skip
def test_it_finds_names_where_they_stand(
    sql: str, columns: list[list[str]] | None, attributes: list[list[str]]
) -> None:
    found = named(sql)
    assert found[1] == attributes
    assert columns is None or found[0] == columns


@pytest.mark.parametrize(
    ("sql", "says", "line", "column"),
    [
        ("region =\n  (SELECT 1)", "subquery", 2, 3),
        ("region IN (SELECT x FROM t)", "subquery", 1, 8),
        ("region = ANY(langs)", "subquery", 1, 8),
        ("true) OR (true", "parsed", 1, 5),
        ("1, 2", "more than one", 1, 1),
        ("1 FROM t", "more than one", 1, 1),
        ("1 AS x", "one expression", 1, 1),
        ("1; DROP TABLE x", "Only one", 1, 1),
        ("(1 /* open", "parsed", 1, 1),
        ("", "parsed", 1, 1),
        ("region = $1", "parameters", 1, 1),
        ("sum(id) OVER ()", "window", 1, 1),
        ("*", "star", 1, 1),
        ("COLUMNS('a')", "star", 1, 1),
        ("#1", "number", 1, 1),
        ("unnest(langs)", "several rows", 1, 1),
        ("region = nope(1)", "nope", 1, 10),
        ("read_text('/etc/passwd')", "read_text", 1, 1),
        ("getenv('HOME')", "getenv", 1, 1),
        ("random() > 0.5", "every time", 1, 1),
        ("day > current_date", "every time", 1, 1),
        ("day > now()", "every time", 1, 1),
        ("error(region)", "error", 1, 1),
        ("principal.a.b = 1", "one name", 1, 1),
        ("region IN principal.region", "IN (principal.region)", 1, 8),
        ("region\u0000", "control character", 1, 7),
    ],
)
def test_it_refuses_what_is_no_expression_over_one_row(
    sql: str, says: str, line: int, column: int
) -> None:
    fault = checks.inspect(sql).faults[0]
    assert says in fault.message + fault.hint
    assert line == fault.line
    assert column in {1, fault.column}
    assert checks.fit(sql, "BOOLEAN", COLUMNS)[0] == fault


@pytest.mark.parametrize(
    ("sql", "kind"),
    [
        ("region = principal.region", "BOOLEAN"),
        ("id > principal.level AND region IN (principal.a, 'b')", "BOOLEAN"),
        ("contains(langs, principal.lang)", "BOOLEAN"),
        ("left(region, 1) || '…' -- initial", "VARCHAR"),
        ("mask_hmac(region)", "VARCHAR"),
        ("('0x' || left(mask_hmac(id::VARCHAR), 15))::BIGINT", "BIGINT"),
        ('struct_pack("iban" := \'***\', "two words" := info."two words")', INFO),
        ("list_transform(langs, lambda x: left(x, 1))", "VARCHAR[]"),
        ("CAST(NULL AS JSON)", "JSON"),
    ],
)
def test_it_takes_what_is_of_the_type(sql: str, kind: str) -> None:
    assert checks.fit(sql, kind, COLUMNS) == ()


@pytest.mark.parametrize(
    ("sql", "kind", "says", "line", "column"),
    [
        ("id", "BOOLEAN", "CAST(… AS BOOLEAN)", 1, 1),
        ("1", "BIGINT", "CAST(… AS BIGINT)", 1, 1),
        ("true AND\n nope > 1", "BOOLEAN", "no column nope", 2, 2),
        ("other.region = 'x'", "BOOLEAN", "no column other.region", 1, 1),
        ("info.nope = 'x'", "BOOLEAN", "nope", 1, 1),
        ("principal.a = 'x' AND\n  day + region", "BOOLEAN", "+", 2, 7),
        ("max(id)", "BIGINT", "GROUP BY", 1, 1),
        ("count(*) > 3", "BOOLEAN", "GROUP BY", 1, 1),
        ("t1.id", "BIGINT", "struct_extract", 1, 1),
        ("rowid", "BIGINT", "no column rowid", 1, 1),
        ("principal", "BOOLEAN", "no column principal", 1, 1),
    ],
)  # fmt: skip
def test_it_says_where_an_expression_does_not_fit(
    sql: str, kind: str, says: str, line: int, column: int
) -> None:
    (fault,) = checks.fit(sql, kind, COLUMNS)
    assert says in fault.message + fault.hint
    assert fault.line == line
    assert column in {1, fault.column}


def test_it_names_nothing_where_it_found_faults() -> None:
    assert checks.inspect("1 FROM").columns == Inspected().columns
