"""Quotes what goes into the writer's SQL."""


def quoted_name(identifier: str) -> str:
    """Return a quoted identifier."""
    return '"' + identifier.replace('"', '""') + '"'


def quoted_text(value: str) -> str:
    """Return a quoted string literal."""
    return "'" + value.replace("'", "''") + "'"
