"""Something that is made once, by whoever asks first, and shared by all who ask meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Once(Generic[T]):
    """`await once.get()` gives what `make()` made. A failure is everybody's who waits; the next call tries again."""

    __slots__ = ("_make", "_task", "value")

    def __init__(self, make: Callable[[], Awaitable[T]]) -> None:
        self._make = make
        self._task: asyncio.Future[T] | None = None
        self.value: T | None = None
        """What was made, None before."""

    async def get(self) -> T:
        """Make it, or wait for it, or give it."""
        if self.value is not None:
            return self.value
        if self._task is None:
            self._task = asyncio.ensure_future(self._make())
            # Looked at here, because all who waited may be gone.
            self._task.add_done_callback(lambda done: done.cancelled() or done.exception())
        task = self._task
        try:
            # Shielded: one who is cancelled must not take it from the others.
            self.value = await asyncio.shield(task)
        finally:
            if task.done():
                self._task = None
        return self.value
