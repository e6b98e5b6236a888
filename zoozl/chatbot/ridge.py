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

# Aliases that a message may mean by themselves, see `Ridge.scores`: those nearest to it.
NEAREST = 64


def kernel(cosines: Vectors) -> Vectors:
    """1 for the same, 0 for unrelated, a little below 0 for opposite.

    Of unit vectors: exp(-distance²), moved so that unrelated ones have 0.
    """
    import numpy as np

    found: Vectors = np.expm1(cosines * np.float32(2)) / np.float32(np.expm1(2))
    return found


def levelled(sums: Vectors, sizes: Vectors) -> Vectors:
    """A paraphrase can be expected to score n / (n + 1) of what it would if its plugin had very many aliases."""
    found: Vectors = sums * ((sizes + 1) / sizes)
    return found


def combined(sums: Vectors, single: Vectors, sizes: Vectors, trust: float) -> Vectors:
    """Scores of plugins that have `sizes` aliases: what these say together, or the best of what each says alone.

    The less trust there is in what they say together, the more the second counts.
    """
    import numpy as np

    found: Vectors = levelled(sums, sizes)
    return found if trust >= 1 else found * np.float32(trust) + single * np.float32(1 - trust)


def winners(scores: Vectors) -> Integers:
    """By row the plugin that scores best, or the number of plugins if none scores above 0."""
    import numpy as np

    found: Integers = np.where(scores.max(axis=1) > 0, scores.argmax(axis=1), scores.shape[1])
    return found


def trust_in(owners: Integers, won: Integers, siblings: Flags) -> float:
    """How far aliases of a plugin are about the same: fully, if every other one is found by its siblings, or more.

    `won`: by alias which plugin won without it; `siblings`: whether it has any. Found is more than luck, so that what
    the same plugin wins of the others' aliases is taken off (Youden's J). Fully too, if none has siblings.
    """
    import numpy as np

    if not siblings.any():
        return 1.0
    count = int(max(owners.max(), won.max())) + 1
    others = len(owners) - np.bincount(owners, minlength=count)
    luck = np.bincount(won[won != owners], minlength=count) / np.maximum(others, 1)
    found = (won == owners) - luck[owners]
    return float(min(max(2 * found[siblings].mean(), 0.0), 1.0))


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

    def highest(self, rows: Vectors) -> Vectors:
        """The same, of each plugin the highest."""
        import numpy as np

        found: Vectors = np.maximum.reduceat(self._ordered(rows), self.starts, axis=1)
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
    trust: float = 1.0
    """See `combined`."""

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
        ridge = cls(groups, kernel, inverse, strength, weights, targets)
        return replace(ridge, trust=trust_in(owners, winners(ridge.left_out()), groups.sizes[owners] > 1))

    def scores(self, rows: Vectors) -> Vectors:
        """Kernel values to the aliases, `(m, n)`, to scores of the plugins, `(m, plugins)`."""
        import numpy as np

        sums = rows @ self.weights
        single = sums if self.trust >= 1 else np.stack([self._single(row) for row in rows])
        return combined(sums, single, self.groups.sizes, self.trust)

    def _single(self, row: Vectors) -> Vectors:
        """By plugin the best of what its aliases would score as plugins of their own, if they are near; 0 or more."""
        import numpy as np

        near = np.argpartition(row, -NEAREST)[-NEAREST:] if len(row) > NEAREST else np.arange(len(row))
        found = np.zeros(len(self.groups.sizes), np.float32)
        np.maximum.at(found, self.groups.owners[near], self.inverse[near] @ row)
        return found

    def left_out_of_own(self) -> tuple[Vectors, Flags]:
        """By alias that has siblings: what its plugin scores for it when it is left out, and whether that wins."""
        import numpy as np

        owners, n = self.groups.owners, len(self.groups.owners)
        siblings = self.groups.sizes[owners] > 1
        scores = self.left_out()
        return scores[np.arange(n), owners][siblings], scores.argmax(axis=1)[siblings] == owners[siblings]

    def left_out(self) -> Vectors:
        """By alias what each plugin scores for it, `(n, plugins)`, when it is no alias; nothing is fitted again."""
        import numpy as np

        owners, diagonal = self.groups.owners, np.diag(self.inverse)[:, None]
        sums: Vectors = -self.weights / diagonal
        sums[np.arange(len(owners)), owners] += self.targets
        single = sums
        if self.trust < 1:
            each = self.inverse / -diagonal
            np.fill_diagonal(each, 0)
            single = np.maximum(self.groups.highest(each), 0)
        return combined(sums, single, self.groups.sizes, self.trust)

    def evidence(self) -> Evidence:
        """Closed form: nothing is fitted again."""
        import numpy as np

        owners, n = self.groups.owners, len(self.groups.owners)
        own, right = self.left_out_of_own()
        if len(self.groups.sizes) == 1:
            return Evidence(own, right, np.empty(0, np.float32))
        sums = np.empty_like(self.weights)
        single = sums if self.trust >= 1 else np.empty_like(sums)
        for start, size in zip(self.groups.starts, self.groups.sizes.astype(int), strict=True):
            block = self.groups.order[start : start + size]
            # The plugin's own column would need its targets; it is left out below.
            # An inverse and a product are faster than to solve for so many columns.
            corner: Vectors = -np.linalg.inv(self.inverse[np.ix_(block, block)])
            sums[block] = corner @ self.weights[block]
            if self.trust < 1:
                single[block] = np.maximum(self.groups.highest(corner @ self.inverse[block]), 0)
        foreign = combined(sums, single, self.groups.sizes, self.trust)
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
