"""Takes bookings of a table by a form."""

import asyncio
from datetime import date, timedelta
from typing import Any

from zoozl.chatbot import Form, Interface, InterfaceRoot, Package

QUARTER = 900
DAYS_AHEAD = 90
MOST_SEATS = 8

FORM = (
    Form()
    .text("name", "Your name")
    .date("day", "Day")
    .number("seats", "Seats")
    .select("area", "Where", ["Inside", "Garden"])
    .checkbox("quiet", "A quiet corner?")
)


def name(text: str) -> None:
    """Raise ValueError for a name that fits on no list."""
    if len(text) > 60:
        raise ValueError("60 letters at most.")


def seats(text: str) -> int:
    """How many. Raises ValueError."""
    if text not in {str(number) for number in range(1, MOST_SEATS + 1)}:
        raise ValueError(f"from 1 to {MOST_SEATS}.")
    return int(text)


class Booking(Interface):
    """Bookings are in the plugin's memory, by day: `2027-01-20/17.5`."""

    name = "booking"
    description = "books a table"
    aliases = ("book a table", "do you have a table for us", "/book")

    def load(self, context: InterfaceRoot) -> None:
        """How many tables there are."""
        self.tables = int(context.config("booking").get("tables", 10))
        self.one_at_a_time = asyncio.Lock()

    async def consume(self, context: InterfaceRoot, package: Package) -> None:
        """The form, again if there is no table, then a last look."""
        today = package.now().date()

        def day(text: str) -> None:
            if not today <= date.fromisoformat(text) <= today + timedelta(days=DAYS_AHEAD):
                raise ValueError(f"we take bookings from today on, for {DAYS_AHEAD} days.")

        checks = {"name": name, "day": day, "seats": seats}
        wanted = await package.form("A table for you:", FORM, validate=checks, timeout=QUARTER)
        where = f"{wanted['area'].lower()}, {'in a quiet corner' if wanted['quiet'] == 'yes' else 'anywhere'}"
        if not await package.confirm(f"{wanted['seats']} seats on {wanted['day']}, {where}?", timeout=QUARTER):
            package.callback("Then nothing is booked.")
            return
        number = await package.step(self.book, context, wanted)
        package.callback(f"Booked. Your number is {number}." if number else "That day is full, sorry. Another one?")

    async def book(self, context: InterfaceRoot, wanted: dict[str, Any], key: str) -> str | None:
        """The number of the booking, None if there is no table left. Once for each `key`."""
        async with self.one_at_a_time:
            mine = f"{wanted['day']}/{key}"
            taken = await context.memory.keys(f"{wanted['day']}/")
            if mine not in taken and len(taken) >= self.tables:
                return None
            await context.memory.put(mine, wanted)
            return key
