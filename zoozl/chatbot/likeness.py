"""How alike a message and the aliases are: one kernel over meaning and letters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from zoozl.chatbot.lexical import Letters, Lexicon
from zoozl.chatbot.ridge import kernel

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from zoozl.chatbot.ports import Vectors

    Integers = npt.NDArray[np.int64]
    Flags = npt.NDArray[np.bool_]

# Numbers that stand for a text's letters where only neighbours are compared with each other.
SKETCH = 256


def centred(vectors: Vectors, centre: Vectors) -> Vectors:
    """Unit vectors seen from the centre of language in general, of length 1 again."""
    import numpy as np

    moved = vectors - centre
    found: Vectors = moved / np.maximum(np.linalg.norm(moved, axis=-1, keepdims=True), np.float32(1e-6))
    return found


@dataclass(frozen=True, slots=True)
class Likeness:
    """A table of aliases to compare with. Without vectors the letters alone decide."""

    lexicon: Lexicon
    texts: Sequence[Letters]
    vectors: Vectors | None
    """Centred, (n, d)."""
    centre: Vectors | None
    share: float
    """Of the letters, 0 to 1, in texts that the model reads; in others they are all there is."""
    read: Flags
    """By alias: whether the model reads its script."""
    latin_only: bool

    @classmethod
    def of(
        cls, texts: Sequence[Letters], vectors: Vectors | None, background: Vectors | None, latin_only: bool = False
    ) -> Likeness:
        """`vectors` and `background` as the embedder gave them, or None for both; it reads one script or all."""
        import numpy as np

        lexicon = Lexicon.of(texts)
        read = np.array([text.latin or not latin_only for text in texts], np.bool_)
        if vectors is None or background is None:
            return cls(lexicon, texts, None, None, 1.0, read, latin_only)
        centre: Vectors = background.mean(axis=0)
        return cls(lexicon, texts, centred(vectors, centre), centre, 0.0, read, latin_only)

    def with_share(self, share: float) -> Likeness:
        """The same with another share of the letters."""
        return replace(self, share=share)

    def meaning(self, vectors: Vectors) -> Vectors:
        """Kernel values of centred vectors with the aliases."""
        assert self.vectors is not None
        if len(vectors) == 1:
            # Twice as fast as a product of matrices.
            return kernel((self.vectors @ vectors[0])[None])
        return kernel(vectors @ self.vectors.T)

    def letters(self, texts: Sequence[Letters], cosines: Vectors | None = None) -> Vectors:
        """Kernel values of texts with the aliases, by letters; `cosines` if they are known."""
        import numpy as np

        if cosines is not None:
            return kernel(cosines)
        cosines = np.empty((len(texts), self.lexicon.size), np.float32)
        for row, text in enumerate(texts):
            cosines[row] = self.lexicon.similar(text)
        return kernel(cosines)

    def rows(self, texts: Sequence[Letters], vectors: Vectors | None, cosines: Vectors | None = None) -> Vectors:
        """Kernel values `(m, n)` of messages with the aliases.

        `vectors` as the embedder gave them, `cosines` of the letters if they are known.
        """
        letters = self.letters(texts, cosines)
        if self.vectors is None or self.centre is None or vectors is None:
            return letters
        return self.mixed(self.meaning(centred(vectors, self.centre)), letters, self.reads(texts), self.read)

    def reads(self, texts: Sequence[Letters]) -> Flags:
        """By text: whether the model reads its script."""
        import numpy as np

        return np.array([text.latin or not self.latin_only for text in texts], np.bool_)

    def of_aliases(self, which: Integers) -> Vectors:
        """Kernel values `(m, n)` of some aliases with all."""
        texts = [self.texts[i] for i in which]
        letters = self.letters(texts)
        if self.vectors is None:
            return letters
        return self.mixed(self.meaning(self.vectors[which]), letters, self.read[which], self.read)

    def mixed(self, meaning: Vectors, letters: Vectors, read: Flags, read_too: Flags) -> Vectors:
        """One kernel of two, `(m, n)`, for texts of which the model reads some: m and n flags tell which."""
        import numpy as np

        if read.all() and read_too.all():
            return meaning * np.float32(1 - self.share) + letters * np.float32(self.share)
        # A kernel still, and 1 for the same text: each text has its own parts, whose squares add up to 1.
        a = np.where(read, np.float32(self.share), np.float32(1))[:, None]
        b = np.where(read_too, np.float32(self.share), np.float32(1))
        found: Vectors = meaning * np.sqrt((1 - a) * (1 - b)) + letters * np.sqrt(a * b)
        return found

    def sketch(self) -> Vectors:
        """`(n, SKETCH)`: vectors whose cosines are nearly those of the letters."""
        import numpy as np

        found = np.zeros((len(self.texts), SKETCH), np.float32)
        for row, text in enumerate(self.texts):
            ids, weights = text.ids, text.weights
            signs = np.where((ids >> np.uint64(60)) & np.uint64(1), weights, -weights)
            found[row] = np.bincount(((ids >> np.uint64(48)) % np.uint64(SKETCH)).astype(np.int64), signs, SKETCH)
        return found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), np.float32(1e-6))  # type: ignore[no-any-return]
