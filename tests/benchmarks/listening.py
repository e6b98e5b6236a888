"""A plugin that takes everything and says nothing: what a message costs without its answer."""

from zoozl.chatbot import Interface


class Listener(Interface):
    name = "listener"
    aliases = ("echo this", "help", "greet", "cancel")

    async def consume(self, package):
        pass
