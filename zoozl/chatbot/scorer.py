"""Which plugin is meant: a table of aliases, made from their texts and vectors, asked for every new message."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from zoozl.chatbot.lexical import LONGEST, Letters, fold, letters_of, one_slip
from zoozl.chatbot.likeness import Likeness
from zoozl.chatbot.neighbours import Neighbours
from zoozl.chatbot.ridge import Ridge, with_rows, without_rows
from zoozl.chatbot.strength import STRENGTH, choose, usual
from zoozl.chatbot.threshold import cut

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from zoozl.chatbot.ports import Vectors

    Integers = npt.NDArray[np.int64]

# Scores are told on a scale on which this is where the aliases themselves say that the cut is.
THRESHOLD = 0.5
# Up to so many aliases the whole table is fitted: some n^2 numbers are kept for it.
WHOLE = 1_500
# Strangers that are scored for the threshold of a larger table.
FEW_STRANGERS = 100
# An updated inverse that is further off than this is computed anew.
DRIFT = 1e-3
# A message with one typing error in an alias.
NEARLY = 0.99


@dataclass(frozen=True, slots=True)
class Match:
    """A plugin, the alias of it that is nearest (by its place in the table), its score, and what it has to reach."""

    plugin: int
    index: int
    score: float
    """0 to 1; 0.5 is where the threshold is that follows from the aliases, 1 an alias by the letter."""
    threshold: float

    @property
    def accepted(self) -> bool:
        """Whether it is near enough to be meant."""
        return self.score >= self.threshold


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What people want instead of 0.5: for all, for plugins, for aliases (by place); the last counts most."""

    everywhere: float | None = None
    plugins: Mapping[int, float] = field(default_factory=dict)
    aliases: Mapping[int, float] = field(default_factory=dict)

    def of(self, plugin: int, alias: int) -> float:
        """What a score has to reach."""
        default = THRESHOLD if self.everywhere is None else self.everywhere
        return self.aliases.get(alias, self.plugins.get(plugin, default))


class Scorer:
    """A table that was made by `build`; it never changes, so a new one can be made beside it and take its place."""

    def __init__(
        self,
        aliases: Sequence[str],
        owners: Sequence[int],
        likeness: Likeness,
        model: Ridge | Neighbours | None,
        cut: float,
        thresholds: Thresholds,
    ) -> None:
        self.aliases = aliases
        self.owners = owners
        self.likeness = likeness
        self.model = model
        self.cut = cut
        """Where scores of the regression become 0.5."""
        self._plugins = sorted(set(owners))
        self._thresholds = thresholds
        self._folded: dict[str, int] = {}
        for index, text in enumerate(likeness.texts):
            place = self._folded.setdefault(text.folded, index)
            if owners[place] != owners[index]:
                self._folded[text.folded] = -1
        # `literal` and `ranked` are asked one after the other for the same message.
        nothing = letters_of("")
        self._latest = "", nothing, likeness.lexicon.similar(nothing)
        self._longest = max(map(len, self._folded), default=0) + 1

    def literal(self, text: str) -> Match | None:
        """An alias by its letters, whatever the case, the accents and the punctuation, or with one typing error.

        Needs no vector. None if there is none, or if two plugins have one.
        """
        folded = fold(text) if len(text) <= 4 * self._longest else ""
        if not folded or len(folded) > self._longest:
            return None
        index = self._folded.get(folded)
        if index is not None:
            return self._match(index, 1.0) if index >= 0 else None
        if len(folded) < 5:
            return None
        slips = [i for i in self._few_nearest(text) if one_slip(folded, self.likeness.texts[i].folded)]
        if len({self.owners[i] for i in slips}) != 1:
            return None
        match = self._match(slips[0], NEARLY)
        return match if match.accepted else None

    def _few_nearest(self, text: str) -> list[int]:
        import numpy as np

        similar = self._compared(text)[1]
        few = np.argpartition(similar, -8)[-8:] if len(similar) > 8 else np.arange(len(similar))
        return [int(i) for i in few[np.argsort(-similar[few])] if similar[i] > 0.3]

    def _compared(self, text: str) -> tuple[Letters, Vectors]:
        text = text[:LONGEST]
        latest = self._latest
        if latest[0] != text:
            letters = letters_of(text)
            latest = self._latest = text, letters, self.likeness.lexicon.similar(letters)
        return latest[1:]

    def _match(self, index: int, score: float) -> Match:
        return Match(self.owners[index], index, score, self.threshold(index))

    def threshold(self, index: int) -> float:
        """What a message has to score to be meant where this alias is the nearest."""
        return self._thresholds.of(self.owners[index], index)

    def ranked(self, text: str, vector: Vectors | None, most: int = 5) -> list[Match]:
        """The plugins that score best, the best one first; none for an empty table.

        `vector` is `(d,) float32` of length 1, or None if there is no model now; a table that has vectors then compares
        letters only, which is no better than a table without.
        """
        import numpy as np

        if self.model is None or most < 1:
            return []
        letters, similar = self._compared(text)
        rows = self.likeness.rows([letters], None if vector is None else vector[None], similar[None])
        scores = self.model.scores(rows)[0]
        best = np.argsort(-scores, kind="stable")[:most]
        found = []
        for plugin in best:
            mine = np.flatnonzero(self.model.groups.owners == plugin)
            score = max(float(scores[plugin]), 0.0)
            found.append(self._match(int(mine[rows[0, mine].argmax()]), min(score / (score + self.cut), NEARLY)))
        return found

    def best(self, text: str, vector: Vectors | None) -> Match | None:
        """The first of `ranked`."""
        return next(iter(self.ranked(text, vector, 1)), None)


def build(
    aliases: Sequence[str],
    owners: Sequence[int],
    vectors: Vectors | None,
    background: Sequence[str],
    background_vectors: Vectors | None,
    thresholds: Thresholds | None = None,
    before: Scorer | None = None,
    *,
    latin_only: bool = False,
) -> Scorer:
    """A table of `aliases`, all different, of which `owners[i]` is the plugin of number i.

    `vectors` and `background_vectors`, `(n, d) float32`, are of the same embedder, or both None: then letters alone
    decide. With `latin_only` the embedder reads no other script. With the table `before`, of the same embedder and
    background, what did not change is not computed again, nor is the strength chosen again.

    Takes a while and blocks, most of it without the interpreter's lock: for a thread.
    """
    import numpy as np

    thresholds = thresholds or Thresholds()
    old = {alias: i for i, alias in enumerate(before.aliases)} if before else {}
    known: Sequence[Letters] = before.likeness.texts if before else ()
    texts = [known[old[alias]] if alias in old else letters_of(alias) for alias in aliases]
    likeness = Likeness.of(texts, vectors, background_vectors, latin_only)
    if not aliases:
        return Scorer(aliases, owners, likeness, None, THRESHOLD, thresholds)
    compact = np.unique(np.asarray(owners, np.int64), return_inverse=True)[1]
    strangers = _letters_of_all(tuple(background))
    model: Ridge | Neighbours
    if len(aliases) > WHOLE:
        step = max(1, len(strangers) // FEW_STRANGERS)
        strangers = strangers[::step]
        background_vectors = None if background_vectors is None else background_vectors[::step]
        share = before.likeness.share if before else usual(likeness, strangers, background_vectors)
        likeness = likeness.with_share(share)
        model = Neighbours.of(likeness, compact, STRENGTH)
    else:
        updated = _updated(before, old, aliases, likeness, compact)
        if updated is None:
            share, strength = choose(likeness, compact, strangers, background_vectors)
            likeness = likeness.with_share(share)
            updated = likeness, Ridge.fit(likeness.of_aliases(np.arange(len(aliases))), compact, strength)
        likeness, model = updated
    evidence = model.evidence()
    scores = model.scores(likeness.rows(strangers, background_vectors)).max(axis=1)
    return Scorer(
        aliases, owners, likeness, model, cut(evidence.own, evidence.right, evidence.foreign, scores), thresholds
    )


@lru_cache(2)
def _letters_of_all(texts: tuple[str, ...]) -> tuple[Letters, ...]:
    return tuple(map(letters_of, texts))


def _updated(
    before: Scorer | None, old: Mapping[str, int], aliases: Sequence[str], likeness: Likeness, owners: Integers
) -> tuple[Likeness, Ridge] | None:
    """The regression of `before` with some aliases more and some fewer; None if that is not worth it."""
    import numpy as np

    if before is None or not isinstance(before.model, Ridge):
        return None
    if (before.likeness.vectors is None) != (likeness.vectors is None):
        return None
    kept = np.array([i for i, alias in enumerate(aliases) if alias in old], np.int64)
    fresh = np.array([i for i, alias in enumerate(aliases) if alias not in old], np.int64)
    gone = len(old) - len(kept)
    # Beyond that it is not faster, and rounding would add up.
    if len(fresh) + gone > len(aliases) // 4:
        return None
    likeness = likeness.with_share(before.likeness.share)
    places = np.array([old[aliases[i]] for i in kept], np.int64)
    ridge, strength = before.model, before.model.strength
    inverse, square = ridge.inverse, ridge.kernel
    if gone:
        inverse = without_rows(inverse, places, np.setdiff1d(np.arange(len(old)), places))
        square = square[np.ix_(places, places)]
    elif not np.array_equal(places, np.arange(len(old))):
        inverse, square = inverse[np.ix_(places, places)], square[np.ix_(places, places)]
    if len(fresh):
        rows = likeness.of_aliases(fresh)
        between, corner = rows[:, kept].T, rows[:, fresh]
        inverse = with_rows(inverse, between, corner, strength)
        square = np.block([[square, between], [between.T, corner]])
        where = np.argsort(np.concatenate((kept, fresh)))
        if not np.array_equal(where, np.arange(len(where))):
            inverse, square = inverse[np.ix_(where, where)], square[np.ix_(where, where)]
    if not _is_inverse(inverse, square, strength):
        return likeness, Ridge.fit(square, owners, strength)
    return likeness, Ridge.derived(square, inverse, owners, strength)


def _is_inverse(inverse: Vectors, square: Vectors, strength: float) -> bool:
    """Whether it still is: rounding grows over many updates in a row. Tried with one vector, in n^2 time."""
    import numpy as np

    probe = np.random.default_rng(0).choice(np.array([-1, 1], np.float32), len(square))
    solved = inverse @ probe
    return bool(np.abs(square @ solved + np.float32(strength) * solved - probe).max() < DRIFT)
