"""What talkers said in vain, gathered into groups that may be worth an alias, or a plugin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zoozl.chatbot.ports import Vectors

# Cosine, seen from the background, from which two texts are about the same.
ALIKE = 0.45
# Texts of a group that are shown.
SHOWN = 5


@dataclass(frozen=True, slots=True)
class Group:
    """Texts that are about the same, by their numbers: the one in the middle first, then the nearest to it."""

    members: tuple[int, ...]
    weight: int
    """Messages, counting what was said twice as two."""


def groups(vectors: Vectors, counts: Sequence[int], alike: float = ALIKE) -> list[Group]:
    """Put each text into a group, the heaviest group first.

    The text with the most messages around it takes all around it, then the next of those that are left. `vectors` are
    centred and of length 1; `counts` says how often each text was said.
    """
    import numpy as np

    if not counts:
        return []
    cosines = vectors @ vectors.T
    np.fill_diagonal(cosines, 1.0)
    weights = np.asarray(counts, np.int64)
    near = cosines >= alike
    free = np.ones(len(counts), np.bool_)
    found = []
    while free.any():
        around = (near & free) @ weights
        around[~free] = -1
        middle = int(around.argmax())
        members = np.flatnonzero(near[middle] & free)
        free[members] = False
        ordered = sorted(members.tolist(), key=lambda i: (i != middle, -float(cosines[middle, i])))
        found.append(Group(tuple(ordered), int(weights[members].sum())))
    return sorted(found, key=lambda group: -group.weight)
