"""Where to cut between "meant" and "not meant", from the aliases alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from zoozl.chatbot.ports import Vectors

    Flags = npt.NDArray[np.bool_]

# The prior: strangers' upper tenth and a little more, within what tables of all sizes and kinds had in common.
ABOVE, LEAST, MOST = 0.06, 0.05, 0.16
# As many aliases with siblings weigh as much as the prior.
WEIGHT = 30


def cut(own: Vectors, right: Flags, foreign: Vectors, strangers: Vectors) -> float:
    """The score above which a message is meant.

    `own`: scores of aliases for their plugin, themselves left out; `right`: whether that plugin won; `foreign`: scores
    of aliases without their plugin; `strangers`: best scores of the background. The cut that keeps the most of the
    right and the fewest of the others, drawn towards a prior the more the fewer `own` there are.
    """
    import numpy as np

    tails = [float(np.quantile(scores, 0.9)) for scores in (strangers, foreign) if len(scores)]
    prior = float(np.clip(np.mean(tails) + ABOVE, LEAST, MOST)) if tails else MOST
    if not right.any():
        return prior
    grid = np.linspace(0.01, 0.6, 237, dtype=np.float32)
    kept = right.mean() * (1 - _below(own[right], grid))
    refused = [_below(scores, grid) for scores in (strangers, foreign) if len(scores)]
    worth = kept + np.mean(refused, axis=0) if refused else kept
    best = float(grid[worth >= worth.max() - 0.003].mean())
    return (len(own) * best + WEIGHT * prior) / (len(own) + WEIGHT)


def _below(scores: Vectors, grid: Vectors) -> Vectors:
    """The share of scores below each place of the grid, smoothed: a few aliases have gaps that mean nothing."""
    import numpy as np

    places, scores = _scale(grid), _scale(scores)
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
