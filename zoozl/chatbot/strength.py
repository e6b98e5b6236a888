"""How much the letters count beside the meaning, and how smooth the regression is: chosen by the aliases themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from zoozl.chatbot.lexical import Letters
from zoozl.chatbot.likeness import Likeness, centred
from zoozl.chatbot.ridge import Ridge

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from zoozl.chatbot.ports import Vectors

    Flags = npt.NDArray[np.bool_]
    Integers = npt.NDArray[np.int64]

# What is usual, and what is tried beside it: the regularisation, and the weight of the letters beside that of the
# meaning, where both are measured by how much they vary.
STRENGTH, WEIGHT = 0.1, 0.5
STRENGTHS = (0.03, STRENGTH, 0.3)
WEIGHTS = (0.25, WEIGHT, 2.0, 8.0)
# Letters that vary less say nothing: texts of a language that has no n-grams in common with the background.
FLAT = 0.005
# Whole plugins are tried until there are so many aliases.
ENOUGH = 500


@dataclass(frozen=True, slots=True)
class Strangers:
    """What the background has in common with some aliases, by meaning and by letters."""

    meaning: Vectors | None
    """Kernel values `(strangers, aliases)`; None without a model."""
    letters: Vectors
    read: Flags
    """By stranger: whether the model reads its script."""

    @classmethod
    def of(cls, likeness: Likeness, texts: Sequence[Letters], vectors: Vectors | None, some: Integers) -> Strangers:
        """`vectors` of `texts` as the embedder gave them, or None; of the aliases, `some`."""
        letters, meaning = likeness.letters(texts)[:, some], None
        if likeness.vectors is not None and likeness.centre is not None and vectors is not None:
            meaning = likeness.meaning(centred(vectors, likeness.centre))[:, some]
        return cls(meaning, letters, likeness.reads(texts))

    def share(self, weight: float, read: Flags) -> float:
        """The share of the letters in the sum of two kernels that gives them this weight; `read` by alias.

        How much a kernel varies depends on the embedder and on the language, so that a share alone says little.
        """
        import numpy as np

        if self.meaning is None:
            return 1.0
        where = np.ix_(self.read, read)
        if not self.read.any() or not read.any():
            return weight / (1 + weight)
        part = weight * float(self.meaning[where].std()) / max(float(self.letters[where].std()), FLAT)
        return part / (1 + part)


def usual(likeness: Likeness, strangers: Sequence[Letters], vectors: Vectors | None) -> float:
    """The share of the letters where nothing is tried."""
    import numpy as np

    everything = np.arange(len(likeness.texts))
    return Strangers.of(likeness, strangers, vectors, everything).share(WEIGHT, likeness.read)


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
    read, strange = likeness.read[some], Strangers.of(likeness, strangers, vectors, some)
    default = strange.share(WEIGHT, read), STRENGTH
    if owners.max() == 0 or np.bincount(owners).max() < 2:
        return default
    letters = likeness.letters([likeness.texts[i] for i in some])[:, some]
    meaning = None if likeness.vectors is None else likeness.meaning(likeness.vectors[some])[:, some]
    worth: dict[tuple[float, float], float] = {}
    count = 1
    for weight in WEIGHTS if meaning is not None else (WEIGHT,):
        share = strange.share(weight, read)
        mixed = likeness.with_share(share)
        rows, strange_rows = letters, strange.letters
        if meaning is not None and strange.meaning is not None:
            rows = mixed.mixed(meaning, letters, read, read)
            strange_rows = mixed.mixed(strange.meaning, strange.letters, strange.read, read)
        for strength in STRENGTHS:
            ridge = Ridge.fit(rows, owners, strength)
            own, right = ridge.left_out_of_own()
            above = np.searchsorted(np.sort(ridge.scores(strange_rows).max(axis=1)), own) / max(len(strange_rows), 1)
            # Where siblings mostly do not find each other they are about other things, and finding them is luck.
            found = right.mean() >= 0.5 or (share, strength) == default
            worth[share, strength] = float((right * above).mean()) if found else 0.0
            count = len(own)
    best = max(worth, key=worth.__getitem__)
    chance = (worth[best] * (1 - worth[best]) / count) ** 0.5
    return best if worth[best] - worth[default] > chance else default


def _whole_plugins(owners: Integers) -> Integers:
    import numpy as np

    if len(owners) <= ENOUGH:
        return np.arange(len(owners))
    sizes = np.bincount(owners)
    taken = np.cumsum(sizes) <= ENOUGH
    taken[0] = True
    return np.flatnonzero(taken[owners])[: 2 * ENOUGH]
