"""The websocket channel: connections, their talkers, and the acknowledgements of those who said hello."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import logging
import re
import secrets
from collections.abc import Coroutine
from functools import partial
from typing import Any

from aiohttp import WSCloseCode, WSMsgType, web
from pydantic import Field

from zoozl.channels.websocket import page
from zoozl.channels.websocket.frames import (
    Ack,
    FrameError,
    Hello,
    decode,
    encode,
    encode_ack,
    encode_error,
    encode_welcome,
)
from zoozl.chatbot.core import Chatbot
from zoozl.chatbot.failpoints import hit
from zoozl.chatbot.message import Address, Event, Message
from zoozl.errors import Away, Overloaded, StoreError, Undeliverable
from zoozl.settings import ChannelOptions, UrlPath

log = logging.getLogger(__name__)

# A client has this long to say hello before it is greeted as a plain one.
GREETING_DELAY = 0.3
HEARTBEAT = 30.0
# Talkers with a resume token; the others are gone for good when their socket is.
RESUMABLE = "r-"
TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")
RESUMED_ELSEWHERE = 4001
NOT_KEPT = "the message could not be kept, try again later"


class Options(ChannelOptions):
    """`[websocket]`: the listener for websocket clients and the chat page."""

    path: UrlPath = Field("/", description="Path of the websocket and of the page.")
    page: bool = Field(True, description="Whether browsers get a chat page there.")
    title: str = Field("zoozl", description="Title of the page.")
    max_frame_bytes: int = Field(4 << 20, ge=1024, description="Longest frame that is read, in bytes.")


def talker_of(token: str) -> str:
    """Who comes with a resume token. The token is the proof, and is kept nowhere: only its hash has a name."""
    digest = hashlib.sha256(token.encode()).digest()
    return RESUMABLE + base64.urlsafe_b64encode(digest[:18]).decode()


class Connection:
    """One client."""

    __slots__ = ("acks", "address", "background", "greeted", "heard", "ready", "socket", "spoke", "timer")

    def __init__(self, socket: web.WebSocketResponse, address: Address) -> None:
        self.socket = socket
        self.address = address
        self.acks = False
        """It said hello: it acknowledges, and is acknowledged to."""
        self.greeted = False
        self.ready = True
        """Replies may be sent: nothing that waited can be overtaken."""
        self.spoke = False
        self.heard = True
        """Whether anything came since the last ping."""
        self.timer: asyncio.TimerHandle | None = None
        self.background: set[asyncio.Task[None]] = set()

    async def write(self, frame: bytes, kind: WSMsgType = WSMsgType.TEXT) -> None:
        """Send a frame. Raises ConnectionError if the client has gone."""
        await self.socket.send_frame(frame, kind)

    def write_soon(self, frame: bytes, kind: WSMsgType = WSMsgType.TEXT) -> None:
        """Send a frame without waiting for a slow reader, and without complaint if it has gone."""
        self.do_soon(self.write(frame, kind))

    def do_soon(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something for as long as the connection lives."""
        task = asyncio.ensure_future(_if_there(work))
        self.background.add(task)
        task.add_done_callback(self.background.discard)
        # A task that is cancelled before its first step leaves it as it is.
        task.add_done_callback(lambda _: work.close())

    def settled(self, number: str, error: StoreError | None) -> None:
        """A message with an id is on disk, or never will be."""
        if error is None:
            hit("accepted")
            self.write_soon(encode_ack(number))
        else:
            self.write_soon(encode_error(NOT_KEPT, number))

    def refused(self, error: StoreError | None) -> None:
        """The same for a plain client, which hears of failures only."""
        if error is not None:
            self.write_soon(encode_error(NOT_KEPT))

    def abort(self) -> None:
        """Let go at once of a client that does not answer: a close frame would wait behind what it does not read."""
        transport = self.socket._req.transport if self.socket._req is not None else None
        if transport is not None:
            transport.abort()


async def _if_there(work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    except ConnectionError:
        pass  # it went away; its reader notices


class Channel:
    """Plain clients are talkers for as long as they are connected; those who say hello come back as who they were."""

    scheme = "ws"

    def __init__(self, options: Options, bot: Chatbot, name: str = "websocket") -> None:
        self.name = name
        self.options = options
        self._bot = bot
        self._connections: dict[str, Connection] = {}
        last = options.path.rpartition("/")[2]
        self._html, self._files = page.read(options.title, f"{last}/page/" if last else "page/")

    def routes(self) -> list[web.AbstractRouteDef]:
        """The websocket, and the files of the page below it."""
        path = self.options.path
        routes: list[web.AbstractRouteDef] = [web.get(path, self._get)]
        if self.options.page:
            folder = path if path.endswith("/") else path + "/"
            routes += [web.get(f"{folder}page/{name}", self._get_file) for name in self._files]
        if path == "/":
            # Old clients connect to any path they like.
            routes.append(web.get("/{path:.*}", self._get))
        return routes

    async def _get(self, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(
            autoping=False, max_msg_size=self.options.max_frame_bytes, compress=False, timeout=2.0
        )
        if socket.can_prepare(request):
            return await self._serve(request, socket)
        if self.options.page and "text/html" in request.headers.get("Accept", ""):
            if request.path != self.options.path:
                raise web.HTTPNotFound
            return web.Response(body=self._html, content_type="text/html", charset="utf-8", headers=page.HEADERS)
        raise web.HTTPBadRequest(text="This is a websocket: connect with a websocket client.\n")

    async def _get_file(self, request: web.Request) -> web.Response:
        name = request.path.rpartition("/")[2]
        return web.Response(
            body=self._files[name], content_type=page.FILES[name], charset="utf-8", headers=page.HEADERS
        )

    async def _serve(self, request: web.Request, socket: web.WebSocketResponse) -> web.WebSocketResponse:
        await socket.prepare(request)
        connection = Connection(socket, Address(self.name, talker=secrets.token_urlsafe(16)))
        self._connections[connection.address.talker] = connection
        connection.timer = asyncio.get_running_loop().call_later(GREETING_DELAY, self._greet, connection)
        try:
            await self._read(connection)
        except ConnectionError:
            pass  # the client went away while it was written to
        finally:
            connection.timer.cancel()
            for task in connection.background:
                task.cancel()
            if self._connections.get(connection.address.talker) is connection:
                del self._connections[connection.address.talker]
        return socket

    async def _read(self, connection: Connection) -> None:
        socket = connection.socket
        while True:
            frame = await socket.receive()
            connection.heard = True
            if frame.type is WSMsgType.TEXT:
                try:
                    what = decode(frame.data)
                    if isinstance(what, Message):
                        self._hear(connection, what)
                    else:
                        self._take(connection, what)
                except FrameError as exc:
                    await connection.write(encode_error(str(exc)))
                connection.spoke = True
            elif frame.type is WSMsgType.BINARY:
                await connection.write(encode_error("a frame must be text, not binary"))
            elif frame.type is WSMsgType.PING:
                await connection.write(frame.data, WSMsgType.PONG)
            elif frame.type is not WSMsgType.PONG:
                return

    def _take(self, connection: Connection, frame: Hello | Ack) -> None:
        if isinstance(frame, Ack):
            if not connection.acks:
                raise FrameError("'ack' is for clients that said hello")
            self._bot.confirm(connection.address, frame.seq)
        else:
            if connection.spoke:
                raise FrameError("'hello' must be the first frame")
            self._welcome(connection, frame)

    def _hear(self, connection: Connection, message: Message) -> None:
        """Hand a message to the bot; with an id, once, and acknowledged when it is durable."""
        if not connection.greeted:
            self._greet(connection)
        address, number = connection.address, message.id
        keys = (f"{address.talker}:{number}",) if number and connection.acks else ()
        try:
            receipt = self._bot.receive(Event(address, message, keys))
        except (Overloaded, StoreError) as exc:
            connection.write_soon(encode_error(str(exc), number))
            return

        if not receipt.pending:
            if keys:
                connection.settled(number, None)
        elif keys:
            receipt.settled = partial(connection.settled, number)
        else:
            receipt.settled = connection.refused

    def _welcome(self, connection: Connection, hello: Hello) -> None:
        """Give the connection to the talker of its token, and send what waited for that one."""
        token = hello.resume
        known = token is not None and TOKEN.fullmatch(token) is not None
        if token is None or not known:
            token = secrets.token_urlsafe(32)
        del self._connections[connection.address.talker]
        address = connection.address = Address(self.name, talker=talker_of(token))
        connection.acks = True
        connection.ready = False
        connection.greeted = known
        earlier = self._connections.get(address.talker)
        self._connections[address.talker] = connection
        if earlier is not None:
            earlier.do_soon(_close(earlier.socket))
        connection.do_soon(self._resume(connection, token, hello.last if known else 0))

    async def _resume(self, connection: Connection, token: str, last: int) -> None:
        def ready() -> None:
            connection.ready = True

        await connection.write(encode_welcome(token))
        try:
            await self._bot.resume(connection.address, last, ready)
        except StoreError as exc:
            log.error("a talker cannot be given what waited: %s", exc)
            await connection.socket.close(code=WSCloseCode.TRY_AGAIN_LATER)
            return
        if not connection.greeted:
            self._greet(connection)

    def _greet(self, connection: Connection) -> None:
        if connection.greeted:
            return
        connection.greeted = True
        if connection.timer is not None:
            connection.timer.cancel()
        try:
            self._bot.receive(Event(connection.address, Message(), kind="connect"))
        except (Overloaded, StoreError) as exc:
            log.warning("no greeting: %s", exc)

    async def run(self) -> None:
        """Ping everybody now and then; who has not been heard of since the last time is gone."""
        while True:
            await asyncio.sleep(HEARTBEAT)
            for connection in list(self._connections.values()):
                if connection.heard:
                    connection.heard = False
                    connection.write_soon(b"", WSMsgType.PING)
                else:
                    connection.abort()

    def keeps(self, address: Address) -> bool:
        """Replies wait for those who can come back."""
        return address.talker.startswith(RESUMABLE)

    async def send(self, address: Address, message: Message, key: str) -> bool:
        """Write a reply to its talker's socket; False if it is delivered only when the client acknowledges it.

        Raises Away for a talker who may come back, Undeliverable for one who cannot.
        """
        connection = self._connections.get(address.talker)
        if connection is None or connection.socket.closed or not connection.ready:
            raise _gone(address)
        acks = connection.acks
        try:
            await connection.socket.send_frame(encode(message, int(key) if acks else 0), WSMsgType.TEXT)
        except ConnectionError as exc:
            raise _gone(address) from exc
        return not acks

    async def close(self) -> None:
        """Say goodbye to everybody."""
        sockets = [connection.socket for connection in self._connections.values()]
        await asyncio.gather(
            *(socket.close(code=WSCloseCode.GOING_AWAY, message=b"the server is stopping") for socket in sockets),
            return_exceptions=True,
        )


def _gone(address: Address) -> Away | Undeliverable:
    if address.talker.startswith(RESUMABLE):
        return Away("the talker is not connected")
    return Undeliverable("the talker has gone")


async def _close(socket: web.WebSocketResponse) -> None:
    await socket.close(code=RESUMED_ELSEWHERE, message=b"resumed by another connection")
