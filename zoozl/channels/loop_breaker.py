"""Stops bots that answer each other: a cap on how often one conversation is answered in a while."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from zoozl.chatbot.lru import LRU
from zoozl.chatbot.message import Address

# Conversations that are counted; the one that was silent longest is forgotten first.
MOST = 10_000
# How often another bot is answered, so many times in so many seconds: in a conversation, in all threads of a room.
IN_CONVERSATION = ((10, 60.0), (200, 86_400.0))
IN_ROOM = ((60, 600.0), (1_000, 86_400.0))


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


class BotLoops:
    """How often other bots have been answered. One that begins a thread each time is in a loop as well."""

    def __init__(self) -> None:
        self._conversations = LoopBreaker(IN_CONVERSATION)
        self._rooms = LoopBreaker(IN_ROOM)

    def is_open(self, address: Address, now: float) -> bool:
        """Whether the bot that talks at `address` is not to be answered for a while."""
        conversation, room = _keys(address)
        return self._conversations.is_open(conversation, now) or self._rooms.is_open(room, now)

    def count(self, address: Address, now: float) -> None:
        """It is answered once more."""
        conversation, room = _keys(address)
        self._conversations.count(conversation, now)
        self._rooms.count(room, now)


def _keys(address: Address) -> tuple[str, str]:
    room = f"{address.account}:{address.room}:{address.talker}"
    return f"{room}:{address.thread}", room
