"""A disk that refuses is asked again, for as long as it takes: what has been done cannot be done once more."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from zoozl.backoff import Backoff
from zoozl.errors import StoreError, Unstorable

log = logging.getLogger(__name__)

T = TypeVar("T")

LONGEST = 30.0
"""Seconds between two tries."""


async def insist(what: str, write: Callable[[], Awaitable[T]], *, refused: bool = False) -> T:
    """What `await write()` gives as soon as the store does not refuse it; `what` waits meanwhile, says the log.

    `refused`: it has been tried once already. Raises Unstorable for what no store would ever take.
    """
    backoff = Backoff(longest=LONGEST)
    while True:
        if not refused:
            try:
                return await write()
            except Unstorable:
                raise
            except StoreError:
                pass  # told below
        refused = False
        delay = backoff.next()
        log.error("%s waits for the disk, next try in %.1f s", what, delay)
        await asyncio.sleep(delay)
