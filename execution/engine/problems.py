"""What a person is told when a run ends badly: classes and hints, never the engine's own words.

Engine text carries values, URLs and names that the person may not see. Owners of the data get a
redacted form, which travels as the cause of the problem: `EngineError`.
"""

from __future__ import annotations

import signal

from catalog.storage import StorageUnreachable
from problems import Problem


class EngineError(Exception):
    """What the engine said, redacted: the cause of a problem, never shown with it."""


def engine_words(problem: Problem) -> str:
    """Return what the engine said, redacted; empty where the problem is not the engine's."""
    return str(problem.__cause__) if isinstance(problem.__cause__, EngineError) else ""


class QueryCancelled(Problem):
    """Someone asked for the run to stop."""

    code = "query-cancelled"
    status = 409
    title = "The query was cancelled"


class QueryTimeout(Problem):
    """The run took longer than the workspace allows."""

    code = "query-timeout"
    status = 422
    title = "The query took too long"


class QueryOutOfMemory(Problem):
    """The run needed more memory or scratch space than the workspace allows."""

    code = "query-out-of-memory"
    status = 422
    title = "The query needs more memory than it may have"

    outgrew_limit = False
    """The engine itself kept to its memory limit and gave up: with more it may succeed."""


class QueryFailed(Problem):
    """The engine refused or could not finish the query; `reason` is a stable class."""

    code = "query-failed"
    status = 422
    title = "The query failed while it ran"


class EngineDied(Problem):
    """The engine process ended without an answer."""

    code = "engine-died"
    status = 500
    title = "The engine process died"


LESS = "Ask for fewer rows or columns, aggregate earlier, or have an owner raise the limit."

_FAILURES: dict[str, tuple[str, str, str]] = {
    "BinderException": (
        "binding",
        "The engine could not match a name or a type in the query.",
        "Check column names and argument types; `upend explain` shows what the plan sees.",
    ),
    "CatalogException": (
        "binding",
        "The engine does not know a name in the query.",
        "Check the names of tables and functions.",
    ),
    "ConversionException": (
        "conversion",
        "A value could not be converted to the type asked for.",
        "Use TRY_CAST to get NULL in place of values that do not convert.",
    ),
    "InvalidInputException": (
        "invalid-input",
        "A function was given a value it does not accept.",
        "Check the arguments, or guard the call with CASE or TRY().",
    ),
    "NotImplementedException": (
        "not-implemented",
        "The engine does not support this combination of operation and type.",
        "Write the query another way, or cast to another type first.",
    ),
    "OutOfRangeException": (
        "out-of-range",
        "A calculation left the range of its type.",
        "Cast to a wider type first, for example HUGEINT or DOUBLE.",
    ),
    "TypeMismatchException": (
        "conversion",
        "Two values of different types cannot be combined.",
        "Cast one of them explicitly.",
    ),
}


def problem_of(engine_class: str, memory_bytes: int) -> Problem:
    """Translate the class of an engine's exception; its text is not looked at."""
    if engine_class in {"OutOfMemoryException", "MemoryError"}:
        problem = out_of_memory(memory_bytes)
        problem.outgrew_limit = True
        return problem
    if engine_class in {"HTTPException", "IOException"}:
        return StorageUnreachable(
            "The engine could not read a file of the tables, or not in time.",
            hint="Run it again; if it persists, ask an owner to check the bucket.",
        )
    reason, detail, hint = _FAILURES.get(
        engine_class,
        (
            "internal",
            "The engine stopped with an internal error.",
            "Write the query another way; the query's id leads an operator to the record.",
        ),
    )
    return QueryFailed(detail, hint=hint, reason=reason)


def out_of_memory(memory_bytes: int) -> QueryOutOfMemory:
    """Return the problem of a run that outgrew its memory."""
    return QueryOutOfMemory(
        f"It outgrew the {memory_bytes / 2**20:,.0f} MiB of memory and scratch space it may use.",
        hint=LESS,
        memory_bytes=memory_bytes,
    )


def timed_out(seconds: float) -> QueryTimeout:
    """Return the problem of a run that outlived its deadline."""
    return QueryTimeout(
        f"It was stopped after {seconds:,.0f} s, which is as long as it may run.",
        hint=LESS,
    )


def died(returncode: int, memory_bytes: int) -> Problem:
    """Return the problem of a process that ended by itself, without an answer.

    `returncode` is as `Popen` gives it: negative for the signal that ended the process.
    """
    if returncode == -signal.SIGKILL:
        return QueryOutOfMemory(
            "The operating system ended the engine process, as it does when memory runs out.",
            hint=LESS,
            memory_bytes=memory_bytes,
        )
    if returncode == -signal.SIGXCPU:
        return QueryTimeout("It used up the processor time it may use.", hint=LESS)
    if returncode == -signal.SIGXFSZ:
        return out_of_memory(memory_bytes)
    how = signal.Signals(-returncode).name if returncode < 0 else f"exit status {returncode}"
    return EngineDied(
        f"The engine process ended without an answer ({how}); no other query was affected.",
        hint="Run it again; if it persists, write the query another way.",
        returncode=returncode,
    )
