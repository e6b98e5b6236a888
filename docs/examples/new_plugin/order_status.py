"""Tells where an order is."""

import re

from zoozl.chatbot import Interface, InterfaceRoot, Package

NUMBER = re.compile(r"\d+")


class OrderStatus(Interface):
    """Looks an order up by its number."""

    description = "where an order is"
    aliases = ("where is my order", "has my parcel been sent", "/order")

    async def consume(self, context: InterfaceRoot, package: Package) -> None:
        """Ask for the number, then answer."""
        data = package.conversation.data
        found = NUMBER.search(package.last_message_text)
        if found is None:
            data["asked"] = True
            package.callback("What is the number of the order?")
            return
        orders = context.config("order_status").get("orders", {})
        package.callback(orders.get(found[0], "There is no such order."))
        package.finish()
