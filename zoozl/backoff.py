"""How long to wait before something that failed is tried again: doubling, with jitter."""

from __future__ import annotations

import random
from collections.abc import Callable

# Seconds. What fails for so long is down, and nobody gains by asking less often.
LONGEST = 60.0


class Backoff:
    """`next()` gives the seconds to wait; `reset()` when it works, as a connection does when the other side has spoken.

    Half of each delay is left to chance, so that the clients of a platform that restarts do not all come at once.
    """

    __slots__ = ("_chance", "_first", "_longest", "_tries")

    def __init__(
        self, first: float = 1.0, longest: float = LONGEST, chance: Callable[[], float] = random.random
    ) -> None:
        """`first` and `longest` in seconds; `chance()` gives a number from 0 to 1."""
        self._first = first
        self._longest = longest
        self._chance = chance
        self._tries = 0

    def next(self) -> float:
        """Seconds until the next try: between half of the delay and the whole of it."""
        # The exponent is bounded: a float would overflow after a thousand tries.
        delay = min(self._first * 2.0 ** min(self._tries, 32), self._longest)
        self._tries += 1
        return delay * (0.5 + 0.5 * self._chance())

    def reset(self) -> None:
        """It works: the next failure is a first one."""
        self._tries = 0
