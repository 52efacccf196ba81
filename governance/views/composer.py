"""What the editor of a policy shows: its fields or its text, and what there is to choose from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Q
from django.http import QueryDict

from accounts.models import Group, Organization, ServiceAccount, User
from governance import examination, policy_files
from governance.domain import Action, MaskMethod, PolicyKind, Securable, SecurableKind
from governance.forms import (
    AccessForm,
    FormValues,
    MaskForm,
    Who,
    WhoKind,
    form_of,
    has_comments,
    text_of,
)
from governance.forms.posted import size_text, values_of
from governance.forms.values import PARAMETERS
from governance.models import Policy, PolicyVersion, TagAssignment
from governance.scopes import scope_of
from governance.tags import own_column_tags
from workspaces.domain import WorkspaceRole

FEW = 6
MOST = 12
METHODS: tuple[tuple[MaskMethod, str, str, str], ...] = (
    (MaskMethod.NULL, "Nothing", "the cell is empty", ""),
    (MaskMethod.PARTIAL, "Last characters", "****4417", "4"),
    (MaskMethod.HMAC, "A code", "a81f…, equal where values are", ""),
    (MaskMethod.CONSTANT, "A fixed value", "confidential", "confidential"),
    (MaskMethod.EMAIL_DOMAIN, "E-mail domain", "example.com", ""),
    (MaskMethod.DATE_TRUNC, "Rounded date", "2026-11-01", "month"),
    (MaskMethod.BUCKET, "Rounded number", "42,000", "1000"),
    (MaskMethod.HIDE, "No column at all", "as if it did not exist", ""),
    (MaskMethod.EXPRESSION, "SQL", "over the columns of the same row", ""),
)
UNITS = ("minute", "hour", "day", "week", "month", "quarter", "year")
DEEDS = (
    (Action.TABLE_QUERY, "Query", "on the server"),
    (Action.TABLE_MATERIALIZE_LOCALLY, "Take raw files", "to their own machine"),
    (Action.TABLE_MATERIALIZE_EXTRACT, "Take a governed extract", "with masks and filters applied"),
    (Action.TABLE_APPEND, "Append", "files to it"),
    (Action.CATALOG_BROWSE, "Browse", "know that it exists, and its columns"),
)
WHO = {
    WhoKind.ATTRIBUTE: ("attribute", "tag"),
    WhoKind.GROUP: ("group", "users"),
    WhoKind.ROLE: ("role", "shield-check"),
    WhoKind.SERVICE_ACCOUNT: ("program", "terminal"),
    WhoKind.USER: ("person", "user"),
}


@dataclass(frozen=True, slots=True)
class Chosen:
    """One principal as the form shows it."""

    who: Who

    @property
    def kind(self) -> str:
        """Return the kind as people say it."""
        return WHO[self.who.kind][0]

    @property
    def icon(self) -> str:
        """Return the icon that stands for the kind."""
        return WHO[self.who.kind][1]

    @property
    def name(self) -> str:
        """Return the name as it is shown."""
        return self.who.name.replace("=", " = ", 1) if self.kind == "attribute" else self.who.name


@dataclass(frozen=True, slots=True)
class Draft:
    """What is being written: text always, fields where the form is what is open."""

    text: str
    tests_text: str
    fields: FormValues | None

    @property
    def is_form(self) -> bool:
        """Tell whether the form is open, not the text."""
        return self.fields is not None


def opened(policy: Policy, version: PolicyVersion) -> Draft:
    """Return a version as the editor first shows it: as a form, unless that would lose comments."""
    text, kind = examination.shown_text(version), PolicyKind(policy.kind)
    fields = None if has_comments(kind, text) else form_of(kind, text)
    return Draft(text, tests_text_of(examination.shown_tests(version)), fields)


def posted(policy: Policy, sent: QueryDict) -> Draft:
    """Return what the editor sent; `to` is the face of the policy that it asks for."""
    kind, tests = PolicyKind(policy.kind), sent.get("tests", "").replace("\r\n", "\n")
    if sent.get("mode") == "form":
        fields: FormValues | None = values_of(kind, sent)
        text = text_of(fields) if fields is not None else ""
    else:
        fields, text = None, sent.get("text", "").replace("\r\n", "\n")
    if (to := sent.get("to")) == "form" and fields is None:
        fields = form_of(kind, text)
    elif to == "text":
        fields = None
    return Draft(text, tests, fields)


def tests_text_of(tests: Sequence[object]) -> str:
    """Return the tests of a policy as they are written: a line each."""
    return policy_files.dump_tests(tests)


def tests_of(text: str) -> list[Any]:
    """Return the tests that a text says. Raises `PolicyFileInvalid` with the line that is wrong."""
    return policy_files.load_tests(text)


def context_of(policy: Policy, draft: Draft) -> dict[str, Any]:
    """Return what the editor's template needs besides the draft."""
    kind = PolicyKind(policy.kind)
    context: dict[str, Any] = {
        "draft": draft,
        "could_be_form": draft.fields is not None or form_of(kind, draft.text) is not None,
        "loses_comments": draft.fields is None and has_comments(kind, draft.text),
        "test_example": _test_example(policy),
    }
    organization = policy.workspace.organization
    match draft.fields:
        case MaskForm() as form:
            context |= _mask_context(policy, form)
        case AccessForm() as form:
            context |= {
                "deeds": DEEDS,
                "who": [Chosen(one) for one in form.who],
                "size": size_text(form.where.max_bytes),
                "who_suggestions": suggestions(organization, "", form.who, FEW),
            }
        case _:
            context |= {"columns": column_chips(scope_of(policy), (), ())[0]}
    if draft.fields is not None:
        exempt = draft.fields.exempt
        context["exempt"] = [Chosen(one) for one in exempt]
        context["exempt_suggestions"] = suggestions(
            organization, "", exempt, FEW, with_attributes=kind is not PolicyKind.ACCESS
        )
    return context


def _mask_context(policy: Policy, form: MaskForm) -> dict[str, Any]:
    columns, tags = column_chips(scope_of(policy), form.columns, form.tags)
    shown = {name for name, _, _ in columns}
    return {
        "columns": columns,
        "tags": tags,
        "other_columns": ", ".join(name for name in form.columns if name not in shown),
        "methods": [
            (
                method.value,
                title,
                example,
                PARAMETERS.get(method, ""),
                form.parameter if form.method is method else default,
            )
            for method, title, example, default in METHODS
        ],
        "units": UNITS,
    }


def column_chips(
    scope: Securable, chosen: Iterable[str], chosen_tags: Iterable[str]
) -> tuple[list[tuple[str, str, bool]], list[tuple[str, bool]]]:
    """Return the columns (name, type, whether chosen) and tags that a scope offers."""
    picked = {name.lower() for name in chosen}
    columns = [(c.name, c.type, c.name.lower() in picked) for c in scope.columns]
    on = set(chosen_tags)
    known = on | _tags_of_columns(scope)
    return columns, [(tag, tag in on) for tag in sorted(known)]


def _tags_of_columns(scope: Securable) -> set[str]:
    """Return the tags that columns bear: those of the table, or any in the organization."""
    if scope.kind is SecurableKind.TABLE:
        return set().union(*own_column_tags(scope).values())
    rows = TagAssignment.objects.filter(organization_id=scope.organization_id, table_key__gt="")
    return set(rows.values_list("tag", flat=True).distinct()[:MOST])


def suggestions(
    organization: Organization,
    text: str,
    chosen: Iterable[Who],
    limit: int = MOST,
    *,
    with_attributes: bool = True,
) -> list[Chosen]:
    """Return principals to choose from: groups first, then roles, people and programs by name."""
    named = text.strip()
    groups = Group.objects.filter(organization=organization, name__icontains=named)
    found = [Who(WhoKind.GROUP, name) for name in groups.values_list("name", flat=True)[:limit]]
    found += [Who(WhoKind.ROLE, role) for role in WorkspaceRole if named.lower() in role]
    if named:
        people = User.objects.filter(organization=organization, is_active=True)
        matching = people.filter(
            Q(email__icontains=named)
            | Q(first_name__icontains=named)
            | Q(last_name__icontains=named)
        )
        found += [
            Who(WhoKind.USER, email) for email in matching.values_list("email", flat=True)[:limit]
        ]
        programs = ServiceAccount.objects.filter(
            organization=organization, disabled_at=None, name__icontains=named
        )
        found += [
            Who(WhoKind.SERVICE_ACCOUNT, name)
            for name in programs.values_list("name", flat=True)[:limit]
        ]
        attribute = Who.parse(f"attribute:{'='.join(p.strip() for p in named.split('=', 1))}")
        if with_attributes and attribute is not None:
            found.insert(0, attribute)
    taken = set(chosen)
    return [Chosen(one) for one in found if one not in taken][:limit]


def _test_example(policy: Policy) -> str:
    on = f", on: {policy.scope_label}" if policy.scope_key.startswith("table:") else ""
    expect = {
        PolicyKind.MASK: "allow, masked: [email]",
        PolicyKind.ROW_FILTER: "allow, filtered: true",
        PolicyKind.ACCESS: "deny",
    }[PolicyKind(policy.kind)]
    return f"- {{principal: ana@example.com{on}, expect: {expect}}}"
