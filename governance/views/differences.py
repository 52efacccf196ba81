"""Two texts compared line by line, for reading."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import SequenceMatcher


@dataclass(frozen=True, slots=True)
class Line:
    """One line: kept (" "), taken out ("-") or put in ("+"), with its number on either side."""

    mark: str
    text: str
    before: int | None = None
    after: int | None = None

    @property
    def name(self) -> str:
        """Return what became of the line, in a word."""
        return {"-": "gone", "+": "new"}.get(self.mark, "same")


def lines(before: str, after: str) -> list[Line]:
    """Return every line of both texts, those taken out before those put in their place."""
    old, new = before.splitlines(), after.splitlines()
    found: list[Line] = []
    for tag, i1, i2, j1, j2 in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag == "equal":
            pairs = zip(range(i1, i2), range(j1, j2), strict=True)
            found += [Line(" ", old[i], i + 1, j + 1) for i, j in pairs]
            continue
        found += [Line("-", old[i], before=i + 1) for i in range(i1, i2)]
        found += [Line("+", new[j], after=j + 1) for j in range(j1, j2)]
    return found
