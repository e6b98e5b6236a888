"""The embedding service: vectors computed off the loop, once per text while it is remembered."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from zoozl.chatbot.lru import LRU
from zoozl.errors import EmbeddingError

if TYPE_CHECKING:
    from zoozl.chatbot.ports import Embedder, Vectors

log = logging.getLogger(__name__)

# The bundled model reads 256 tokens; what is beyond this many characters changes no vector.
LONGEST = 2_000
# Longer texts are hardly ever repeated, and keeping them would make the cache's memory unbounded.
LONGEST_CACHED = 300


class Embedding:
    """An embedder behind one thread and a bounded cache.

    One thread, because a second one gains little on a small machine and doubles the model's memory.
    """

    def __init__(self, embedder: Embedder, cache_size: int = 4096) -> None:
        self.embedder = embedder
        self._cache: LRU[Vectors] = LRU(cache_size)
        self._under_way: dict[str, asyncio.Future[Vectors]] = {}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="zoozl-embed")

    @property
    def name(self) -> str:
        """What identifies the vectors: model and version."""
        return self.embedder.name

    async def vector(self, text: str) -> Vectors:
        """The vector of one text, `(d,) float32`. Raises EmbeddingError."""
        text = text[:LONGEST]
        cached = self._cache.get(text)
        if cached is not None:
            return cached
        running = self._under_way.get(text)
        if running is None:
            running = asyncio.ensure_future(self._compute([text]))
            self._under_way[text] = running
            running.add_done_callback(lambda _: self._under_way.pop(text, None))
        # Shielded: one talker's cancel must not take the vector from another who waits for the same text.
        vector: Vectors = (await asyncio.shield(running))[0]
        return vector

    async def vectors(self, texts: Sequence[str]) -> Vectors:
        """The vectors of `texts`, `(n, d) float32`, for tables that keep them. Raises EmbeddingError."""
        return await self._compute([text[:LONGEST] for text in texts])

    async def _compute(self, texts: list[str]) -> Vectors:
        loop = asyncio.get_running_loop()
        vectors = await loop.run_in_executor(self._thread, self._embed, texts)
        for text, vector in zip(texts, vectors, strict=True):
            if len(text) <= LONGEST_CACHED:
                # A copy: a row would keep the whole batch alive.
                self._cache.put(text, vector.copy() if len(texts) > 1 else vector)
        return vectors

    def _embed(self, texts: list[str]) -> Vectors:
        """In the thread: ask the embedder and look at what it gives."""
        import numpy as np

        try:
            vectors = np.asarray(self.embedder.embed(texts), np.float32)
        except EmbeddingError:
            raise
        except Exception as exc:  # the edge of foreign code: any failure of a model is "no vector now"
            raise EmbeddingError(f"embedder {self.name} failed: {type(exc).__name__}: {exc}") from exc
        if vectors.ndim != 2 or len(vectors) != len(texts):
            shape = "x".join(map(str, vectors.shape))
            raise EmbeddingError(f"embedder {self.name} gave an array of {shape} for {len(texts)} texts")
        return vectors

    def close(self) -> None:
        """Let the thread go; what it is computing is not waited for."""
        self._thread.shutdown(wait=False, cancel_futures=True)
