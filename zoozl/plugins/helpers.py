"""The two plugins every bot needs: one that says what can be asked, one that lets go."""

from zoozl.chatbot import Interface, InterfaceRoot, Package

SPECIAL = {"greet", "help", "cancel"}


class Help(Interface):
    """Answers what nobody understood with what the bot can do."""

    name = "help"
    description = "Says what you can ask."
    aliases = ("help", "/help", "what can you do", "can you help me", "what can I ask you")

    async def consume(self, context: InterfaceRoot, package: Package) -> None:
        """List the plugins and the first phrases that call them."""
        lines = ["Here is what you can ask:" if package.matched else "I did not understand that. You can ask:"]
        for plugin in context.plugins.all:
            phrases = [alias for alias in plugin.aliases if alias not in SPECIAL]
            if plugin.interface is self or not phrases or SPECIAL & set(plugin.aliases):
                continue
            about = f": {plugin.interface.description}" if plugin.interface.description else ""
            lines.append(f'- "{phrases[0]}"{about}')
        if len(lines) == 1:
            lines = ["I cannot do anything yet: no plugin is loaded."]
        package.callback("\n".join(lines))


class Cancel(Interface):
    """Says that what was going on is over; the core has ended it."""

    name = "cancel"
    description = "Ends what is going on."
    aliases = ("cancel",)

    async def consume(self, context: InterfaceRoot, package: Package) -> None:
        """Confirm."""
        going_on = package.conversation.ongoing
        package.callback("OK, we leave it at that." if going_on else "There is nothing to cancel.")
