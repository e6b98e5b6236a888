"""Which alias is nearest: the seam where a better scorer goes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from zoozl.chatbot.ports import Vectors

# Measured for plain best match over 5 to 150 plugins: a compromise between messages that are lost to help
# and messages that are taken by the wrong plugin.
THRESHOLD = 0.5


@dataclass(frozen=True, slots=True)
class Match:
    """An alias, by its place in the table, its score, and the score it has to reach."""

    index: int
    score: float
    threshold: float

    @property
    def accepted(self) -> bool:
        """Whether it is near enough to be meant."""
        return self.score >= self.threshold


class Scorer(Protocol):
    """Made from a table of aliases, asked for every new text."""

    def best(self, vector: Vectors) -> Match | None:
        """The nearest alias to a `(d,) float32` vector of unit length; None if the table is empty."""
        ...


class BestMatch:
    """The alias with the highest cosine, one threshold for all."""

    def __init__(self, owners: Sequence[int], vectors: Vectors, threshold: float | None = None) -> None:
        """`vectors` is `(n, d) float32`, a row per alias; `owners[i]` is the plugin that alias i belongs to."""
        self._vectors = vectors.astype("float32")
        self._threshold = THRESHOLD if threshold is None else threshold

    def best(self, vector: Vectors) -> Match | None:
        """See Scorer."""
        if not len(self._vectors):
            return None
        scores = self._vectors @ vector
        index = int(scores.argmax())
        return Match(index, float(scores[index]), self._threshold)
