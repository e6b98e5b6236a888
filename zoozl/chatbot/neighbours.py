"""The same regression for tables that are too large for it: over the aliases nearest to each message.

Costs against the whole table are told in `docs/explanation/routing.md`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from zoozl.chatbot.likeness import Likeness
from zoozl.chatbot.ridge import Evidence, Groups, combined, crowd, kernel, trust_in, winners

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from zoozl.chatbot.ports import Vectors

    Integers = npt.NDArray[np.int64]

NEAREST = 128
# So many aliases are left out to see how the table does, and so many siblings looked at for each.
SAMPLE, SIBLINGS = 160, 256
# Instead of a kernel value; real ones are hardly below 0.
LEFT_OUT = -1.0


@dataclass(frozen=True, slots=True)
class Neighbours:
    """See `Ridge`; nothing is fitted but targets and trust."""

    groups: Groups
    likeness: Likeness
    sketch: Vectors
    targets: Vectors
    strength: float
    trust: float = 1.0

    @classmethod
    def of(cls, likeness: Likeness, owners: Integers, strength: float) -> Neighbours:
        """Linear in the number of aliases, as long as plugins have no more than some hundreds of them."""
        import numpy as np

        groups, sketch = Groups.of(owners), likeness.sketch()
        made = cls(groups, likeness, sketch, np.empty(len(owners), np.float32), strength)
        for start, size in zip(groups.starts, groups.sizes.astype(int), strict=True):
            block = groups.order[start : start + size]
            some = block[:: -(-len(block) // SIBLINGS)]
            for part in range(0, len(block), 1024):
                rows = block[part : part + 1024]
                made.targets[rows] = crowd(made.between(rows, some)) ** -0.5
        sample = made._sample()
        values = likeness.of_aliases(sample)
        values[np.arange(len(sample)), sample] = LEFT_OUT
        won = winners(made.scores(values))
        return replace(made, trust=trust_in(owners[sample], won, groups.sizes[owners[sample]] > 1))

    def between(self, a: Integers, b: Integers) -> Vectors:
        """Kernel values of aliases with each other."""
        import numpy as np

        letters = kernel(self.sketch[a] @ self.sketch[b].T)
        vectors = self.likeness.vectors
        values = letters
        if vectors is not None:
            read = self.likeness.read
            values = self.likeness.mixed(kernel(vectors[a] @ vectors[b].T), letters, read[a], read[b])
        values[a[:, None] == b] = np.float32(1)
        return values

    def scores(self, rows: Vectors) -> Vectors:
        """Kernel values to the aliases, `(m, n)`, to scores of the plugins, `(m, plugins)`."""
        import numpy as np

        return np.stack([self._scores(row) for row in rows])

    def _scores(self, row: Vectors) -> Vectors:
        import numpy as np

        count = len(self.groups.sizes)
        near = np.argpartition(row, -NEAREST)[-NEAREST:] if len(row) > NEAREST else np.arange(len(row))
        near = near[row[near] > LEFT_OUT / 2]
        values = row[near]
        square = self.between(near, near)
        square[np.arange(len(near)), np.arange(len(near))] += np.float32(self.strength)
        each = np.linalg.solve(square, values)
        owners = self.groups.owners[near]
        sums = np.bincount(owners, each * self.targets[near], count).astype(np.float32)
        single = np.zeros(count, np.float32)
        np.maximum.at(single, owners, each)
        return combined(sums, single, self.groups.sizes, self.trust)

    def left_out(self) -> Vectors:
        """See `Ridge`; takes a moment for each alias."""
        import numpy as np

        found = np.empty((len(self.groups.owners), len(self.groups.sizes)), np.float32)
        for i in range(len(found)):
            row = self.likeness.of_aliases(np.array([i]))[0]
            row[i] = LEFT_OUT
            found[i] = self._scores(row)
        return found

    def _sample(self) -> Integers:
        import numpy as np

        count = len(self.groups.owners)
        return np.linspace(0, count - 1, min(SAMPLE, count)).astype(np.int64)

    def evidence(self) -> Evidence:
        """From a sample of the aliases, each left out in turn."""
        import numpy as np

        owners, sample = self.groups.owners, self._sample()
        own, right, foreign = [], [], []
        for i, row in zip(sample, self.likeness.of_aliases(sample), strict=True):
            owner = int(owners[i])
            if self.groups.sizes[owner] > 1:
                row[i] = LEFT_OUT
                scores = self._scores(row)
                own.append(scores[owner])
                right.append(bool(scores.argmax() == owner))
            if len(self.groups.sizes) > 1:
                row[owners == owner] = LEFT_OUT
                foreign.append(self._scores(row).max())
        return Evidence(np.array(own, np.float32), np.array(right, np.bool_), np.array(foreign, np.float32))
