"""What a talker says: its numbers as fast as it may, or orders, for which it waits until it is asked."""

from __future__ import annotations

from typing import Protocol

from zoozl.torture.plugin import ORDER


class Script(Protocol):
    """Messages by number, from 1."""

    def text(self, number: int) -> str:
        """What it says."""
        ...

    def wants(self, number: int) -> int:
        """How many replies it must have heard before it says that."""
        ...


class Numbers:
    """One after the other."""

    def __init__(self, name: str, prefix: str) -> None:
        self._name = name
        self._prefix = prefix

    def text(self, number: int) -> str:
        """See Script."""
        return f"{self._prefix}{self._name}-{number}"

    def wants(self, number: int) -> int:
        """See Script."""
        return 0


class Orders:
    """An order after the other, in four messages each; the second is none of the choices."""

    LENGTH = 4
    # Replies that an order has had before each of its messages, and in all.
    BEFORE = (0, 2, 3, 4)
    IN_ALL = 5
    CHOICES = "\n\n1. soup\n2. fish"

    def __init__(self, name: str) -> None:
        self._name = name

    def text(self, number: int) -> str:
        """See Script."""
        order, place = divmod(number - 1, self.LENGTH)
        return (
            f"{ORDER} {self.order(order)}",
            "stones",
            str(order % 2 + 1) if order % 4 < 2 else self._dish(order),
            "yes" if self._sure(order) else "no",
        )[place]

    def wants(self, number: int) -> int:
        """See Script."""
        order, place = divmod(number - 1, self.LENGTH)
        return order * self.IN_ALL + self.BEFORE[place]

    def order(self, order: int) -> str:
        """The name of an order, counted from 0."""
        return f"{self._name}-{order + 1}"

    def replies(self, order: int, results: tuple[str, ...]) -> list[str]:
        """All that is said to an order whose steps had these results."""
        name = self.order(order)
        return [
            f"{name} begun",
            f"{name} which?{self.CHOICES}",
            f"Please choose one of these:{self.CHOICES}",
            f"{name} {self._dish(order)}, sure? (yes/no)",
            f"{name} done {' '.join(results)}" if self._sure(order) else f"{name} not done",
        ]

    def _dish(self, order: int) -> str:
        return ("soup", "fish")[order % 2]

    def _sure(self, order: int) -> bool:
        return order % 5 != 4
