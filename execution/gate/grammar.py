"""The syntax that queries may use: DuckDB's serialized tree, node by node and field by field.

Each rule maps the fields of one kind of node to what may stand there. A node or a field that has
no rule is refused, so that syntax added by an engine upgrade is refused until someone reads it.
`[x]` is a list of `x`; `scalar` holds no further syntax; `nothing` must be empty.
"""

from __future__ import annotations

Rule = dict[str, str]

RECORDS: dict[str, Rule] = {
    "statement": {"node": "node", "named_param_map": "parameters"},
    "cte_map": {"map": "[cte_entry]"},
    "cte": {
        "aliases": "scalar",
        "query": "statement",
        "materialized": "scalar",
        "key_targets": "[expression]",
        "payload_aggregates": "[expression]",
    },
    "order": {"type": "scalar", "null_order": "scalar", "expression": "expression"},
    "order_modifier": {"type": "scalar", "orders": "[order]"},
    "sample": {
        "sample_size": "value",
        "is_percentage": "scalar",
        "method": "scalar",
        "seed": "scalar",
    },
    "value": {"type": "type", "is_null": "scalar", "value": "anything"},
    "case_check": {"when_expr": "expression", "then_expr": "expression"},
    "replacement": {"key": "scalar", "value": "expression"},
    "qualified_column": {
        "catalog": "scalar",
        "schema": "scalar",
        "table": "scalar",
        "column": "scalar",
        "is_set": "scalar",
    },
    "renaming": {"key": "qualified_column", "value": "scalar"},
    "pivot": {
        "pivot_expressions": "[expression]",
        "unpivot_names": "scalar",
        "entries": "[pivot_entry]",
        "pivot_enum": "nothing",
    },
    "pivot_entry": {"values": "[value]", "star_expr": "expression", "alias": "scalar"},
}

NODES: dict[str, Rule] = {
    "SELECT_NODE": {
        "modifiers": "[modifier]",
        "cte_map": "cte_map",
        "select_list": "[expression]",
        "from_table": "ref",
        "where_clause": "expression",
        "group_expressions": "[expression]",
        "group_sets": "anything",
        "aggregate_handling": "scalar",
        "having": "expression",
        "sample": "sample",
        "qualify": "expression",
    },
    "SET_OPERATION_NODE": {
        "modifiers": "[modifier]",
        "cte_map": "cte_map",
        "setop_type": "scalar",
        "left": "node",
        "right": "node",
        "setop_all": "scalar",
        "children": "[node]",
    },
    "RECURSIVE_CTE_NODE": {
        "modifiers": "[modifier]",
        "cte_map": "cte_map",
        "cte_name": "scalar",
        "union_all": "scalar",
        "left": "node",
        "right": "node",
        "aliases": "scalar",
        "key_targets": "[expression]",
        "payload_aggregates": "[expression]",
    },
}

MODIFIERS: dict[str, Rule] = {
    "LIMIT_MODIFIER": {"limit": "expression", "offset": "expression"},
    "LIMIT_PERCENT_MODIFIER": {"limit": "expression", "offset": "expression"},
    "ORDER_MODIFIER": {"orders": "[order]"},
    "DISTINCT_MODIFIER": {"distinct_on_targets": "[expression]"},
}

_REF: Rule = {"alias": "scalar", "sample": "sample", "query_location": "scalar"}

REFS: dict[str, Rule] = {
    "BASE_TABLE": _REF
    | {
        "catalog_name": "scalar",
        "schema_name": "scalar",
        "table_name": "scalar",
        "column_name_alias": "scalar",
        "at_clause": "nothing",
    },
    "SUBQUERY": _REF | {"subquery": "statement", "column_name_alias": "scalar"},
    "JOIN": _REF
    | {
        "left": "ref",
        "right": "ref",
        "condition": "expression",
        "join_type": "scalar",
        "ref_type": "scalar",
        "using_columns": "scalar",
        "delim_flipped": "scalar",
        "duplicate_eliminated_columns": "nothing",
    },
    "TABLE_FUNCTION": _REF
    | {
        "function": "table_function",
        "column_name_alias": "scalar",
        "with_ordinality": "scalar",
    },
    "EXPRESSION_LIST": _REF
    | {"expected_names": "scalar", "expected_types": "[type]", "values": "[[expression]]"},
    "EMPTY": _REF,
    "PIVOT": _REF
    | {
        "source": "ref",
        "aggregates": "[expression]",
        "unpivot_names": "scalar",
        "pivots": "[pivot]",
        "groups": "scalar",
        "column_name_alias": "scalar",
        "include_nulls": "scalar",
    },
    "SHOW_REF": _REF
    | {
        "catalog_name": "nothing",
        "schema_name": "nothing",
        "table_name": "nothing",
        "query": "node",
        "show_type": "show_type",
    },
}

_EXPRESSION: Rule = {"alias": "scalar", "query_location": "scalar"}

EXPRESSIONS: dict[str, Rule] = {
    name: _EXPRESSION | fields
    for name, fields in {
        "BETWEEN": {"input": "expression", "lower": "expression", "upper": "expression"},
        "CASE": {"case_checks": "[case_check]", "else_expr": "expression"},
        "CAST": {"child": "expression", "cast_type": "type", "try_cast": "scalar"},
        "COLLATE": {"child": "expression", "collation": "scalar"},
        "COLUMN_REF": {"column_names": "scalar"},
        "COMPARISON": {"left": "expression", "right": "expression"},
        "CONJUNCTION": {"children": "[expression]"},
        "CONSTANT": {"value": "value"},
        "FUNCTION": {
            "catalog": "nothing",
            "schema": "scalar",
            "function_name": "scalar",
            "children": "[expression]",
            "filter": "expression",
            "order_bys": "order_modifier",
            "distinct": "scalar",
            "is_operator": "scalar",
            "export_state": "nothing",
        },
        "LAMBDA": {"lhs": "expression", "expr": "expression", "syntax_type": "scalar"},
        "OPERATOR": {"children": "[expression]"},
        "POSITIONAL_REFERENCE": {"index": "scalar"},
        "STAR": {
            "relation_name": "scalar",
            "exclude_list": "scalar",
            "replace_list": "[replacement]",
            "columns": "scalar",
            "expr": "expression",
            "qualified_exclude_list": "[qualified_column]",
            "rename_list": "[renaming]",
        },
        "SUBQUERY": {
            "subquery_type": "scalar",
            "subquery": "statement",
            "child": "expression",
            "comparison_type": "scalar",
        },
        "WINDOW": {
            "catalog": "nothing",
            "schema": "scalar",
            "function_name": "scalar",
            "children": "[expression]",
            "partitions": "[expression]",
            "orders": "[order]",
            "start": "scalar",
            "end": "scalar",
            "start_expr": "expression",
            "end_expr": "expression",
            "offset_expr": "expression",
            "default_expr": "expression",
            "ignore_nulls": "scalar",
            "filter_expr": "expression",
            "exclude_clause": "scalar",
            "distinct": "scalar",
            "arg_orders": "[order]",
        },
    }.items()
}

OPERATORS = frozenset(
    {
        "ARRAY_CONSTRUCTOR",
        "ARRAY_EXTRACT",
        "ARRAY_SLICE",
        "COMPARE_IN",
        "COMPARE_NOT_IN",
        "GROUPING_FUNCTION",
        "OPERATOR_COALESCE",
        "OPERATOR_IS_NOT_NULL",
        "OPERATOR_IS_NULL",
        "OPERATOR_NOT",
        "OPERATOR_NULLIF",
        "OPERATOR_TRY",
        "OPERATOR_UNPACK",
        "STRUCT_EXTRACT",
    }
)

SCALAR_TYPES = frozenset(
    """
    BIGINT BIGNUM BIT BLOB BOOLEAN CHAR DATE DOUBLE FLOAT HUGEINT INTEGER INTERVAL NULL SMALLINT
    TIME TIME_NS TIMESTAMP TIMESTAMP_MS TIMESTAMP_NS TIMESTAMP_S TINYINT UBIGINT UHUGEINT UINTEGER
    USMALLINT UTINYINT UUID VARCHAR
    """.split()  # noqa: SIM905 - a list of words reads best as one
) | {"TIMESTAMP WITH TIME ZONE", "TIME WITH TIME ZONE"}
NESTED_TYPES = frozenset({"ARRAY", "DECIMAL", "ENUM", "LIST", "MAP", "STRUCT", "UNION"})
NAMED_TYPES = frozenset({"json", "enum"})
"""Types that the parser leaves to be looked up by name."""
