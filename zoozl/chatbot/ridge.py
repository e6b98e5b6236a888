"""Kernel ridge regression from aliases to plugins, with its leave-one-out scores in closed form.

`docs/explanation/routing.md` tells why, and what each part gained.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from zoozl.chatbot.ports import Vectors

    Integers = npt.NDArray[np.int64]
    Flags = npt.NDArray[np.bool_]

# Widths of the kernels, in cosine: of meaning and of letters.
MEANING, LETTERS = 0.3, 0.5


def kernel(cosines: Vectors, width: float) -> Vectors:
    """1 for the same, 0 for unrelated, a little below 0 for opposite; the sharper the smaller the width."""
    import numpy as np

    found: Vectors = np.expm1(cosines / np.float32(width)) / np.float32(np.expm1(1 / width))
    return found


def levelled(scores: Vectors, crowds: Vectors, sizes: Vectors, trust: float) -> Vectors:
    """Scores of plugins that have `sizes` aliases, of which `crowds` share a likeness, made comparable.

    `trust` is the share of aliases for which their siblings vouch. Where few do, much weak likeness counts for less
    than one strong one. Where many do, a paraphrase can be expected to score n / (n + 1) of what it would with very
    many aliases; where few do, another alias is another subject and does not help.
    """
    import numpy as np

    found: Vectors = scores / crowds ** np.float32((1 - trust) / 2)
    found /= (sizes / (sizes + 1)) ** np.float32(trust)
    return found


def trust_in(right: Flags) -> float:
    """The share of aliases whose plugin won without them; all, if none has siblings."""
    return float(right.mean()) if len(right) else 1.0


@dataclass(frozen=True, slots=True)
class Groups:
    """Which alias belongs to which plugin; plugins are 0..count-1 and each has an alias at least."""

    owners: Integers
    order: Integers
    starts: Integers
    sizes: Vectors
    in_order: bool
    """Whether aliases of a plugin stand together already; sorting n^2 numbers takes a while."""

    @classmethod
    def of(cls, owners: Integers) -> Groups:
        """`owners[i]` is the plugin of alias i."""
        import numpy as np

        order = np.argsort(owners, kind="stable")
        sizes = np.bincount(owners)
        in_order = bool((owners[1:] >= owners[:-1]).all())
        return cls(owners, order, np.cumsum(sizes) - sizes, sizes.astype(np.float32), in_order)

    def sums(self, rows: Vectors) -> Vectors:
        """`(m, n)` by alias to `(m, plugins)`."""
        import numpy as np

        found: Vectors = np.add.reduceat(self._ordered(rows), self.starts, axis=1)
        return found

    def _ordered(self, rows: Vectors) -> Vectors:
        return rows if self.in_order else rows[:, self.order]

    def crowd(self, rows: Vectors) -> Vectors:
        """How many aliases of each plugin share its likeness, `(m, n)` to `(m, plugins)`: 1 for one, n for n alike."""
        import numpy as np

        ordered = np.maximum(self._ordered(rows), np.float32(1e-4))
        total: Vectors = np.add.reduceat(ordered, self.starts, axis=1)
        squares: Vectors = np.add.reduceat(ordered * ordered, self.starts, axis=1)
        found: Vectors = total * total / squares
        return found


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the aliases tell about scores of messages."""

    own: Vectors
    """By alias that has siblings: what its plugin scores for it when it is left out."""
    right: Flags
    """Whether that plugin then scores best."""
    foreign: Vectors
    """By alias: the best score of the others when all its plugin is left out."""


@dataclass(frozen=True, slots=True)
class Ridge:
    """A fitted table. `kernel` is (n, n) with ones in the diagonal, `inverse` that of kernel + regularisation."""

    groups: Groups
    kernel: Vectors
    inverse: Vectors
    strength: float
    weights: Vectors
    targets: Vectors
    crowds: Vectors
    """By alias: how many of each plugin share their likeness to it, itself left out."""
    trust: float = 1.0
    """See `levelled`."""

    @classmethod
    def fit(cls, kernel: Vectors, owners: Integers, strength: float) -> Ridge:
        """Takes n^3 time."""
        import numpy as np

        regular: Vectors = kernel + np.float32(strength) * np.eye(len(kernel), dtype=np.float32)
        inverse: Vectors = np.linalg.inv(regular).astype(np.float32, copy=False)
        return cls.derived(kernel, inverse, owners, strength)

    @classmethod
    def derived(cls, kernel: Vectors, inverse: Vectors, owners: Integers, strength: float) -> Ridge:
        """What follows from the inverse, in n^2 time."""
        import numpy as np

        groups = Groups.of(owners)
        # An alias among many alike counts for less, or a plugin with many aliases would outshout one with few.
        targets: Vectors = crowd_of_own(groups, kernel) ** np.float32(-0.5)
        weights = groups.sums(inverse * targets)
        crowds = groups.crowd(kernel - np.eye(len(kernel), dtype=np.float32))
        ridge = cls(groups, kernel, inverse, strength, weights, targets, crowds)
        return replace(ridge, trust=trust_in(ridge._left_out()[1]))

    def scores(self, rows: Vectors) -> Vectors:
        """Kernel values to the aliases, `(m, n)`, to scores of the plugins, `(m, plugins)`."""
        return levelled(rows @ self.weights, self.groups.crowd(rows), self.groups.sizes, self.trust)

    def _left_out(self) -> tuple[Vectors, Flags]:
        import numpy as np

        owners, n = self.groups.owners, len(self.groups.owners)
        siblings = self.groups.sizes[owners] > 1
        scores = self.left_out()
        return scores[np.arange(n), owners][siblings], scores.argmax(axis=1)[siblings] == owners[siblings]

    def left_out(self) -> Vectors:
        """By alias what each plugin scores for it, `(n, plugins)`, when it is no alias; nothing is fitted again."""
        import numpy as np

        owners = self.groups.owners
        scores: Vectors = -self.weights / np.diag(self.inverse)[:, None]
        scores[np.arange(len(owners)), owners] += self.targets
        return levelled(scores, self.crowds, self.groups.sizes, self.trust)

    def evidence(self) -> Evidence:
        """Closed form: nothing is fitted again."""
        import numpy as np

        owners, n = self.groups.owners, len(self.groups.owners)
        own, right = self._left_out()
        if len(self.groups.sizes) == 1:
            return Evidence(own, right, np.empty(0, np.float32))
        foreign = np.empty_like(self.weights)
        for start, size in zip(self.groups.starts, self.groups.sizes.astype(int), strict=True):
            block = self.groups.order[start : start + size]
            # The plugin's own column would need its targets; it is left out below.
            foreign[block] = -np.linalg.solve(self.inverse[np.ix_(block, block)], self.weights[block])
        foreign = levelled(foreign, self.crowds, self.groups.sizes, self.trust)
        foreign[np.arange(n), owners] = -np.inf
        return Evidence(own, right, foreign.max(axis=1))


def crowd_of_own(groups: Groups, kernel: Vectors) -> Vectors:
    """By alias: how many of its own plugin are alike to it, itself among them."""
    import numpy as np

    found = np.empty(len(kernel), np.float32)
    for start, size in zip(groups.starts, groups.sizes.astype(int), strict=True):
        block = groups.order[start : start + size]
        found[block] = crowd(kernel[np.ix_(block, block)])
    return found


def crowd(rows: Vectors) -> Vectors:
    """By row: how many numbers share its sum."""
    import numpy as np

    rows = np.maximum(rows, np.float32(1e-4))
    found: Vectors = rows.sum(axis=1) ** 2 / (rows * rows).sum(axis=1)
    return found


def with_rows(inverse: Vectors, between: Vectors, corner: Vectors, strength: float) -> Vectors:
    """The inverse for a larger table: `between` (n, m) and `corner` (m, m) are the kernel's new parts."""
    import numpy as np

    m = len(corner)
    bent = inverse @ between
    rest = np.linalg.inv(corner + np.float32(strength) * np.eye(m, dtype=np.float32) - between.T @ bent)
    side = -bent @ rest
    found: Vectors = np.block([[inverse - side @ bent.T, side], [side.T, rest]])
    return found


def without_rows(inverse: Vectors, keep: Integers, drop: Integers) -> Vectors:
    """The inverse for a smaller table."""
    import numpy as np

    between = inverse[np.ix_(keep, drop)]
    found: Vectors = inverse[np.ix_(keep, keep)] - between @ np.linalg.solve(inverse[np.ix_(drop, drop)], between.T)
    return found
