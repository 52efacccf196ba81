"""Form and text are the same policy: common shapes shown as fields, everything else left as text.

`form_of` never guesses: what a form could not write back word for word in meaning, it does not
show. Comments are the one thing that a form drops; `has_comments` says so beforehand.
"""

from __future__ import annotations

import re

from governance.domain import PolicyKind
from governance.forms import access, documents
from governance.forms.values import (
    AccessForm,
    FormValues,
    MaskForm,
    RowFilterForm,
    Where,
    Who,
    WhoKind,
)

__all__ = [
    "AccessForm",
    "FormValues",
    "MaskForm",
    "RowFilterForm",
    "Where",
    "Who",
    "WhoKind",
    "form_of",
    "has_comments",
    "text_of",
]

QUOTED = re.compile(r'"(?:\\.|[^"\\])*"|\'(?:\'\'|[^\'])*\'')
CEDAR_STRING = re.compile(r'"(?:\\.|[^"\\])*"')
YAML_COMMENT = re.compile(r"(^|\s)#", re.MULTILINE)


def form_of(kind: PolicyKind, text: str) -> FormValues | None:
    """Return the fields that the text fills; None where no form can show all that it says."""
    match kind:
        case PolicyKind.ACCESS:
            return access.form_of(text)
        case PolicyKind.MASK:
            return documents.mask_form_of(text)
        case PolicyKind.ROW_FILTER:
            return documents.row_filter_form_of(text)


def text_of(values: FormValues) -> str:
    """Return the policy's text for what the fields say; unfinished fields give unfinished text."""
    match values:
        case AccessForm():
            return access.text_of(values)
        case MaskForm():
            return documents.mask_text_of(values)
        case RowFilterForm():
            return documents.row_filter_text_of(values)


def has_comments(kind: PolicyKind, text: str) -> bool:
    """Tell whether the text has comments, which are lost once the form writes it."""
    if kind is PolicyKind.ACCESS:
        return "//" in CEDAR_STRING.sub("", text)
    return YAML_COMMENT.search(QUOTED.sub("", text)) is not None
