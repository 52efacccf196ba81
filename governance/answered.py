"""Remembers what Cedar answered: to the same policies, the same question has the same answer.

A question is kept whole, with all that is known of who asks and of what is asked about, so that a
change of anything at all asks anew. Only the time is kept as the class of moments that the
policies can tell apart: it never is the same twice.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Sequence
from datetime import datetime
from functools import lru_cache
from hashlib import blake2b

from governance import engine
from governance.classes import Lens, lens
from governance.engine import NOT_EVALUATED, Json, PolicyBundle, Verdict
from governance.keeping import Kept

KEPT = 4096
KEPT_CHARACTERS = 8192
"""Longer questions are not kept: they are about long lists, which are seldom asked for twice."""

_Key = tuple[PolicyBundle, tuple[Hashable, ...], bytes]

_kept: Kept[_Key, list[Verdict]] = Kept(KEPT)


def evaluate(
    policies: PolicyBundle,
    requests: Sequence[Json],
    moments: Sequence[datetime],
    entities: Sequence[Json],
) -> list[Verdict]:
    """Return one verdict per request, in order; `moments` says what time it is for each.

    What could not be evaluated is not kept: each time, the log says so.
    """
    looks = _lens(policies)
    question = json.dumps([[_without_time(one) for one in requests], entities])
    if len(question) > KEPT_CHARACTERS:
        return engine.evaluate(policies, requests, entities)
    digest = blake2b(question.encode(), digest_size=32).digest()
    key = (policies, tuple(map(looks.moment, moments)), digest)
    found = _kept.find(key)
    if found is None:
        found = engine.evaluate(policies, requests, entities)
        if NOT_EVALUATED not in found:
            _kept.keep(key, found)
    return list(found)


def _without_time(request: Json) -> Json:
    context = request["context"]
    assert isinstance(context, dict)  # noqa: S101 - `entities.request` makes it one
    return {**request, "context": {**context, "now": None}}


@lru_cache(maxsize=1024)
def _lens(policies: PolicyBundle) -> Lens:
    return lens(policies.bodies.values())
