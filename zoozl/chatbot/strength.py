"""How much the letters count beside the meaning, and how smooth the regression is: chosen by the aliases themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from zoozl.chatbot.lexical import Letters
from zoozl.chatbot.likeness import Likeness, centred
from zoozl.chatbot.ridge import Ridge

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from zoozl.chatbot.ports import Vectors

    Integers = npt.NDArray[np.int64]

STRENGTH = 0.1
STRENGTHS = (0.03, 0.1, 0.3)
SHARES = (0.2, 0.5, 0.9)
# Whole plugins are tried until there are so many aliases.
ENOUGH = 500


def choose(
    likeness: Likeness, owners: Integers, strangers: Sequence[Letters], vectors: Vectors | None
) -> tuple[float, float]:
    """The share of the letters and the strength of the regularisation.

    By what aliases score that are left out (closed form), against `strangers`, whose embedder's vectors are `vectors`:
    how often the right plugin wins and scores above a stranger. Others than the usual are taken only if they are better
    by more than chance would do.
    """
    import numpy as np

    some = _whole_plugins(owners)
    owners = np.unique(owners[some], return_inverse=True)[1]
    if owners.max() == 0 or np.bincount(owners).max() < 2:
        return likeness.share, STRENGTH
    letters = likeness.letters([likeness.texts[i] for i in some])[:, some]
    read, strange_read = likeness.read[some], likeness.reads(strangers)
    strange_letters = likeness.letters(strangers)[:, some]
    meaning = strange_meaning = None
    if likeness.vectors is not None and likeness.centre is not None and vectors is not None:
        meaning = likeness.meaning(likeness.vectors[some])[:, some]
        strange_meaning = likeness.meaning(centred(vectors, likeness.centre))[:, some]
    usual = (likeness.share, STRENGTH)
    worth: dict[tuple[float, float], float] = {}
    count = 1
    for share in SHARES if meaning is not None else (likeness.share,):
        mixed = likeness.with_share(share)
        rows = letters if meaning is None else mixed.mixed(meaning, letters, read, read)
        strange = (
            strange_letters
            if strange_meaning is None
            else mixed.mixed(strange_meaning, strange_letters, strange_read, read)
        )
        for strength in STRENGTHS:
            ridge = Ridge.fit(rows, owners, strength)
            evidence = ridge.evidence()
            above = np.searchsorted(np.sort(ridge.scores(strange).max(axis=1)), evidence.own) / max(len(strange), 1)
            worth[share, strength] = float((evidence.right * above).mean())
            count = len(evidence.own)
    best = max(worth, key=worth.__getitem__)
    chance = (worth[best] * (1 - worth[best]) / count) ** 0.5
    return best if worth[best] - worth[usual] > chance else usual


def _whole_plugins(owners: Integers) -> Integers:
    import numpy as np

    if len(owners) <= ENOUGH:
        return np.arange(len(owners))
    sizes = np.bincount(owners)
    taken = np.cumsum(sizes) <= ENOUGH
    taken[0] = True
    return np.flatnonzero(taken[owners])[: 2 * ENOUGH]
