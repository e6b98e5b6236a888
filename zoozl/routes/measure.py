"""How good a router is on labelled messages: from its decisions to figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

BINS = 10


@dataclass(frozen=True, slots=True)
class Judged:
    """One message and what became of it; "" is no plugin."""

    text: str
    expected: str
    got: str
    nearest: str
    """The best guess, whether or not it was near enough."""
    score: float
    asked: bool = False
    """The talker would have been asked what he meant."""


@dataclass(frozen=True, slots=True)
class Bin:
    """Messages of similar scores, and how many of the best guesses were right."""

    low: float
    high: float
    count: int
    right: int


@dataclass(frozen=True, slots=True)
class Figures:
    """None where there was nothing to measure."""

    meant: int
    """Messages that were for a plugin."""
    strangers: int
    """And for none."""
    accuracy: float | None
    """The share of messages that reached their plugin."""
    rejection: float | None
    """The share of strangers that were refused."""
    auroc: float | None
    """How likely a message for a plugin scores above a stranger."""
    asked: int
    confusions: list[tuple[str, str, int]]
    """Expected, got, how often; the most frequent first."""
    bins: list[Bin]

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "messages": self.meant,
            "out_of_scope": self.strangers,
            "accuracy": self.accuracy,
            "rejection": self.rejection,
            "auroc": self.auroc,
            "asked": self.asked,
            "confusions": [{"expected": e or None, "got": g or None, "count": n} for e, g, n in self.confusions],
            "reliability": [{"from": b.low, "to": b.high, "messages": b.count, "right": b.right} for b in self.bins],
        }


def figures(judged: Sequence[Judged]) -> Figures:
    """Count."""
    meant = [one for one in judged if one.expected]
    strangers = [one for one in judged if not one.expected]
    wrong = Counter((one.expected, one.got) for one in judged if one.got != one.expected)
    return Figures(
        len(meant),
        len(strangers),
        sum(one.got == one.expected for one in meant) / len(meant) if meant else None,
        sum(not one.got for one in strangers) / len(strangers) if strangers else None,
        auroc([one.score for one in meant], [one.score for one in strangers]),
        sum(one.asked for one in judged),
        [(expected, got, count) for (expected, got), count in sorted(wrong.items(), key=lambda i: (-i[1], i[0]))],
        bins(judged),
    )


def auroc(above: Sequence[float], below: Sequence[float]) -> float | None:
    """How likely one of the first scores more than one of the second, ties counting half; None if one is missing."""
    import numpy as np

    if not above or not below:
        return None
    ordered = np.sort(np.asarray(below, np.float64))
    scores = np.asarray(above, np.float64)
    wins = np.searchsorted(ordered, scores, "left") + np.searchsorted(ordered, scores, "right")
    return float(wins.mean() / (2 * len(ordered)))


def bins(judged: Sequence[Judged], count: int = BINS) -> list[Bin]:
    """By score, in equal steps from 0 to 1."""
    rows: list[list[bool]] = [[] for _ in range(count)]
    for one in judged:
        rows[min(int(one.score * count), count - 1)].append(bool(one.expected) and one.nearest == one.expected)
    return [Bin(n / count, (n + 1) / count, len(row), sum(row)) for n, row in enumerate(rows)]
