"""A plugin of a help desk: asks, shows what grows, looks at files, tells what was said before."""

import asyncio

from zoozl.chatbot import Interface, Message, MessagePart
from zoozl.chatbot.question import Form


class Desk(Interface):
    aliases = ("help", "/desk")

    async def consume(self, package):
        text = package.last_message_text
        if files := package.get_attachments():
            package.callback(f"got {', '.join(f'{f.filename} {f.media_type} {len(f.binary)}' for f in files)}")
        elif text == "who":
            identity = package.identity
            package.callback(f"{identity.talker} {identity.claims.get('username')} {sorted(identity.roles)}")
        elif text == "long":
            package.callback("```\n" + "0123456789 abcdefghi\n" * 2_000 + "```")
        elif text == "all":
            package.callback("@all and @here, `@channel` is a word")
        elif text == "files":
            package.callback(
                Message([MessagePart("see"), *(MessagePart("", b"x" * 9, "", f"{n}.txt") for n in range(7))])
            )
        elif text == "picture":
            package.callback(Message([MessagePart("", b"x" * (3 << 20), "image/png", "p.png")]))
        elif text == "grow":
            async with package.stream() as out:
                await out.write("one ")
                await asyncio.sleep(0.3)
                await out.write("two")
        elif text == "said":
            package.callback(" | ".join(message.text for message in await package.history(10)))
        elif text == "slow":
            await asyncio.sleep(0.6)
            package.callback("done")
        else:
            package.callback(f"echo {text}")


class Lunch(Interface):
    aliases = ("lunch", "/lunch")

    async def consume(self, package):
        dish = await package.ask("What will it be?", choices=["Soup", "Fish"])
        package.callback(f"{dish} it is")


class Menu(Interface):
    aliases = ("menu",)

    async def consume(self, package):
        day = await package.ask("Which day?", choices=["Mon", "Tue", "Wed", "Thu", "Fri", "Sat"])
        package.callback(f"on {day}")


class Order(Interface):
    aliases = ("order",)

    async def consume(self, package):
        fields = Form().text("name", "Your name").number("count", "How many").checkbox("hot", "Hot?")
        values = await package.form("An order", fields)
        package.callback(f"{values['name']} {values['count']} {values['hot']}")


class Secret(Interface):
    aliases = ("/secret",)
    roles = frozenset({"admin"})

    async def consume(self, package):
        package.callback("the secret")
