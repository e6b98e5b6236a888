"""One timer that looks at all running turns."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zoozl.chatbot.turn import Turn

log = logging.getLogger(__name__)

TICK = 0.05


class Watch:
    """Looks at all running turns every 50 ms: one timer instead of two for each turn.

    A turn older than a moment (200 ms) begins to say things before it ends; one beyond its limit is ended.
    """

    def __init__(self) -> None:
        self._turns: set[Turn] = set()
        self._timer: asyncio.TimerHandle | None = None

    def add(self, turn: Turn) -> None:
        """Begin to look at `turn`."""
        self._turns.add(turn)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(TICK, self._tick)

    def discard(self, turn: Turn) -> None:
        """It ended."""
        self._turns.discard(turn)

    def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        for turn in list(self._turns):
            try:
                turn.look(now)
            except Exception:  # one turn's trouble must not stop the clock of the others
                log.exception("turn %d cannot be looked at", turn.receipt.seq)
        self._timer = loop.call_later(TICK, self._tick) if self._turns else None
