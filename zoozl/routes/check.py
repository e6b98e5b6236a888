"""What is likely to go wrong with a table of aliases, told from the table alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from zoozl.chatbot.interface import HELP
from zoozl.chatbot.lexical import one_slip
from zoozl.chatbot.scorer import NEARLY, THRESHOLD, Scorer

if TYPE_CHECKING:
    from zoozl.chatbot.ports import Vectors

# Kernel value from which two aliases are the same for most messages: a cosine of 0.9, seen from the background.
SAME = 0.7
FEW = 3
AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class Warn:
    """Something to look at. `kind` is "collision", "stray", "few" or "threshold"."""

    kind: str
    plugin: str
    text: str


def check(scorer: Scorer, names: Mapping[int, str]) -> list[Warn]:
    """All of it; `names` has each plugin's by its number in the scorer. Takes a moment for large tables, and blocks."""
    if scorer.model is None:
        return []
    left_out = scorer.model.left_out()
    return [
        *_collisions(scorer, names),
        *_strays(scorer, names, left_out),
        *_few(scorer, names),
        *_thresholds(scorer, names, left_out),
    ]


def scaled(scorer: Scorer, score: float) -> float:
    """A score of the regression as thresholds are written."""
    return max(score, 0.0) / (max(score, 0.0) + scorer.cut)


def _collisions(scorer: Scorer, names: Mapping[int, str]) -> Iterator[Warn]:
    import numpy as np

    owners = np.asarray(scorer.owners)
    texts = scorer.likeness.texts
    for start in range(0, len(owners), AT_ONCE):
        which = np.arange(start, min(start + AT_ONCE, len(owners)))
        rows = scorer.likeness.of_aliases(which)
        rows[owners[which][:, None] == owners] = -1
        for i, j in np.argwhere(rows > SAME / 3):
            one, other = int(which[i]), int(j)
            near = rows[i, j] >= SAME or one_slip(texts[one].folded, texts[other].folded)
            if one < other and near:
                yield Warn(
                    "collision",
                    names[scorer.owners[one]],
                    f'"{scorer.aliases[one]}" collides with "{scorer.aliases[other]}" of {names[scorer.owners[other]]}',
                )


def _strays(scorer: Scorer, names: Mapping[int, str], left_out: Vectors) -> Iterator[Warn]:
    import numpy as np

    numbers = sorted(set(scorer.owners))
    owners = np.asarray(scorer.owners)
    for index, alias in enumerate(scorer.aliases):
        own = scorer.owners[index]
        if alias == HELP or np.count_nonzero(owners == own) < 2:
            continue
        winner = numbers[int(left_out[index].argmax())]
        if winner == own:
            continue
        mine = np.flatnonzero(owners == winner)
        row = scorer.likeness.of_aliases(np.array([index]))[0, mine]
        nearest = int(mine[row.argmax()])
        if scaled(scorer, float(left_out[index].max())) >= scorer.threshold(nearest):
            yield Warn(
                "stray",
                names[own],
                f'"{alias}" is nearer to {names[winner]} ("{scorer.aliases[nearest]}") than to the other aliases of '
                f"{names[own]}: paraphrases of it will go there",
            )


def _few(scorer: Scorer, names: Mapping[int, str]) -> Iterator[Warn]:
    phrases: dict[int, list[str]] = {}
    for alias, owner in zip(scorer.aliases, scorer.owners, strict=True):
        if alias != HELP:
            phrases.setdefault(owner, []).append(alias)
    for owner, mine in phrases.items():
        if len(mine) < FEW:
            count = "one alias" if len(mine) == 1 else f"{len(mine)} aliases"
            yield Warn("few", names[owner], f"has {count}; {FEW} or more are understood much better")


def _thresholds(scorer: Scorer, names: Mapping[int, str], left_out: Vectors) -> Iterator[Warn]:
    """Where one that was set refuses what the automatic one would take: each alias as if it were a message."""
    numbers = sorted(set(scorer.owners))
    for place, owner in enumerate(numbers):
        mine = [i for i, other in enumerate(scorer.owners) if other == owner]
        strict = [scorer.aliases[i] for i in mine if scorer.threshold(i) > NEARLY]
        if strict:
            yield Warn("threshold", names[owner], f"only by the letter: {_listed(strict)}, whose threshold is too high")
        if len(mine) < 2:
            continue
        scores = {i: scaled(scorer, float(left_out[i, place])) for i in mine if left_out[i].argmax() == place}
        lost = [i for i, score in scores.items() if THRESHOLD <= score < scorer.threshold(i) <= NEARLY]
        if lost:
            yield Warn(
                "threshold",
                names[owner],
                f"its threshold refuses {len(lost)} of its own {len(mine)} aliases, each taken as a message: "
                f"{_listed([scorer.aliases[i] for i in lost])} (best {max(scores[i] for i in lost):.2f})",
            )


def _listed(aliases: Sequence[str], most: int = 3) -> str:
    quoted = ", ".join(f'"{alias}"' for alias in aliases[:most])
    return quoted if len(aliases) <= most else f"{quoted} and {len(aliases) - most} more"
