"""How often somebody may do something."""

from __future__ import annotations


class Bucket:
    """A token bucket: `size` at once, and as many in each `period` (seconds) in the long run."""

    __slots__ = ("_at", "_left", "_rate", "_size")

    def __init__(self, size: float, period: float, now: float) -> None:
        self._size = size
        self._rate = size / period
        self._left = size
        self._at = now

    def take(self, now: float) -> float:
        """Take one: 0.0, or the seconds until there will be one; then nothing was taken."""
        left = min(self._size, self._left + (now - self._at) * self._rate)
        self._at = now
        if left < 1:
            self._left = left
            return (1 - left) / self._rate
        self._left = left - 1
        return 0.0
