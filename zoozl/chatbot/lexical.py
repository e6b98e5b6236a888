"""How alike texts are by their letters: character n-grams and words, in any script.

No statistics of the table are used, so a pair of texts is as alike in one table as in another.
"""

from __future__ import annotations

import re
import unicodedata
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from zoozl.chatbot.ports import Vectors

    Integers = npt.NDArray[np.int64]
    Ids = npt.NDArray[np.uint64]

LENGTHS = range(2, 6)
LONGEST = 2_000
_WORD = re.compile(r"\w+|[^\w\s]")
_LETTER = re.compile(r"\w")
_LATIN = re.compile(r"[a-z]")
# Any odd number mixes; this is the golden ratio in 64 bits.
_MULTIPLIER = 0x9E3779B97F4A7C15


def fold(text: str) -> str:
    """`text` without case, diacritics, width and punctuation; symbols such as emoji only if there is nothing else."""
    composed = unicodedata.normalize("NFKC", text[:LONGEST]).casefold().replace("'", "").replace("\u2019", "")
    plain = "".join(c for c in unicodedata.normalize("NFKD", composed) if not _is_diacritic(c))
    # Of the same length; vowel signs are no letters for a pattern, but belong to the word.
    shown = plain if plain.isascii() else "".join("x" if is_sign(c) else c for c in plain)
    words = [match.span() for match in _WORD.finditer(shown)]
    return " ".join(plain[a:b] for a, b in [word for word in words if _LETTER.match(shown, word[0])] or words)


def _is_diacritic(char: str) -> bool:
    """Whether it may be left out: not a vowel sign (as in Hindi and Thai), nor what makes another kana of one."""
    place = unicodedata.combining(char)
    return place > 0 and not (7 <= place <= 9 or 84 <= place < 200)


def is_sign(char: str) -> bool:
    """Whether it is part of a word without being a letter; what chooses the look of an emoji is not."""
    return unicodedata.category(char) in ("Mn", "Mc") and not ("\ufe00" <= char <= "\ufe0f" or char >= "\U000e0100")


def is_latin(folded: str) -> bool:
    """Whether half of the letters or more of a folded text are Latin, or it has digits only; not for emoji alone."""
    letters = sum(map(str.isalpha, folded))
    return 2 * len(_LATIN.findall(folded)) >= letters and any(map(str.isalnum, folded))


@dataclass(frozen=True, slots=True)
class Letters:
    """What is compared of a text: numbers of its n-grams and words, and a weight for each, of length 1 together."""

    folded: str
    ids: Ids
    weights: Vectors
    latin: bool


def letters_of(text: str) -> Letters:
    """The n-grams lie within words, whose ends are marked. A text of nothing has none."""
    import numpy as np

    folded = fold(text)
    code = np.frombuffer(f" {folded} ".encode("utf-32-le", "replace"), np.uint32).astype(np.uint64)
    space = code == 32
    # spaces before each place: an n-gram with one inside spans two words
    before = np.concatenate(([0], np.cumsum(space)))
    words = np.array([zlib.crc32(word.encode("utf-8", "replace")) for word in folded.split()], np.uint64)
    found = [words * np.uint64(_MULTIPLIER)]
    rolling = np.zeros(len(code), np.uint64)
    for n in range(1, LENGTHS[-1] + 1):
        count = len(code) - n + 1
        if count <= 0:
            break
        rolling = rolling[:count] * np.uint64(_MULTIPLIER) + code[n - 1 :] + np.uint64(n)
        if n in LENGTHS:
            inside = before[n - 1 : n - 1 + count] - before[1 : 1 + count] > 0
            found.append(rolling[~inside & ~(space[:count] & space[n - 1 :])])
    ids, counts = np.unique(np.concatenate(found), return_counts=True)
    weights = 1 + np.log(counts)
    weights = (weights / max(float(np.sqrt(weights @ weights)), 1e-9)).astype(np.float32)
    return Letters(folded, ids, weights, is_latin(folded))


@dataclass(frozen=True, slots=True)
class Lexicon:
    """An inverted index of the n-grams of n texts."""

    size: int
    vocabulary: Ids
    starts: Integers
    """Where the postings of each n-gram begin; one more at the end."""
    rows: Integers
    weights: Vectors

    @classmethod
    def of(cls, texts: Sequence[Letters]) -> Lexicon:
        """An index of `texts`."""
        import numpy as np

        lengths = [len(text.ids) for text in texts]
        ids = np.concatenate([text.ids for text in texts]) if texts else np.empty(0, np.uint64)
        weights = np.concatenate([text.weights for text in texts]) if texts else np.empty(0, np.float32)
        order = np.argsort(ids, kind="stable")
        vocabulary, starts = np.unique(ids[order], return_index=True)
        rows = np.repeat(np.arange(len(texts)), lengths)[order]
        return cls(len(texts), vocabulary, np.append(starts, len(ids)), rows, weights[order])

    def similar(self, text: Letters) -> Vectors:
        """The cosine of each of the n texts with this one, `(n,) float32`, 0 to 1."""
        import numpy as np

        ids, weights = text.ids, text.weights
        if not len(self.vocabulary) or not len(ids):
            return np.zeros(self.size, np.float32)
        place = np.searchsorted(self.vocabulary, ids)
        place[place == len(self.vocabulary)] = 0
        known = self.vocabulary[place] == ids
        place, weights = place[known], weights[known]
        first = self.starts[place]
        lengths = self.starts[place + 1] - first
        ends = np.cumsum(lengths)
        if not len(ends):
            return np.zeros(self.size, np.float32)
        where = np.arange(ends[-1]) + np.repeat(first - ends + lengths, lengths)
        products = self.weights[where] * np.repeat(weights, lengths)
        sums: Any = np.bincount(self.rows[where], products, self.size)
        return sums.astype(np.float32)  # type: ignore[no-any-return]


def one_slip(typed: str, meant: str) -> bool:
    """Whether two folded texts differ by one letter left out, added, changed, or two swapped: a typing error.

    Digits do not count as slips ("gate 7" is not "gate 8"), nor do short words, which are other words then, nor Chinese
    and Japanese characters, each of which may be a word.
    """
    if typed == meant:
        return True
    if abs(len(typed) - len(meant)) > 1:
        return False
    start = next((i for i, (a, b) in enumerate(zip(typed, meant, strict=False)) if a != b), min(len(typed), len(meant)))
    end = 0
    while end < min(len(typed), len(meant)) - start and typed[-1 - end] == meant[-1 - end]:
        end += 1
    left, right = typed[start : len(typed) - end], meant[start : len(meant) - end]
    swapped = len(left) == len(right) == 2 and left == right[::-1]
    if not swapped and max(len(left), len(right)) > 1:
        return False
    word = len(meant[:start].rpartition(" ")[2]) + len(meant[start:].partition(" ")[0])
    changed = left + right
    return word >= 5 and changed.isalpha() and max(changed) < "\u2e80"
