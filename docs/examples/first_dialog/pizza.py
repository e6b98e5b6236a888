"""Takes orders for pizza."""

from zoozl.chatbot import Interface, Package


class Pizza(Interface):
    description = "takes orders for pizza"
    aliases = ("order a pizza", "I am hungry", "/pizza")

    async def consume(self, context, package: Package):
        pizza = await package.ask("Which one?", choices=["Margherita", "Funghi", "Marinara"])
        count = await package.ask("How many?", validate=number)
        if await package.confirm(f"{count} {pizza}, is that right?", timeout=300):
            order = await package.step(self.order, context, pizza, count)
            package.callback(f"They are in the oven. Your order is {order}.")
        else:
            package.callback("Then not.")

    async def order(self, context, pizza, count, key):
        await context.memory.put(key, [pizza, count])
        return key


def number(text):
    if not text.isdecimal() or not 1 <= int(text) <= 20:
        raise ValueError("A number from 1 to 20, please.")
    return int(text)
