"""Answers every message with its own text; for tests and benchmarks."""

from zoozl.chatbot import Interface, Package


class Pong(Interface):
    """Holds all three special aliases, so that nothing goes elsewhere."""

    name = "pong"
    description = "Repeats what you say."
    aliases = ("greet", "help", "cancel")

    async def consume(self, package: Package) -> None:
        """Say it again."""
        if package.last_message is not None:
            package.callback(package.last_message_text)
