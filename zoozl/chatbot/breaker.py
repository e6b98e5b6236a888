"""A circuit breaker: what does not work is not asked for a while, and tried in the background until it works."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from zoozl.errors import EmbeddingError

log = logging.getLogger(__name__)


class Breaker:
    """Closed while the embedder works. One warning when it opens, one when it closes again."""

    def __init__(
        self, name: Callable[[], str], probe: Callable[[], Awaitable[object]], *, first: float = 1.0, most: float = 60.0
    ) -> None:
        """`probe` raises EmbeddingError while it is of no use; pauses between probes grow from `first` to `most` s."""
        self._name = name
        self._probe = probe
        self._first = first
        self._most = most
        self._pause = 0.0
        self._closed_since = 0.0
        self._reason: EmbeddingError | None = None
        self._recovery: asyncio.Task[None] | None = None
        self._ended = False
        self._usable = asyncio.Event()
        self._usable.set()

    @property
    def is_open(self) -> bool:
        """Whether nothing should be asked now."""
        return self._reason is not None

    def check(self) -> None:
        """Raise EmbeddingError, at once, while it is open."""
        if self._reason is not None:
            raise EmbeddingError(f"embedder {self._name()} is not usable now: {self._reason}")

    async def usable(self) -> None:
        """Wait until it is closed."""
        await self._usable.wait()

    def failed(self, error: EmbeddingError) -> None:
        """Open it, because of `error`; to be called on the loop."""
        if self._ended:
            return
        if self._reason is None:
            log.warning("embedder %s is not usable: %s; it is tried again until it is", self._name(), error)
            # What failed again soon after it came back has not come back: the pauses go on growing.
            now = asyncio.get_running_loop().time()
            stable = now - self._closed_since > 2 * self._pause
            self._pause = self._first if stable else min(2 * self._pause, self._most)
            self._usable.clear()
            self._recovery = asyncio.create_task(self._recover(now), name="zoozl-embedder-recovery")
        self._reason = error

    async def _recover(self, since: float) -> None:
        loop = asyncio.get_running_loop()
        while self._reason is not None:
            wish = self._reason.retry_after or 0.0
            await asyncio.sleep(max(self._pause, min(wish, self._most)))
            try:
                await self._probe()
            except EmbeddingError as exc:
                self._reason = exc
                self._pause = min(2 * self._pause, self._most)
            else:
                self._reason = None
        self._closed_since = loop.time()
        log.warning("embedder %s works again, after %.0f s", self._name(), self._closed_since - since)
        self._usable.set()

    def close(self) -> None:
        """Try no more, and say no more."""
        self._ended = True
        if self._recovery is not None:
            self._recovery.cancel()
