"""A plugin as a careful author writes it; mypy strict must have nothing to say."""

from zoozl.chatbot import Interface, InterfaceRoot, Message, MessagePart, Package


class Typed(Interface):
    """One method of each kind."""

    name = "typed"
    aliases = ("typed plugin",)

    def load(self, context: InterfaceRoot) -> None:
        """Read the configuration."""
        self.limit = int(context.config("typed").get("limit", 3))

    async def consume(self, context: InterfaceRoot, package: Package) -> None:
        """Use everything once."""
        count: int = await context.memory.get("count", 0)
        await context.memory.put("count", count + 1)
        vectors = await context.embed([package.last_message_text])
        package.conversation.data["shape"] = list(vectors.shape)
        package.callback(Message([MessagePart(f"{package.talker} {count}")]))
        if count > self.limit:
            package.finish()

    def is_complete(self, package: Package) -> bool:
        """Decide from the data."""
        return "shape" not in package.conversation.data
