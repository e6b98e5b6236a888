"""Plugins that ask, take their time and grow answers."""

import asyncio

from zoozl.chatbot import Interface
from zoozl.chatbot.question import Form


class Order(Interface):
    aliases = ("order food", "/order")

    async def consume(self, package):
        dish = await package.ask("What will it be?", choices={"s": "Soup", "f": "Fish of the *day*", "c": "Cake"})
        count = await package.ask("How many?", validate=self.number)
        if await package.confirm(f"{count} times {dish}, right?"):
            package.callback(f"{count} {dish} coming.")
        else:
            package.callback("Then not.")

    def number(self, text):
        if not text.isdigit():
            raise ValueError("A number, please.")
        return int(text)


class Table(Interface):
    aliases = ("book a table", "/table")

    async def consume(self, package):
        given = await package.form(
            "A table for you",
            Form()
            .text("name", "Your name")
            .number("people", "How many people", default="2")
            .date("day", "Which day")
            .select("place", "Where", {"in": "Inside", "out": "Outside"})
            .checkbox("dog", "With a dog")
            .text("wish", "Anything else", required=False),
        )
        package.callback(", ".join(f"{name}={value}" for name, value in given.items()))


class Login(Interface):
    aliases = ("sign me in", "/login")

    async def consume(self, package):
        word = await package.ask("Your word?", secret=True)
        package.callback(f"{len(word)} characters.")


class Tale(Interface):
    """Tells a word whenever somebody says /next to another talker's plugin."""

    aliases = ("tell a tale", "/tale")
    more: asyncio.Queue | None = None

    def load(self, context):
        Tale.more = asyncio.Queue()

    async def consume(self, package):
        package.callback("Listen.")
        async with package.stream() as out:
            while (words := await Tale.more.get()) is not None:
                await out.write(words)


class Slow(Interface):
    aliases = ("take your time", "/slow")
    go_on: asyncio.Event | None = None

    def load(self, context):
        Slow.go_on = asyncio.Event()

    async def consume(self, package):
        await Slow.go_on.wait()
        package.callback("There.")


class TaleAndSlow(Interface):
    aliases = ("/both",)

    async def consume(self, package):
        words = await Tale.more.get()
        async with package.stream() as out:
            await out.write(words)
        await Slow.go_on.wait()
        package.callback("There.")


class Help(Interface):
    aliases = ("help",)

    async def consume(self, package):
        package.callback("What?")
