"""Form and text are one policy: what the form writes it reads back, and it never guesses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from governance.domain import MaskMethod, PolicyKind
from governance.forms import (
    AccessForm,
    FormValues,
    MaskForm,
    RowFilterForm,
    Where,
    Who,
    WhoKind,
    form_of,
    has_comments,
    text_of,
)
from governance.forms.values import ACTIONS, PARAMETERS

names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
attributes = st.builds(
    lambda name, value: Who(WhoKind.ATTRIBUTE, f"{name.replace('=', '-')}={value}"), names, names
)
named = st.builds(Who, st.sampled_from([k for k in WhoKind if k != WhoKind.ATTRIBUTE]), names)
anyone = st.lists(named | attributes, max_size=4).map(tuple)
numbers = st.decimals(-(10**12), 10**12, places=3).map(str) | st.integers(0, 10**17).map(str)


@st.composite
def masks(draw: st.DrawFn) -> MaskForm:
    """Draw a mask whose parameter is the one of its method."""
    method = draw(st.sampled_from(list(MaskMethod)))
    return MaskForm(
        columns=tuple(draw(st.lists(names, max_size=4))),
        tags=tuple(draw(st.lists(names, max_size=2))),
        method=method,
        parameter=draw(names | numbers) if method in PARAMETERS else "",
        exempt=draw(anyone),
    )


row_filters = st.builds(
    RowFilterForm, where=st.text(st.characters(exclude_categories=["Cs"])), exempt=anyone
)
wheres = st.builds(
    Where,
    approved=st.booleans(),
    managed=st.booleans(),
    disk_encrypted=st.booleans(),
    mfa=st.booleans(),
    network=st.sampled_from(["", "10.0.0.0/8", "2001:db8::/32"]),
    max_bytes=st.none() | st.integers(0, 2**62),
    until=st.just("") | st.dates().map(str),
)
accesses = st.builds(
    AccessForm,
    forbids=st.booleans(),
    who=st.lists(named, max_size=3).map(tuple),
    exempt=st.lists(named, max_size=3).map(tuple),
    actions=st.lists(st.sampled_from(ACTIONS), unique=True).map(tuple),
    where=wheres,
)
KINDS = {
    AccessForm: PolicyKind.ACCESS,
    MaskForm: PolicyKind.MASK,
    RowFilterForm: PolicyKind.ROW_FILTER,
}


@given(masks() | row_filters | accesses)
def test_it_reads_back_what_it_wrote(values: FormValues) -> None:
    assert form_of(KINDS[type(values)], text_of(values)) == values


def test_it_writes_a_mask_as_a_person_would() -> None:
    form = MaskForm(
        columns=("email", "info.iban"),
        tags=("personal-data",),
        method=MaskMethod.PARTIAL,
        parameter="4",
        exempt=(Who(WhoKind.GROUP, "hr"), Who(WhoKind.ATTRIBUTE, "department=hr")),
    )
    assert text_of(form) == (
        "columns: [email, info.iban, {tag: personal-data}]\n"
        "method: partial\n"
        "keep_last: 4\n"
        "except:\n"
        "  - group: hr\n"
        "  - attribute: {department: hr}\n"
    )


def test_it_writes_access_as_a_person_would() -> None:
    form = AccessForm(
        forbids=True,
        exempt=(Who(WhoKind.GROUP, "hr"), Who(WhoKind.USER, "ana@x.example")),
        actions=(ACTIONS[1],),
        where=Where(managed=True, max_bytes=1_000_000),
    )
    assert text_of(form) == (
        "forbid (\n"
        "  principal,\n"
        '  action in [Action::"table.materialize_locally"],\n'
        "  resource\n"
        ")\n"
        'unless { principal in Group::"hr" || principal == User::"ana@x.example" }\n'
        "unless { context.device.managed && context.bytes <= 1000000 };\n"
    )


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (PolicyKind.MASK, "columns: [a]\nmethod: shuffle\n"),
        (PolicyKind.MASK, "columns: [a]\nmethod: null\nwhen: tuesday\n"),
        (PolicyKind.MASK, "columns: [a]\nmethod: null\nvalue: 1\n"),
        (PolicyKind.MASK, "columns: [a]\nmethod: constant\nvalue: yes\n"),
        (PolicyKind.MASK, "columns: [a]\nmethod: partial\nkeep_last: 0x10\n"),
        (PolicyKind.MASK, "columns: [a]\nmethod: null\nmethod: hide\n"),
        (PolicyKind.MASK, "columns: [{tag: a, column: b}]\nmethod: null\n"),
        (PolicyKind.MASK, "columns: [a\n"),
        (PolicyKind.ROW_FILTER, "where: [region]\n"),
        (PolicyKind.ROW_FILTER, "where: 1\nexcept: [{team: hr}]\n"),
        (PolicyKind.ACCESS, 'permit (principal, action == Action::"audit.read", resource);'),
        (PolicyKind.ACCESS, "permit (principal, action, resource);"),
        (PolicyKind.ACCESS, 'permit (principal, action in [], resource == Table::"a.b.c");'),
        (PolicyKind.ACCESS, "permit (principal, action in [], resource) when { true };"),
        (PolicyKind.ACCESS, '@id("a") permit (principal, action in [], resource);'),
        (
            PolicyKind.ACCESS,
            "permit (principal, action in [], resource) unless { context.mfa };",
        ),
        (
            PolicyKind.ACCESS,
            "permit (principal, action in [], resource) when { context.mfa || context.mfa };",
        ),
        (
            PolicyKind.ACCESS,
            (
                "permit (principal, action in [], resource) "
                'when { context.network.address.isInRange(ip("10.0.0.0/8")) };'
            ),
        ),
        (PolicyKind.ACCESS, "permit (principal, action in [], resource"),
    ],
)
def test_it_leaves_what_has_no_field_as_text(kind: PolicyKind, text: str) -> None:
    assert form_of(kind, text) is None


def test_it_takes_clauses_in_another_order_and_one_action_by_itself() -> None:
    text = (
        'permit (principal, action == Action::"table.query", resource)\n'
        'when { context.mfa } when { principal == ServiceAccount::"etl" };'
    )
    form = form_of(PolicyKind.ACCESS, text)
    assert form == AccessForm(
        who=(Who(WhoKind.SERVICE_ACCOUNT, "etl"),),
        actions=(ACTIONS[0],),
        where=Where(mfa=True),
    )


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        (PolicyKind.MASK, "columns: [a] # names\nmethod: hide", True),
        (PolicyKind.MASK, 'columns: ["a # b"]\nmethod: hide', False),
        (PolicyKind.ACCESS, "// why\npermit (principal, action, resource);", True),
        (PolicyKind.ACCESS, 'permit (principal in Group::"http://x", action, resource);', False),
    ],
)
def test_it_says_where_comments_would_be_lost(kind: PolicyKind, text: str, expected: bool) -> None:
    assert has_comments(kind, text) is expected
