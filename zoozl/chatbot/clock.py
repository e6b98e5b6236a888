"""The time of day that deadlines are measured by; tests have one of their own."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """What time it is, and waiting until it is later."""

    def time(self) -> float:
        """Seconds since the epoch."""
        ...

    async def until(self, when: float, sooner: asyncio.Event) -> None:
        """Come back at `when`, or as soon as `sooner` is set."""
        ...


class WallClock:
    """The computer's clock."""

    # Looked at again so often: it may have been set, and the machine may have slept.
    LONGEST = 60.0

    def time(self) -> float:
        """See Clock."""
        return time.time()

    async def until(self, when: float, sooner: asyncio.Event) -> None:
        """See Clock; may come back up to a minute early."""
        try:
            async with asyncio.timeout(max(0.0, min(when - time.time(), self.LONGEST))):
                await sooner.wait()
        except TimeoutError:
            pass


class VirtualClock:
    """A clock that stands still until it is told to go on. For tests."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self._now = now
        self._moved = asyncio.Event()

    def time(self) -> float:
        """See Clock."""
        return self._now

    def advance(self, seconds: float) -> None:
        """It is so much later now."""
        self._now += seconds
        self._moved.set()
        self._moved = asyncio.Event()

    async def until(self, when: float, sooner: asyncio.Event) -> None:
        """See Clock."""
        while self._now < when and not sooner.is_set():
            waits = [asyncio.ensure_future(self._moved.wait()), asyncio.ensure_future(sooner.wait())]
            try:
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for wait in waits:
                    wait.cancel()
