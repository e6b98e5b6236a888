"""A plugin that says more than anybody reads."""

from zoozl.chatbot import Interface


class Chatter(Interface):
    aliases = ("help",)

    async def consume(self, package):
        for number in range(1000):
            package.callback(f"{number} " + "x" * 10_000)
