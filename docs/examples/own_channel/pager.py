"""A channel of one's own: a pager, which posts to the bot what people type and takes its answers by HTTP."""

from __future__ import annotations

import hmac
import json
from dataclasses import replace

from aiohttp import ClientError, ClientSession, web

from zoozl.channels.access import Access, AccessOptions
from zoozl.channels.render.split import split
from zoozl.chatbot.core import Chatbot
from zoozl.chatbot.identity import Identity
from zoozl.chatbot.message import Address, Event, Message
from zoozl.errors import DeliveryError, Overloaded, StoreError, Undeliverable
from zoozl.settings import Secret, Text

LONGEST_BODY, LONGEST_TEXT = 10_000, 200


class Options(AccessOptions):
    """What [pager] may say; who may talk and who has which role comes with AccessOptions."""

    url: Text
    key: Secret


def decode(name: str, body: bytes) -> Event:
    """{"id", "from", "text"} as an event. Raises ValueError."""
    packet = json.loads(body)
    try:
        number, talker, text = (packet[key] for key in ("id", "from", "text"))
    except (TypeError, KeyError):
        raise ValueError("id, from and text are missing") from None
    if not all(isinstance(value, str) for value in (number, talker, text)):
        raise ValueError("id, from and text must be strings")
    return Event(Address(name, talker=talker), Message(text, talker, id=number), (f"{name}:{number}",))


class Channel:
    """Messages come in by `routes` and go out by `send`."""

    def __init__(self, options: Options, bot: Chatbot, name: str) -> None:
        self.name, self.url, self.bot = name, options.url, bot
        self.access = Access(options)
        self.key = options.key.get_secret_value().encode()
        self.session: ClientSession | None = None

    def routes(self) -> list[web.AbstractRouteDef]:
        return [web.post("/pager", self.take)]

    async def take(self, request: web.Request) -> web.Response:
        length = request.content_length
        if length is None or length > LONGEST_BODY:
            raise web.HTTPRequestEntityTooLarge(LONGEST_BODY, length or 0)
        if not hmac.compare_digest(request.headers.get("X-Pager-Key", "").encode(), self.key):
            raise web.HTTPForbidden
        try:
            event = decode(self.name, await request.read())
        except (ValueError, RecursionError) as exc:
            raise web.HTTPBadRequest(text="That is not understood.\n") from exc
        talker = event.address.talker
        if not self.access.admits([talker], None):
            return web.Response()
        event = replace(event, identity=Identity(talker, {}, self.access.roles([talker])))
        try:
            # Acknowledged when it cannot be lost any more, and not before.
            await self.bot.receive(event).acknowledged()
        except (Overloaded, StoreError) as exc:
            raise web.HTTPServiceUnavailable(text="Try again later.\n") from exc
        return web.Response()

    async def send(self, address: Address, message: Message, key: str) -> None:
        self.session = self.session or ClientSession()
        for number, text in enumerate(split(message.text, LONGEST_TEXT)):
            # A reply that is tried again has the same key, by which the pager knows what it has shown.
            packet = {"to": address.talker, "text": text, "key": f"{key}-{number}"}
            try:
                async with self.session.post(self.url, json=packet) as response:
                    status, wanted = response.status, response.headers.get("Retry-After")
            except ClientError as exc:
                raise DeliveryError(f"the pager is not reached: {type(exc).__name__}") from exc
            if status == 429:
                raise DeliveryError("too many messages", float(wanted or 1))
            if status >= 500:
                raise DeliveryError(f"the pager answers {status}")
            if status >= 400:
                raise Undeliverable(f"the pager refuses it: {status}")

    async def close(self) -> None:
        if self.session is not None:
            await self.session.close()
