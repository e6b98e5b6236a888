"""Websocket and chat page: one JSON object per text frame."""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
import secrets
from importlib import resources
from typing import Any

import orjson
from aiohttp import WSCloseCode, WSMsgType, web
from pydantic import Field

from zoozl.chatbot.core import Chatbot
from zoozl.chatbot.message import Address, Event, Message, MessagePart
from zoozl.errors import Overloaded, StoreError, Undeliverable
from zoozl.settings import ChannelOptions

log = logging.getLogger(__name__)

# A client has this long to say something special (`hello`) before it is greeted as a plain one.
GREETING_DELAY = 0.3
HEARTBEAT = 30.0

PAGE = {"chat.css": "text/css", "chat.js": "text/javascript", "icon.svg": "image/svg+xml"}
PAGE_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


class Options(ChannelOptions):
    """`[websocket]`: the listener for websocket clients and the chat page."""

    path: str = Field("/", pattern="^/", description="Path of the websocket and of the page.")
    page: bool = Field(True, description="Whether browsers get a chat page there.")
    title: str = Field("zoozl", description="Title of the page.")
    max_frame_bytes: int = Field(4 << 20, ge=1024, description="Longest frame that is read, in bytes.")


class FrameError(ValueError):
    """A frame that cannot be understood; the text is for its sender."""


def decode(frame: str) -> Message:
    """The message in a text frame. Raises FrameError."""
    try:
        packet = orjson.loads(frame)
    except ValueError:
        raise FrameError("a frame must be JSON") from None
    if not isinstance(packet, dict):
        raise FrameError("a frame must be a JSON object")
    text = packet.get("text")
    files = packet.get("files")
    if text is None and files is None:
        raise FrameError("a frame needs 'text'")
    if text is not None and not isinstance(text, str):
        raise FrameError("'text' must be a string")
    if files is None:
        return Message(text or "")
    if not isinstance(files, list):
        raise FrameError("'files' must be a list")
    parts = [MessagePart(text)] if text else []
    return Message([*parts, *map(_decode_file, files)])


def _decode_file(given: Any) -> MessagePart:
    if not isinstance(given, dict):
        raise FrameError("a file must be an object")
    name, media_type, data = (given.get(key, "") for key in ("filename", "media_type", "data"))
    if not (isinstance(name, str) and isinstance(media_type, str) and isinstance(data, str)):
        raise FrameError("'filename', 'media_type' and 'data' of a file must be strings")
    try:
        binary = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise FrameError("'data' of a file must be base64") from None
    # The name is the sender's: only its last part, so that nobody is led to write elsewhere.
    name = name.replace("\\", "/").rpartition("/")[2].replace("\0", "")
    return MessagePart("", binary, media_type or "application/octet-stream", name)


def encode(message: Message) -> bytes:
    """The frame of a reply. Raises Undeliverable if it is not valid Unicode."""
    packet: dict[str, Any] = {"author": message.author, "text": message.text}
    files = message.files
    if files:
        packet["files"] = [
            {"filename": f.filename, "media_type": f.media_type, "data": base64.b64encode(f.binary).decode()}
            for f in files
        ]
    try:
        return orjson.dumps(packet)
    except TypeError as exc:
        raise Undeliverable(f"the reply cannot be encoded: {exc}") from exc


def encode_error(reason: str) -> bytes:
    """The frame of a refusal."""
    return orjson.dumps({"error": reason})


class _Connection:
    """One client."""

    __slots__ = ("address", "background", "greeted", "heard", "socket")

    def __init__(self, socket: web.WebSocketResponse, address: Address) -> None:
        self.socket = socket
        self.address = address
        self.greeted = False
        self.heard = True
        """Whether anything came since the last ping."""
        self.background: asyncio.Future[None] | None = None

    def refused(self, error: StoreError) -> None:
        """Tell a plain client, which gets no acknowledgements, of the message that was not accepted."""
        self.write_soon(encode_error("the message could not be accepted, try again later"))

    def write_soon(self, frame: bytes, kind: WSMsgType = WSMsgType.TEXT) -> None:
        """Write without waiting for a slow reader."""
        self.background = asyncio.ensure_future(_write_if_there(self.socket, frame, kind))

    def abort(self) -> None:
        """Let go at once of a client that does not answer: a close frame would wait behind what it does not read."""
        transport = self.socket._req.transport if self.socket._req is not None else None
        if transport is not None:
            transport.abort()


async def _write_if_there(socket: web.WebSocketResponse, frame: bytes, kind: WSMsgType) -> None:
    try:
        await socket.send_frame(frame, kind)
    except ConnectionError:
        pass  # it went away; its reader notices


class Channel:
    """Every connection is a talker of its own."""

    scheme = "ws"

    def __init__(self, options: Options, bot: Chatbot, name: str = "websocket") -> None:
        self.name = name
        self.options = options
        self._bot = bot
        self._connections: dict[str, _Connection] = {}
        self._page = _read_page(options.title) if options.page else {}

    def routes(self) -> list[web.AbstractRouteDef]:
        """The websocket, and the files of the page beside it."""
        path = self.options.path
        folder = path if path.endswith("/") else path + "/"
        routes: list[web.AbstractRouteDef] = [web.get(path, self._get)]
        for name in self._page:
            if name:
                routes.append(web.get(f"{folder}page/{name}", self._get_file))
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
        if self._page and "text/html" in request.headers.get("Accept", ""):
            if request.path != self.options.path:
                raise web.HTTPNotFound
            return web.Response(body=self._page[""], content_type="text/html", charset="utf-8", headers=PAGE_HEADERS)
        raise web.HTTPBadRequest(text="This is a websocket: connect with a websocket client.\n")

    async def _get_file(self, request: web.Request) -> web.Response:
        name = request.path.rpartition("/")[2]
        return web.Response(body=self._page[name], content_type=PAGE[name], charset="utf-8", headers=PAGE_HEADERS)

    async def _serve(self, request: web.Request, socket: web.WebSocketResponse) -> web.WebSocketResponse:
        await socket.prepare(request)
        connection = _Connection(socket, Address(self.name, talker=secrets.token_urlsafe(16)))
        self._connections[connection.address.talker] = connection
        timer = asyncio.get_running_loop().call_later(GREETING_DELAY, self._greet, connection)
        try:
            await self._read(connection)
        except ConnectionError:
            pass  # the client went away while it was written to
        finally:
            timer.cancel()
            del self._connections[connection.address.talker]
        return socket

    async def _read(self, connection: _Connection) -> None:
        socket, address = connection.socket, connection.address
        while True:
            frame = await socket.receive()
            connection.heard = True
            if frame.type is WSMsgType.TEXT:
                try:
                    message = decode(frame.data)
                    if not connection.greeted:
                        self._greet(connection)
                    self._bot.receive(Event(address, message)).refused = connection.refused
                except (FrameError, Overloaded, StoreError) as exc:
                    await _write(socket, encode_error(str(exc)))
            elif frame.type is WSMsgType.BINARY:
                await _write(socket, encode_error("a frame must be text, not binary"))
            elif frame.type is WSMsgType.PING:
                await socket.pong(frame.data)
            elif frame.type is not WSMsgType.PONG:
                return

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

    def _greet(self, connection: _Connection) -> None:
        if connection.greeted:
            return
        connection.greeted = True
        try:
            self._bot.receive(Event(connection.address, Message(), kind="connect"))
        except (Overloaded, StoreError) as exc:
            log.warning("no greeting: %s", exc)

    async def send(self, address: Address, message: Message, key: str) -> None:
        """Write a reply to its talker's socket. Raises Undeliverable if that is closed."""
        connection = self._connections.get(address.talker)
        if connection is None or connection.socket.closed:
            raise Undeliverable("the talker has gone")
        try:
            await _write(connection.socket, encode(message))
        except ConnectionError as exc:
            raise Undeliverable("the talker has gone") from exc

    async def close(self) -> None:
        """Say goodbye to everybody."""
        sockets = [connection.socket for connection in self._connections.values()]
        await asyncio.gather(
            *(socket.close(code=WSCloseCode.GOING_AWAY, message=b"the server is stopping") for socket in sockets),
            return_exceptions=True,
        )


async def _write(socket: web.WebSocketResponse, frame: bytes) -> None:
    await socket.send_frame(frame, WSMsgType.TEXT)


def _read_page(title: str) -> dict[str, bytes]:
    """The files of the page by name; "" is the page itself."""
    folder = resources.files("zoozl") / "web"
    escaped = title.replace("&", "&amp;").replace("<", "&lt;")
    page = {name: (folder / name).read_bytes() for name in PAGE}
    page[""] = (folder / "index.html").read_text("utf-8").replace("{{title}}", escaped).encode()
    return page
