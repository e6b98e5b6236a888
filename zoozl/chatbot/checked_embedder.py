"""An embedder under supervision: what it gives is checked, and what it raises is told as EmbeddingError."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoozl.errors import EmbeddingError, Unembeddable

if TYPE_CHECKING:
    from zoozl.chatbot.ports import Embedder, Vectors

# What every embedder can embed; if it cannot, no message is to blame.
PROBE = "hello"


class CheckedEmbedder:
    """Blocking, for one thread. Once it has given vectors, all must be as long as those."""

    def __init__(self, embedder: Embedder) -> None:
        self.embedder = embedder
        self.batches = bool(getattr(embedder, "batches", False))
        """Whether many texts at once cost less than each by itself, with the same vectors."""
        self._length = 0

    @property
    def name(self) -> str:
        """See Embedder."""
        return self.embedder.name

    def load(self) -> None:
        """Let the embedder read its model, if it has to. Raises EmbeddingError."""
        load = getattr(self.embedder, "load", None)
        if load is None:
            return
        try:
            load()
        except EmbeddingError:
            raise
        except Exception as exc:  # the edge of foreign code: any failure of a model is "no vector now"
            raise self._failure(exc) from exc

    def embed(self, texts: list[str]) -> Vectors:
        """The vectors of at least one text, `(n, d) float32`.

        Raises Unembeddable if only these texts are to blame, EmbeddingError for all else.
        """
        try:
            return self._embed(texts)
        except Unembeddable:
            raise
        except EmbeddingError as exc:
            # Endpoints know whether the text is to blame.
            if self.batches:
                raise
            error = exc
        except Exception as exc:  # the edge of foreign code
            error = self._failure(exc)
        # One talker's odd text must not take the embedder from all the others: does it work for a plain one?
        if self._length and texts != [PROBE] and self._works():
            raise Unembeddable(str(error)) from error
        raise error

    def _works(self) -> bool:
        try:
            self._embed([PROBE])
        except Exception:  # the edge of foreign code, and told of already
            return False
        return True

    def _failure(self, exc: Exception) -> EmbeddingError:
        return EmbeddingError(f"embedder {self.name} failed: {type(exc).__name__}: {exc}")

    def _embed(self, texts: list[str]) -> Vectors:
        # Here, not above: the port is open by the time the first text comes.
        import numpy as np

        vectors = np.asarray(self.embedder.embed(texts), np.float32)
        if vectors.ndim != 2 or len(vectors) != len(texts) or not vectors.shape[1]:
            shape = "x".join(map(str, vectors.shape))
            raise EmbeddingError(f"embedder {self.name} gave an array of {shape} for {len(texts)} texts")
        if not np.isfinite(vectors).all():
            raise EmbeddingError(f"embedder {self.name} gave numbers that are not finite")
        if self._length and vectors.shape[1] != self._length:
            raise EmbeddingError(
                f"embedder {self.name} gives vectors of {vectors.shape[1]} numbers, and gave {self._length} before; "
                "if it is another model now, restart"
            )
        self._length = vectors.shape[1]
        return vectors


def stacked(rows: list[Vectors]) -> Vectors:
    """One array of single vectors."""
    import numpy as np

    return np.stack(rows) if rows else np.empty((0, 0), np.float32)
