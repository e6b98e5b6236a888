"""Stops bots that answer each other: a cap on how often one conversation is answered in a while."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from zoozl.chatbot.lru import LRU

# Conversations that are counted; the one that was silent longest is forgotten first.
MOST = 10_000


class LoopBreaker:
    """Counts what one conversation has sent; `limits` are pairs of (how many, in how many seconds).

    A loop is fast or endless: one limit for a few minutes and one for a day catch both. Without limits nothing is
    ever stopped.
    """

    def __init__(self, limits: Sequence[tuple[int, float]], most: int = MOST) -> None:
        self._limits = limits
        self._counted = max((count for count, _ in limits), default=0)
        self._times: LRU[deque[float]] = LRU(most)

    def is_open(self, key: str, now: float) -> bool:
        """Whether `key` has reached a limit at the time `now`, in seconds of any clock that does not go back."""
        times = self._times.get(key)
        if times is None:
            return False
        return any(len(times) >= count and times[-count] > now - seconds for count, seconds in self._limits)

    def count(self, key: str, now: float) -> None:
        """One more of `key`."""
        if not self._counted:
            return
        times = self._times.get(key)
        if times is None:
            times = deque(maxlen=self._counted)
            self._times.put(key, times)
        times.append(now)
