"""Where to cut between "meant" and "not meant", from the aliases alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from zoozl.chatbot.ports import Vectors

    Flags = npt.NDArray[np.bool_]

# Without evidence: what refuses so many of the background and of the aliases of others; the mean of the two.
STRANGERS, FOREIGN = 0.99, 0.8
# As many aliases that were found by their siblings weigh as much as that.
WEIGHT = 10
# For tables in which nothing is near to anything, or everything.
LEAST, MOST = 0.05, 0.5


def cut(own: Vectors, right: Flags, foreign: Vectors, strangers: Vectors) -> float:
    """The score above which a message is meant.

    `own`: scores of aliases for their plugin, themselves left out; `right`: whether that plugin won; `foreign`: scores
    of aliases without their plugin; `strangers`: best scores of the background. The cut that keeps the most of the
    right and the fewest of the others, drawn towards a prior the more the fewer were right.
    """
    import numpy as np

    others = [scores for scores in (strangers, foreign) if len(scores)]
    refusing = [np.quantile(s, share) for s, share in ((strangers, STRANGERS), (foreign, FOREIGN)) if len(s)]
    prior = min(max(float(np.mean(refusing)), LEAST), MOST) if refusing else MOST
    if not right.any():
        return prior
    grid = np.linspace(0.01, 0.6, 237, dtype=np.float32)
    worth = 1 - _below(own[right], grid)
    if others:
        worth += np.mean([_below(scores, grid) for scores in others], axis=0)
    best = float(grid[worth >= worth.max() - 0.003].mean())
    # An alias that is not found says nothing of how messages score that are meant, and where few are, those were luck.
    weight = float(right.sum() * right.mean())
    return (weight * best + WEIGHT * prior) / (weight + WEIGHT)


def _below(scores: Vectors, grid: Vectors) -> Vectors:
    """The share of scores below each place of the grid, smoothed: a few aliases have gaps that mean nothing."""
    import numpy as np

    places, scores = _scale(grid), _scale(scores)
    # Scott's rule of thumb, about; half or twice of it does as well.
    width = max(float(scores.std()), 0.1) * len(scores) ** -0.2
    if len(scores) > 1_000:
        # The shape is known well enough by then.
        scores = scores[:: len(scores) // 1_000]
    found: Vectors = (0.5 + 0.5 * np.tanh(0.851 * (places - scores[:, None]) / width)).mean(axis=0)
    return found


def _scale(scores: Vectors) -> Vectors:
    """Scores grow by factors, not by steps."""
    import numpy as np

    found: Vectors = np.log(np.maximum(scores, 0) + 0.02)
    return found
