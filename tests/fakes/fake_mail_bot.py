"""Plugins for the tests of the e-mail channel."""

import asyncio

from zoozl.chatbot import Interface, Message, MessagePart


class Echo(Interface):
    aliases = ("help", "echo")

    async def consume(self, context, package):
        files = [f"{part.filename}|{part.media_type}|{len(part.binary)}" for part in package.last_message.files]
        who = package.identity.talker if package.identity else "nobody"
        package.callback(f"[{package.last_message_text}] by {package.talker} known as {who}")
        for line in files:
            package.callback(line)


class Shop(Interface):
    aliases = ("order a pizza", "/pizza")

    async def consume(self, context, package):
        kind = await package.ask("Which pizza?", choices=["Margherita", "Diavolo", "Quattro stagioni"])
        package.callback(f"Good choice: {kind}.")
        sure = await package.confirm("Shall I order it?")
        package.callback("It is on its way." if sure else "Never mind.")


class Slow(Interface):
    aliases = ("/slow",)

    async def consume(self, context, package):
        package.callback("Looking.")
        await asyncio.sleep(0.5)
        package.callback("Found it.")


class Files(Interface):
    aliases = ("/file",)

    async def consume(self, context, package):
        package.callback("Here it *is*.")
        package.callback(Message([MessagePart(binary=b"%PDF", media_type="application/pdf", filename="naïve.pdf")]))


class Admin(Interface):
    aliases = ("/admin",)
    roles = ("admin",)

    async def consume(self, context, package):
        package.callback("As you wish.")
