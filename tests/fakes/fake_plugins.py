"""Plugins that the tests' servers run."""

import asyncio

from zoozl.chatbot import Interface, Message, MessagePart


class Greeter(Interface):
    aliases = ("greet",)

    async def consume(self, package):
        package.callback("welcome")


class Echo(Interface):
    aliases = ("help",)

    async def consume(self, package):
        text = package.last_message_text
        if text == "wait":
            package.callback("waiting")
            await asyncio.sleep(0.5)
        if text == "large":
            text = "x" * 1_000_000
        files = [MessagePart("", f.binary, f.media_type, f.filename) for f in package.get_attachments()]
        package.callback(Message([MessagePart(f"echo {text}"), *files]) if files else f"echo {text}")


class Fails(Interface):
    aliases = ("fall over",)

    def consume(self, package):
        raise RuntimeError("on purpose")
