"""Says hello before the first message."""

from zoozl.chatbot import Interface, InterfaceRoot, Package


class Greeter(Interface):
    """Greets everybody once. `[greeter] text = "..."` says it in your words."""

    name = "greeter"
    description = "Says hello."
    aliases = ("greet", "hello", "good morning")

    def load(self, context: InterfaceRoot) -> None:
        """Take the greeting from the configuration."""
        self.text = str(context.config("greeter").get("text", "Hello! What can I do for you?"))

    async def consume(self, context: InterfaceRoot, package: Package) -> None:
        """Greet."""
        package.callback(self.text)
