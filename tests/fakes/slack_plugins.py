"""Plugins that Slack's tests talk to."""

import asyncio

from zoozl.chatbot import Interface, Message, MessagePart
from zoozl.chatbot.question import Form


class Echo(Interface):
    aliases = ("help",)

    async def consume(self, package):
        text = package.last_message_text
        if text == "slow":
            await asyncio.sleep(10)
        if text == "fall over":
            raise RuntimeError("on purpose")
        if text == "long":
            code = "\n".join(f"line {n} of some code" for n in range(700))
            text = "words and more words. " * 700 + f"\n\n```python\n{code}\n```\n\nthe end"
        files = [MessagePart("", f.binary, f.media_type, f.filename) for f in package.get_attachments()]
        package.callback(Message([MessagePart(f"echo {text}"), *files]) if files else f"echo {text}")


class Order(Interface):
    aliases = ("order pizza",)

    async def consume(self, package):
        size = await package.ask("Which *size*?", choices={"s": "Small", "l": "Large"})
        if await package.confirm(f"A {size} one, really?"):
            package.callback(f"ordered {size}")
        else:
            package.callback("not ordered")


class Visit(Interface):
    aliases = ("book a visit",)

    async def consume(self, package):
        form = Form().text("name", "Your name").number("people", "How many?").select("when", "When", ["noon", "night"])
        given = await package.form("Your visit", form.checkbox("window", "By the window"))
        package.callback(" ".join(f"{key}={value}" for key, value in sorted(given.items())))


class Grows(Interface):
    aliases = ("tell a story",)

    async def consume(self, package):
        async with package.stream() as stream:
            for number in range(4):
                await stream.write(f"part {number} " + "x" * 300 + " ")
                await asyncio.sleep(0.3)
