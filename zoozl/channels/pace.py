"""Keeps the calls to a platform at the rate it takes, each kind of call and each room by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from zoozl.channels.bucket import Bucket
from zoozl.chatbot.lru import LRU
from zoozl.errors import DeliveryError

# Seconds that a call waits for its turn; one that would wait longer comes again when it is its turn.
PATIENCE = 20.0
# Those used least recently are forgotten: a bucket that nobody uses is full, as a new one is.
MOST_BUCKETS = 10_000
MOST_PLACES = 20_000
# As many as one likes, until there is a pause.
ANY = (1e9, 1.0)


class Pace:
    """Buckets by name. `limit(name)` tells how many are taken at once, and in how many seconds as many again.

    Who waits for a turn holds up only those who want the same. To be used in one event loop.
    """

    def __init__(self, limit: Callable[[str], tuple[float, float]]) -> None:
        self._limit = limit
        self._buckets: LRU[Bucket] = LRU(MOST_BUCKETS)
        self._places: dict[str, float] = {}

    def _bucket(self, name: str, now: float) -> Bucket:
        bucket = self._buckets.get(name)
        if bucket is None:
            bucket = Bucket(*self._limit(name), now)
            self._buckets.put(name, bucket)
        return bucket

    def free(self, name: str) -> bool:
        """Whether a turn could be had now: for what is better left undone than waited for."""
        now = _now()
        bucket = self._bucket(name, now)
        if bucket.take(now):
            return False
        bucket.give_back()
        return True

    async def turn(self, name: str, key: str = "") -> None:
        """Wait for a turn. Raises DeliveryError, with the seconds until there is one, if that is too long.

        Who comes again with the same `key` has kept the place in the line.
        """
        bucket = self._bucket(name, _now())
        kept = f"{name} {key}" if key else ""
        place = self._places.pop(kept, None)
        if place is None:
            place = bucket.book(_now())
        try:
            while (wait := bucket.wait(place, _now())) > 0:
                if wait > PATIENCE:
                    raise DeliveryError(f"{name} is done only so often, this one's turn is in {wait:.0f} s", wait)
                await asyncio.sleep(wait)
        except BaseException:
            if kept:
                self._keep(kept, place)
            else:
                bucket.give_back()
            raise

    def _keep(self, kept: str, place: float) -> None:
        while len(self._places) >= MOST_PLACES:
            del self._places[next(iter(self._places))]
        self._places[kept] = place

    def pause(self, name: str, seconds: float) -> None:
        """The platform takes no more of it for a while; who waits goes on waiting."""
        now = _now()
        self._bucket(name, now).pause(seconds, now)

    def learn(self, name: str, limit: tuple[float, float], left: float) -> None:
        """The platform has told its limit, and how many it takes at once now."""
        now = _now()
        self._bucket(name, now).learn(*limit, left, now)


def _now() -> float:
    return asyncio.get_running_loop().time()
