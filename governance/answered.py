"""Remembers what Cedar answered: to the same policies, the same question has the same answer.

A question is kept whole, with all that is known of who asks and of what is asked about, so that a
change of anything at all asks anew. Only the time is kept as the class of moments that the
policies can tell apart: it never is the same twice.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from datetime import datetime
from functools import lru_cache

from governance import engine
from governance.classes import Lens, lens
from governance.engine import NOT_EVALUATED, Json, PolicyBundle, Verdict
from governance.keeping import Kept

KEPT = 4096

Question = tuple[Hashable, ...]
"""All that Cedar is told but the time: `governance.entities` says what of each thing."""

_kept: Kept[tuple[PolicyBundle, tuple[Hashable, ...], Question], list[Verdict]] = Kept(KEPT)


def evaluate(
    policies: PolicyBundle,
    question: Question,
    moments: Sequence[datetime],
    spell: Callable[[], tuple[Sequence[Json], Sequence[Json]]],
) -> list[Verdict]:
    """Return one verdict for each request of a question, in order.

    `moments` says what time it is for each, `spell` returns the requests and entities as Cedar
    reads them. What could not be evaluated is not kept: each time, the log says so.
    """
    key = (policies, tuple(map(_lens(policies).moment, moments)), question)
    found = _kept.find(key)
    if found is None:
        found = engine.evaluate(policies, *spell())
        if NOT_EVALUATED not in found:
            _kept.keep(key, found)
    return list(found)


@lru_cache(maxsize=1024)
def _lens(policies: PolicyBundle) -> Lens:
    return lens(policies.bodies.values())
