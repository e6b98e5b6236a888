"""An embedder for the suite's bots: what they route by is written to the letter, so no model is needed."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

WIDTH = 32


class Letters:
    """Vectors that are the same for the same text, and tell nothing more."""

    name = "conformance"

    def embed(self, texts: Sequence[str], /) -> NDArray[np.float32]:
        """See zoozl.chatbot.ports.Embedder."""
        digests = [hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest() for text in texts]
        vectors = np.frombuffer(b"".join(digests), np.uint8).reshape(len(texts), WIDTH).astype(np.float32) - 127.5
        unit: NDArray[np.float32] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return unit
