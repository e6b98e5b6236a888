"""The plugins that the suite talks to."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass

from zoozl.chatbot import Interface, InterfaceRoot, Message, MessagePart, Package
from zoozl.chatbot.question import Form

PDF = b"%PDF-1.4\n" + bytes(range(256)) * 8
LINE = "line {} of some code"
MOST_PEOPLE = 8


def letters(number: int) -> str:
    """A text of so many characters that no markup changes."""
    return ("abcdefghi " * (number // 10 + 1))[: number - 1] + "z"


def code(lines: int) -> str:
    """A text with a block of code of so many lines."""
    return "\n".join(["Look at this.", "", "```", *(LINE.format(n) for n in range(lines)), "```", "", "That is all."])


def about(file: MessagePart) -> str:
    """What tells whether a file has arrived whole."""
    return f"{file.filename} {len(file.binary)} {hashlib.sha256(file.binary).hexdigest()[:12]}"


class Desk(Interface):
    """Says back what is said, or does what it is told."""

    aliases = ("help",)
    open: asyncio.Event | None = None
    """Who says "hold" is answered when this is set; a new one for every start."""
    held = 0
    """How often that was run."""

    def load(self, context: InterfaceRoot) -> None:
        """See Interface."""
        Desk.open, Desk.held = asyncio.Event(), 0

    async def consume(self, package: Package) -> None:
        """Answer."""
        text = package.last_message_text.strip()
        word, _, rest = text.partition(" ")
        files = package.get_attachments()
        if word == "hold":
            Desk.held += 1
            assert Desk.open is not None
            await Desk.open.wait()
            package.callback(f"held {rest}")
        elif word == "fail":
            raise RuntimeError("on purpose, for the conformance suite")
        elif word == "letters":
            package.callback(letters(int(rest)))
        elif word == "code":
            package.callback(code(int(rest)))
        elif word == "send":
            package.callback(Message([MessagePart("Here it is."), MessagePart("", PDF, "application/pdf", "plan.pdf")]))
        elif files:
            package.callback(f"{text} got {' and '.join(map(about, files))}")
        else:
            package.callback(f"echo {text}")


class Lunch(Interface):
    """A dialog with choices."""

    aliases = ("order lunch", "/lunch")

    async def consume(self, package: Package) -> None:
        """Ask twice."""
        dish = await package.ask("Which dish will it be?", choices=["Soup", "Fish", "Cake"])
        number = await package.ask("How many shall I order?")
        package.callback(f"{number} of {dish}")


class Table(Interface):
    """A dialog with a form."""

    aliases = ("book a table", "/table")
    title = "A table for you"

    def few(self, people: str) -> int:
        """A number of people. Raises ValueError."""
        if float(people) > MOST_PEOPLE:
            raise ValueError("that is too many.")
        return int(people)

    async def consume(self, package: Package) -> None:
        """Have it filled in."""
        form = Form().text("name", "Your name").number("people", "How many people", default="2")
        form = form.date("day", "Which day").select("place", "Where", {"in": "Inside", "out": "Outside"})
        form = form.checkbox("dog", "With a dog").text("wish", "Anything else", required=False)
        given = await package.form(self.title, form, validate={"people": self.few})
        package.callback(f"booked: {', '.join(f'{name}={value!r}' for name, value in given.items())}")


@dataclass
class Ordered:
    """What /order takes."""

    number: int
    dish: str
    hot: bool = False


class Order(Interface):
    """A command with arguments."""

    aliases = ("/order",)
    arguments = Ordered

    async def consume(self, package: Package) -> None:
        """Say what was understood; of a dish for later, later."""
        if package.arguments.dish == "later":
            assert Desk.open is not None
            await Desk.open.wait()
        package.callback(f"ordered: {package.arguments!r}")


class Tale(Interface):
    """An answer that grows by what is put into `pages`, until that is None."""

    aliases = ("tell a tale",)
    pages: asyncio.Queue[str | None] | None = None
    """A new one for every start."""

    def load(self, context: InterfaceRoot) -> None:
        """See Interface."""
        Tale.pages = asyncio.Queue()

    async def consume(self, package: Package) -> None:
        """Tell."""
        assert Tale.pages is not None
        async with package.stream() as out:
            while (page := await Tale.pages.get()) is not None:
                await out.write(page)


class Safe(Interface):
    """For those only who have proved who they are."""

    aliases = ("/safe",)
    roles = frozenset({"boss"})

    async def consume(self, package: Package) -> None:
        """Open it."""
        package.callback("the safe is open")
