"""Messages that no plugin was found for, kept where the owner wants to learn from them: texts, and nothing of talkers.

They are masked before they are kept, since people write down whom they are; see `masked`.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from zoozl.chatbot.router import Rule
from zoozl.errors import StoreError

if TYPE_CHECKING:
    from zoozl.chatbot.ports import KeyValue
    from zoozl.chatbot.services import Report

log = logging.getLogger(__name__)

# No plugin's `name` is spelled like this. Keys begin with the time, see `key_at`.
SPACE = "zoozl:unrouted"
MOST = 2_000
LONGEST = 300
# More than that are not written at a time: then the disk is slow, and learning is what can wait.
AT_ONCE = 50

_MASKED = re.compile(
    r"""\S+@\S+                              # an e-mail address
    | (?<![^\W\u2e80-\U0003ffff])(?:https?://|www\.)\S+    # a link, also right after Chinese
    | \+?\d(?:[\s().\-/]{0,2}\d){3,}         # a number of four digits or more, however it is grouped
    | (?<![^\W\u2e80-\U0003ffff])(?=[A-Za-z_\-]*\d)(?:-|[^\W\u2e80-\U0003ffff]){12,}  # with a digit: a token, an id
    | [^\s\u2e80-\U0003ffff]{40,}            # what is no word; Chinese has no spaces
    """,
    re.VERBOSE,
)


def masked(text: str) -> str:
    """`text` in one line, with what may tell who wrote it, or is a secret, as "…". Names stay: nobody can tell them."""
    return _MASKED.sub("…", " ".join(text.split()))


def key_at(at: float) -> str:
    """What keys of this moment (seconds since the epoch) begin with; earlier ones sort before."""
    return f"{int(at * 1000):014d}"


class Unrouted:
    """Keeps the latest of them in a store. `observe` is called by the bot after each turn."""

    def __init__(self, store: KeyValue, most: int = MOST, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._most = most
        self._clock = clock
        self._keys: deque[str] | None = None
        self._count = 0
        self._lock = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._open = True

    def observe(self, report: Report) -> None:
        """Keep the text of a message for which a score was too low: typed, of its own, in a direct conversation."""
        event, route = report.receipt.event, report.route
        # What people say to each other in a room is not the bot's to keep.
        if route.rule is not Rule.FALLBACK or not route.near or event.answer is not None or event.address.room:
            return
        text = event.message.text
        if not self._open or len(text) > LONGEST or len(self._tasks) >= AT_ONCE:
            return
        task = asyncio.ensure_future(self._keep(masked(text)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _keep(self, text: str) -> None:
        async with self._lock:
            try:
                if self._keys is None:
                    self._keys = deque(await self._store.keys(SPACE, ""))
                self._count += 1
                key = f"{key_at(self._clock())}-{self._count:06d}"
                await self._store.put(SPACE, key, json.dumps(text))
                self._keys.append(key)
                while len(self._keys) > self._most:
                    await self._store.put(SPACE, self._keys.popleft(), None)
            except StoreError as exc:
                log.warning("a message to learn from is not kept: %s", exc)

    async def close(self) -> None:
        """Take no more, and wait for what is being written."""
        self._open = False
        while self._tasks:
            await asyncio.wait(set(self._tasks))
