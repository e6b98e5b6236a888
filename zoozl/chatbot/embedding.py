"""The embedding service: vectors computed off the loop, once per text while it is remembered."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from zoozl.chatbot.breaker import Breaker
from zoozl.chatbot.checked_embedder import PROBE, CheckedEmbedder, stacked
from zoozl.chatbot.kept_vectors import KeptVectors
from zoozl.chatbot.lru import LRU
from zoozl.chatbot.one_thread import OneThread
from zoozl.errors import EmbeddingError, Unembeddable

if TYPE_CHECKING:
    from zoozl.chatbot.ports import Embedder, KeyValue, Vectors

# The bundled model reads 256 tokens; what is beyond this many characters changes no vector.
LONGEST = 2_000
# Longer texts are hardly ever repeated, and keeping them would make the cache's memory unbounded.
LONGEST_CACHED = 300
CACHE_BYTES = 16 << 20
# A model here is asked for a few texts at a time, so that messages get their turn in between. An endpoint gets what
# has come together: of a table so many, of messages so many.
TABLE_PART = {False: 8, True: 256}
MESSAGES_AT_ONCE = 64
# Kept vectors less alike than this to new ones are another model's, under the same name.
SAME = 0.99


class Embedding:
    """An embedder behind one thread, a bounded cache and a circuit breaker.

    One thread, because a second one gains little on a small machine and doubles the model's memory. While the embedder
    is out of work every call fails at once, and it is tried in the background until it works.
    """

    def __init__(
        self,
        embedder: Embedder,
        cache_size: int = 4096,
        *,
        keep: KeyValue | None = None,
        patience: float = 10.0,
        pauses: tuple[float, float] = (1.0, 60.0),
    ) -> None:
        """`keep`: where vectors of tables outlive the process.

        A text that takes longer than `patience` seconds fails; `pauses` are the shortest and the longest between tries
        of an embedder that is out of work.
        """
        self.embedder = embedder
        self._model = CheckedEmbedder(embedder)
        self._cache: LRU[Vectors] = LRU(cache_size)
        self._under_way: dict[str, asyncio.Future[Vectors]] = {}
        self._waiting: list[str] = []
        self._sender: asyncio.Task[None] | None = None
        self._thread = OneThread("zoozl-embed", computes=not self._model.batches)
        self._kept = KeptVectors(keep) if keep is not None else None
        self._trusted = False
        self._patience = patience
        self._probes = [PROBE]
        self._breaker = Breaker(lambda: self.name, self._probe, first=pauses[0], most=pauses[1])

    @property
    def name(self) -> str:
        """What identifies the vectors: model and version."""
        return self.embedder.name

    @property
    def about(self) -> str:
        """The embedder, for the person who starts it."""
        return str(getattr(self.embedder, "about", self.name))

    @property
    def is_usable(self) -> bool:
        """Whether the embedder worked when it was last asked."""
        return not self._breaker.is_open

    async def usable(self) -> None:
        """Wait until the embedder works."""
        await self._breaker.usable()

    async def vector(self, text: str) -> Vectors:
        """The vector of one text, `(d,) float32`. Raises EmbeddingError, after `patience` seconds at the latest."""
        text = text[:LONGEST]
        cached = self._cache.get(text)
        if cached is not None:
            return cached
        self._breaker.check()
        running = self._under_way.get(text)
        if running is None:
            running = self._begin(text)
        try:
            async with asyncio.timeout(self._patience):
                # Shielded: one talker's cancel must not take the vector from another who waits for the same text.
                return await asyncio.shield(running)
        except TimeoutError:
            error = EmbeddingError(f"one text takes longer than {self._patience:g} s")
            self._breaker.failed(error)
            raise error from None

    async def vectors(self, texts: Sequence[str]) -> Vectors:
        """The vectors of `texts`, `(n, d) float32`. Raises EmbeddingError."""
        return await self._stacked([text[:LONGEST] for text in texts], {})

    async def table(self, texts: Sequence[str]) -> Vectors:
        """The same for texts that are compared with messages all the time: their vectors outlive the process.

        May take long, and opens the breaker when it fails, whatever the reason: no message can be compared then.
        """
        texts = [text[:LONGEST] for text in texts]
        self._breaker.check()
        try:
            await self._thread.run(self._model.load)
        except EmbeddingError as exc:
            self._breaker.failed(exc)
            raise
        known = await self._known(texts) if self._kept is not None else {}
        found = await self._stacked(texts, known, table=True)
        if self._kept is not None:
            await self._kept.put(
                self.name, {text: v for text, v in zip(texts, found, strict=True) if text not in known}
            )
        return found

    async def prune(self) -> None:
        """When all tables are made: forget the kept vectors that no table has."""
        if self._kept is not None:
            await self._kept.prune()

    def close(self) -> None:
        """Let the thread and the embedder go; what is being computed is not waited for."""
        self._breaker.close()
        if self._sender is not None:
            self._sender.cancel()
        self._thread.close()
        for future in list(self._under_way.values()):
            future.cancel()
        close = getattr(self.embedder, "close", None)
        if close is not None:
            close()

    async def _known(self, texts: list[str]) -> dict[str, Vectors]:
        """The kept vectors of `texts`, if they still are what the embedder gives."""
        assert self._kept is not None
        known = await self._kept.get(self.name, texts)
        if not known or self._trusted:
            return known
        # An endpoint's model, and a class of one's own, can change and keep its name: one text tells.
        text, before = next(iter(known.items()))
        now = (await self._stacked([text], {}, table=True))[0]
        self._trusted = before.shape == now.shape and float(before @ now) >= SAME
        return known if self._trusted else {}

    async def _stacked(self, texts: list[str], known: dict[str, Vectors], *, table: bool = False) -> Vectors:
        """One array of what is known, what is in the cache, and what is computed now."""
        found = {text: v for text in dict.fromkeys(texts) if (v := known.get(text, self._cache.get(text))) is not None}
        missing = [text for text in dict.fromkeys(texts) if text not in found]
        for part in _parts(missing, TABLE_PART[self._model.batches]):
            self._breaker.check()
            found.update(zip(part, await self._compute(part, table=table), strict=True))
        return await self._thread.run(stacked, [found[text] for text in texts])

    def _begin(self, text: str) -> asyncio.Future[Vectors]:
        """Start computing the vector of one text."""
        running: asyncio.Future[Vectors]
        if self._model.batches:
            running = asyncio.get_running_loop().create_future()
            self._waiting.append(text)
            if self._sender is None or self._sender.done():
                self._sender = asyncio.create_task(self._send(), name="zoozl-embed")
        else:
            running = asyncio.ensure_future(self._one(text))
        self._under_way[text] = running
        running.add_done_callback(lambda done: self._forget(text, done))
        return running

    def _forget(self, text: str, done: asyncio.Future[Vectors]) -> None:
        self._under_way.pop(text, None)
        if not done.cancelled():
            # Looked at here, because all who waited may be gone.
            done.exception()

    async def _one(self, text: str) -> Vectors:
        return (await self._compute([text]))[0]

    async def _send(self) -> None:
        """While there are messages: ask for all that have come together since the last time."""
        while self._waiting:
            texts = self._waiting[:MESSAGES_AT_ONCE]
            del self._waiting[:MESSAGES_AT_ONCE]
            for text, result in zip(texts, await self._answers(texts), strict=True):
                future = self._under_way.get(text)
                if future is None or future.done():
                    continue
                if isinstance(result, EmbeddingError):
                    future.set_exception(result)
                else:
                    future.set_result(result)

    async def _answers(self, texts: list[str]) -> Sequence[Vectors | EmbeddingError]:
        """The vector of each text, or why there is none."""
        try:
            self._breaker.check()
            return await self._compute(texts)
        except Unembeddable as exc:
            if len(texts) == 1:
                return [exc]
            # One of them is to blame, and the others must not suffer.
            half = len(texts) // 2
            return [*await self._answers(texts[:half]), *await self._answers(texts[half:])]
        except EmbeddingError as exc:
            return [exc] * len(texts)

    async def _compute(self, texts: list[str], *, table: bool = False) -> list[Vectors]:
        """Ask the embedder, and open the breaker if it does not work."""
        try:
            vectors: Vectors = await self._thread.run(self._model.embed, texts)
        except EmbeddingError as exc:
            if table or not isinstance(exc, Unembeddable):
                self._probes = texts if table else [PROBE]
                self._breaker.failed(exc)
            raise
        self._cache.size = min(self._cache.size, max(1, CACHE_BYTES // max(1, vectors[0].nbytes)))
        # Copies: a row would keep the whole batch alive.
        rows = [vector.copy() for vector in vectors] if len(texts) > 1 else [vectors[0]]
        for text, row in zip(texts, rows, strict=True):
            if len(text) <= LONGEST_CACHED:
                self._cache.put(text, row)
        return rows

    async def _probe(self) -> None:
        """Ask for what failed last; raises EmbeddingError while that does."""
        await self._thread.run(self._model.load)
        await self._thread.run(self._model.embed, self._probes)


def _parts(texts: list[str], size: int) -> Iterator[list[str]]:
    for start in range(0, len(texts), size):
        yield texts[start : start + size]
