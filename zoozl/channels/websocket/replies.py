"""What the bot says, on its way to the sockets of whom it is for."""

from __future__ import annotations

import asyncio

from zoozl.channels.websocket.connection import Connection
from zoozl.channels.websocket.encode import encode, encode_stream, encode_typing, shown
from zoozl.channels.websocket.markdown import Markdown
from zoozl.channels.websocket.talkers import Talkers, can_come_back
from zoozl.chatbot.message import Address, Message
from zoozl.errors import Away, Undeliverable


class Replies:
    """Replies, which have to arrive, and what is shown meanwhile to clients that said hello."""

    def __init__(self, talkers: Talkers, markdown: Markdown) -> None:
        self._talkers = talkers
        self._single = talkers.single
        self._markdown = markdown

    async def send(self, address: Address, message: Message, key: str) -> bool:
        """Write a reply to its talker's socket; False if it is delivered only when the client acknowledges it.

        Raises Away for a talker who may come back, Undeliverable for one who cannot.
        """
        if address.account:
            return await self._send_to_all(address, message, int(key))
        connection = self._single.get(address.talker)
        if connection is None or connection.socket.closed or not connection.ready:
            raise _gone(address)
        try:
            if connection.acks:
                await self._send_to(connection, message, int(key))
            else:
                await connection.write(encode(message))
                connection.active = True
        except ConnectionError as exc:
            raise _gone(address) from exc
        return not connection.acks

    def send_nowait(self, address: Address, message: Message, key: str) -> bool | None:
        """The same for a short reply to a talker who is there, reads what is sent and has one connection; else None.

        Raises ConnectionError, Undeliverable.
        """
        connection = self._single.get(address.talker) if not address.account else None
        if connection is None or connection.socket.closed or not connection.ready or connection.behind:
            return None
        if not connection.acks:
            connection.put(encode(message))
        elif (seq := int(key)) > connection.sent:
            html = self._markdown.html_nowait(shown(message))
            if html is None:
                return None
            connection.put(encode(message, seq, html))
            connection.sent = seq
        connection.active = True
        return not connection.acks

    async def _send_to(self, connection: Connection, message: Message, seq: int) -> None:
        """Write a reply unless the client has had it. Raises ConnectionError."""
        if seq <= connection.sent:
            return
        if connection.acks:
            (html,) = await self._markdown.html([shown(message)])
            frame = encode(message, seq, html)
        else:
            frame = encode(message)
        await connection.write(frame)
        connection.sent = seq
        connection.active = True

    async def _send_to_all(self, address: Address, message: Message, seq: int) -> bool:
        """Write a reply to all devices of a talker who has proved who he is. Raises Away."""
        there = self._talkers.of(address)
        writing = [self._send_to(connection, message, seq) for connection in there]
        results = await asyncio.gather(*writing, return_exceptions=True)
        arrived, sent = False, False
        for connection, result in zip(there, results, strict=True):
            if result is None:
                sent, arrived = True, arrived or not connection.acks
            elif not isinstance(result, ConnectionError):
                raise result
        if not sent:
            raise _gone(address)
        return arrived

    def _watching(self, address: Address) -> list[Connection]:
        """Those that can be shown something which is not kept: one that is behind goes without."""
        return [c for c in self._talkers.of(address) if c.acks and not c.behind]

    def typing(self, address: Address, on: bool) -> None:
        """Show that the bot is at work, or not any more."""
        for connection in self._watching(address):
            connection.put_anyway(encode_typing(on))

    async def stream(self, address: Address, key: str, text: str) -> None:
        """Show an answer that grows. Raises Undeliverable for invalid Unicode."""
        if self._watching(address):
            (html,) = await self._markdown.html([text])
            frame = encode_stream(key, text, html)
            for connection in self._watching(address):
                connection.put_anyway(frame)

    def shows_forms(self, address: Address) -> bool:
        """Whether a talker has a client that said hello; of one with proof, whether such a one is there now."""
        if address.account:
            return any(connection.acks for connection in self._talkers.of(address))
        return can_come_back(address)


def _gone(address: Address) -> Away | Undeliverable:
    if can_come_back(address):
        return Away("the talker is not connected")
    return Undeliverable("the talker has gone")
