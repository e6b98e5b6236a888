"""What clients say: frames are read one by one, and messages handed to the bot."""

from __future__ import annotations

import asyncio
from functools import partial

from aiohttp import WSMsgType

from zoozl.channels.websocket import auth
from zoozl.channels.websocket.arrival import NO_TOKEN, UNAUTHORIZED, Arrivals
from zoozl.channels.websocket.connection import Connection
from zoozl.channels.websocket.encode import encode_error, encode_history
from zoozl.channels.websocket.frames import Ack, Answer, Auth, FrameError, Hello, Listing, decode
from zoozl.channels.websocket.markdown import Markdown
from zoozl.chatbot.core import Chatbot
from zoozl.chatbot.message import Event, Message
from zoozl.chatbot.question import Answer as Meant
from zoozl.errors import Overloaded, StoreError

# After so many frames in a row a connection lets others have their turn.
STREAK = 16
# With so many conversations under way, talkers wait who say more than their share. Fewer keep the loop as busy, and
# those who say little are answered behind that many turns at most.
CROWD = 64


class Refusal(FrameError):
    """A message that is understood and not taken, with its id; it may be sent again in `retry_after` seconds."""

    def __init__(self, reason: str, number: str, retry_after: float = 0.0) -> None:
        super().__init__(reason)
        self.number = number
        self.retry_after = retry_after


class Reader:
    """Reads connections, each in a task of its own."""

    def __init__(self, bot: Chatbot, arrivals: Arrivals, markdown: Markdown) -> None:
        self._bot = bot
        self._arrivals = arrivals
        self._markdown = markdown

    async def read(self, connection: Connection) -> None:
        """Read until the connection ends."""
        receive, inlet, bot = connection.socket.receive, connection.inlet, self._bot
        text, hear = WSMsgType.TEXT, partial(self._hear_at_once, connection)
        streak = 0
        while True:
            inlet.hear = hear
            frame = await receive()
            inlet.hear = None
            inlet.taken()
            streak += 1
            if streak == STREAK:
                # Frames that are there already are received without waiting: nobody else would have a turn.
                streak = 0
                await asyncio.sleep(0)
            if frame.type is text:
                try:
                    what = decode(frame.data)
                    if type(what) is Message:
                        if bot.busy >= CROWD:
                            await connection.queue(self._crowded)
                        self._hear(connection, what)
                    else:
                        await self._take(connection, what)
                except Refusal as exc:
                    await connection.write(encode_error(str(exc), exc.number, exc.retry_after))
                    await connection.calm()
                except FrameError as exc:
                    if self._unknown(connection):
                        await connection.close(UNAUTHORIZED, NO_TOKEN)
                        return
                    await connection.write(encode_error(str(exc)))
                    await connection.calm()
                except auth.Refused as exc:
                    await connection.close(UNAUTHORIZED, str(exc))
                    return
                connection.spoke = True
            elif frame.type is WSMsgType.BINARY:
                await connection.write(encode_error("a frame must be text, not binary"))
                await connection.calm()
            elif frame.type is WSMsgType.PING:
                await connection.write(frame.data, WSMsgType.PONG)
                await connection.calm()
            elif frame.type is WSMsgType.PONG:
                await connection.calm()
            else:
                return

    def _hear_at_once(self, connection: Connection, text: bytes) -> bool:
        """What `read` does with a message, if it can be done without waiting; else False, and nothing has happened."""
        if self._bot.busy >= CROWD or connection.bucket is not None:
            return False
        try:
            what = decode(text)
            if type(what) is not Message:
                return False
            self._hear(connection, what)
        except (FrameError, auth.Refused):
            return False
        connection.spoke = True
        return True

    def _crowded(self) -> bool:
        return self._bot.busy >= CROWD

    def _unknown(self, connection: Connection) -> bool:
        """Whether it has to show a token first."""
        return self._arrivals.required and connection.identity is None

    async def _take(self, connection: Connection, frame: Message | Answer | Hello | Auth | Ack | Listing) -> None:
        """Deal with a frame that is no plain message."""
        match frame:
            case Answer():
                if self._crowded():
                    await connection.queue(self._crowded)
                self._hear(connection, frame.message, frame.answer)
            case Hello() | Auth():
                if connection.spoke:
                    raise FrameError(f"'{type(frame).__name__.lower()}' must be the first frame")
                self._arrivals.begin(connection, frame)
            case _ if self._unknown(connection):
                raise auth.Refused(NO_TOKEN)
            case Ack():
                await self._confirm(connection, frame.seq)
            case Listing():
                await self._list(connection, frame)
                await connection.calm()

    async def _confirm(self, connection: Connection, seq: int) -> None:
        if not connection.acks:
            raise FrameError("'ack' is for clients that said hello")
        self._bot.confirm(connection.address, seq)
        if connection.acked < seq <= connection.sent:
            connection.acked = seq
        else:
            await connection.calm()

    def _hear(self, connection: Connection, message: Message, answer: Meant | None = None) -> None:
        """Hand a message to the bot; with an id, once, and acknowledged when it is durable. Raises Refusal, Refused."""
        if connection.identity is None and self._arrivals.required:
            raise auth.Refused(NO_TOKEN)
        number = message.id
        if connection.bucket is not None and (wait := connection.bucket.take(asyncio.get_running_loop().time())):
            raise Refusal(f"too many messages, try again in {wait:.1f} s", number, wait)
        if not connection.greeted:
            self._arrivals.greet(connection)
        connection.active = True
        keys = (f"{connection.prefix}:{number}",) if number and connection.acks else ()
        event = Event(connection.address, message, keys, "message", connection.identity, answer)
        try:
            receipt = self._bot.receive(event)
        except (Overloaded, StoreError) as exc:
            raise Refusal(str(exc), number) from exc

        if not receipt.pending:
            if keys:
                connection.settled(number, None)
        elif keys:
            receipt.settled = partial(connection.settled, number)
        else:
            receipt.settled = connection.refused

    async def _list(self, connection: Connection, listing: Listing) -> None:
        """Answer with one page of the talker's own conversation. Raises Refusal."""
        skip = (listing.page - 1) * listing.page_size
        try:
            messages, total = await self._bot.history(connection.address, skip, listing.page_size)
        except StoreError as exc:
            raise Refusal(str(exc), listing.number) from exc
        html = None
        if connection.acks:
            html = await self._markdown.html([message.text for message in messages])
        talker = connection.address.talker
        try:
            frame = encode_history(listing, messages, total, talker, html)
        except TypeError as exc:
            raise Refusal("a message there cannot be shown", listing.number) from exc
        await connection.write(frame)
