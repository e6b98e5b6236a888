"""How often something may be done: a token bucket, told the time by those who use it."""

from __future__ import annotations


class Bucket:
    """`size` at once, and as many in each `period` (seconds) in the long run.

    Times are seconds of any clock that does not go back. Whoever takes what is not there yet gets a place in the
    line, which is a time of the bucket's own: that one stands still during a pause, so those in the line keep their
    distance.
    """

    __slots__ = ("_at", "_left", "_lost", "_rate", "_size", "_until")

    def __init__(self, size: float, period: float, now: float) -> None:
        self._size = size
        self._rate = size / period
        self._left = size
        self._at = now
        self._until = now
        self._lost = 0.0

    def _fill(self, now: float) -> float:
        """The bucket's own time, up to which it is filled."""
        own = max(now, self._until) - self._lost
        self._left = min(self._size, self._left + (own - self._at) * self._rate)
        self._at = own
        return own

    def take(self, now: float) -> float:
        """Take one: 0.0, or the seconds until there will be one; then nothing was taken."""
        self._fill(now)
        pause = self._until - now
        if self._left < 1:
            return (1 - self._left) / self._rate + max(pause, 0.0)
        if pause > 0:
            return pause
        self._left -= 1
        return 0.0

    def book(self, now: float) -> float:
        """Take one that is there or will be; its place in the line, for `wait`."""
        own = self._fill(now)
        self._left -= 1
        return own + max(-self._left, 0.0) / self._rate

    def wait(self, place: float, now: float) -> float:
        """Seconds until it is the turn of a place in the line; 0.0 when it is."""
        return max(place - (max(now, self._until) - self._lost), 0.0) + max(self._until - now, 0.0)

    def give_back(self) -> None:
        """What was booked is not wanted any more. Those behind keep their places.

        If that was a place before the last one of the line, the next to book gets the last one's place as well, and two
        have their turn at the same time: the rate in the long run holds, "`size` at once" does not.
        """
        self._left += 1

    def pause(self, seconds: float, now: float) -> None:
        """Nothing for so long from now on; then one, and more as they come."""
        self._fill(now)
        self._left = min(self._left, 1.0)
        begin, end = max(now, self._until), now + seconds
        if end > begin:
            self._lost += end - begin
            self._until = end

    def learn(self, size: float, period: float, left: float, now: float) -> None:
        """The other side has said what it takes, and how many of them are left. A line is as long as it was."""
        self._fill(now)
        self._size, self._rate = size, size / period
        if self._left >= 0:
            self._left = min(left, size)
