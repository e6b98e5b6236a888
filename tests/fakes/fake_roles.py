"""Plugins that look at who speaks."""

from zoozl.chatbot import Interface


class WhoAmI(Interface):
    aliases = ("who am i",)

    async def consume(self, package):
        who = package.identity
        if who is None:
            package.callback("nobody")
        else:
            package.callback(f"{package.talker} {who.talker} {sorted(who.roles)} {who.claims.get('email')}")


class Danger(Interface):
    aliases = ("delete everything",)
    roles = {"admin"}

    async def consume(self, package):
        package.callback("deleted")
