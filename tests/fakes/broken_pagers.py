"""The channel of docs/examples/own_channel with one fault each, for the suite that has to find it."""

import asyncio
import logging
from dataclasses import replace

from aiohttp import web
from pager import Channel, Options

from zoozl.chatbot.message import Message
from zoozl.errors import DeliveryError

__all__ = ["Options"]

log = logging.getLogger("zoozl.channels.pager")


class Receiving:
    """A bot as a channel sees it, with something changed in what it is given."""

    def __init__(self, bot, change):
        self.bot, self.change = bot, change

    def receive(self, event):
        return self.bot.receive(self.change(event))


class Forgetful(Channel):
    def __init__(self, options, bot, name):
        super().__init__(options, Receiving(bot, lambda event: replace(event, keys=())), name)


class Told:
    """A receipt that says at once that all is stored."""

    async def acknowledged(self):
        return True


class Hurrying(Receiving):
    def receive(self, event):
        self.bot.receive(event)
        return Told()


class Hasty(Channel):
    def __init__(self, options, bot, name):
        super().__init__(options, Hurrying(bot, None), name)


class Careless(Channel):
    """Acknowledges what could not be stored."""

    async def take(self, request):
        try:
            return await super().take(request)
        except web.HTTPServiceUnavailable:
            return web.Response()


class Rekeyed(Channel):
    """Has another key at every try."""

    def __init__(self, options, bot, name):
        super().__init__(options, bot, name)
        self.tries = 0

    async def send(self, address, message, key):
        self.tries += 1
        await super().send(address, message, f"{key}try{self.tries}")


class Repeating(Rekeyed):
    """Begins a long answer anew after a fault."""


class Skipping(Channel):
    """Takes a part that was refused for one that was shown."""

    async def send(self, address, message, key):
        try:
            await super().send(address, message, key)
        except DeliveryError as exc:
            if exc.retry_after is None:
                return
            raise


class Sketchy(Channel):
    """Shows an answer that grows as many messages."""

    async def stream(self, address, key, text):
        await super().send(address, Message(text), f"{key}{len(text)}")


class Careful(Channel):
    """Begins nothing that is said with a capital."""

    def __init__(self, options, bot, name):
        def change(event):
            text = event.message.text
            return replace(event, message=Message(text[:1].lower() + text[1:], event.address.talker))

        super().__init__(options, Receiving(bot, change), name)


class Pretending(Channel):
    """Asks by forms that nobody sees."""

    shows = frozenset({"forms"})


class Trusting(Channel):
    async def take(self, request):
        return await super().take(request.clone(headers={**request.headers, "X-Pager-Key": self.key.decode()}))


class Crashing(Channel):
    async def take(self, request):
        try:
            return await super().take(request)
        except web.HTTPBadRequest as exc:
            log.exception("what is this?")
            raise web.HTTPBadRequest from exc


class Impatient(Channel):
    async def send(self, address, message, key):
        try:
            await super().send(address, message, key)
        except DeliveryError as exc:
            raise DeliveryError(str(exc)) from exc


class Stammering(Channel):
    async def send(self, address, message, key):
        await super().send(address, message, key)
        await super().send(address, message, f"{key}again")


class Disorderly(Channel):
    def __init__(self, options, bot, name):
        super().__init__(options, bot, name)
        self.tasks = []

    async def send(self, address, message, key):
        if message.text.endswith("3"):
            self.tasks.append(asyncio.create_task(self.later(address, message, key)))
        else:
            await super().send(address, message, key)

    async def later(self, address, message, key):
        await asyncio.sleep(0.02)
        await super().send(address, message, key)

    async def close(self):
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await super().close()


class Endless(Channel):
    async def send(self, address, message, key):
        import pager

        pager.LONGEST_TEXT, before = 1 << 20, pager.LONGEST_TEXT
        try:
            await super().send(address, message, key)
        finally:
            pager.LONGEST_TEXT = before


class Talkative(Channel):
    async def take(self, request):
        log.warning("a request with the key %s", self.key.decode())
        return await super().take(request)


class Confused(Channel):
    """Answers everybody at the last one's pager."""

    async def send(self, address, message, key):
        self.last = getattr(self, "last", address)
        await super().send(self.last, message, key)
