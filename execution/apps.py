"""Django's registration of the execution package."""

from __future__ import annotations

import sys
from typing import Any

from django.apps import AppConfig
from django.core import checks

SERVING = frozenset({"check", "demo", "up"})
"""Management commands that start or judge what runs tenant SQL; others need no sandbox."""


class ExecutionConfig(AppConfig):
    name = "execution"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register what `up` and `demo` check first, and what rooms below ask of this one."""
        from catalog.adoption import confinement, definitions  # noqa: PLC0415 - as below
        from catalog.maintenance import leases  # noqa: PLC0415 - needs the models
        from catalog.maintenance import recorded as reads  # noqa: PLC0415 - as above
        from catalog.stored_views import texts  # noqa: PLC0415 - as above
        from catalog.tables import dependents  # noqa: PLC0415 - needs the models
        from execution.dependents import SavedQueries  # noqa: PLC0415 - as above
        from execution.expressions import EngineExpressions  # noqa: PLC0415 - as above
        from execution.importing import SandboxedReader, passes_gate  # noqa: PLC0415 - as above
        from execution.leases import QueryLeases  # noqa: PLC0415 - as above
        from execution.reads import QueryReads  # noqa: PLC0415 - as above
        from execution.recorded import QueryRecordings  # noqa: PLC0415 - as above
        from execution.view_texts import EngineTexts  # noqa: PLC0415 - as above
        from governance import expressions, recorded  # noqa: PLC0415 - as above

        checks.register(check_isolation, "isolation")
        expressions.register(EngineExpressions())
        confinement.register(SandboxedReader())
        definitions.register(passes_gate)
        recorded.register(QueryRecordings())
        leases.register(QueryLeases())
        reads.register(QueryReads())
        dependents.register(SavedQueries())
        texts.register(EngineTexts())


def check_isolation(**_: Any) -> list[checks.CheckMessage]:
    """Refuse a host that isolates less than the operator requires."""
    from execution import isolation  # noqa: PLC0415 - needs the applications to be loaded
    from execution.sandbox import IsolationIncomplete  # noqa: PLC0415 - as above

    if not SERVING.intersection(sys.argv[1:2]):
        return []
    try:
        isolation.require()
    except IsolationIncomplete as incomplete:
        hint = "See docs/how-to/run-with-full-isolation.md, or unset the variable."
        return [checks.Error(str(incomplete), hint=hint, id="upend.E001")]
    return []
