"""The websocket channel: the handshake, the files of the page, and a look after the connections."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

from aiohttp import WSCloseCode, WSMsgType, web

from zoozl.channels.websocket import origins, page
from zoozl.channels.websocket.arrival import Arrivals
from zoozl.channels.websocket.connection import Connection
from zoozl.channels.websocket.inbound import Partials
from zoozl.channels.websocket.markdown import Markdown
from zoozl.channels.websocket.options import Options
from zoozl.channels.websocket.reader import Reader
from zoozl.channels.websocket.replies import Replies
from zoozl.channels.websocket.talkers import Talkers, can_come_back
from zoozl.chatbot.core import Chatbot
from zoozl.chatbot.message import Address, Message
from zoozl.doctor import Finding

__all__ = ["Channel", "Options"]

log = logging.getLogger(__name__)

HEARTBEAT = 30.0
IDLE = 4408


class Channel:
    """Plain clients are talkers for as long as they are connected; those who say hello come back as who they were.

    Who shows a token is the talker that it names, on any number of devices: replies go to all that are connected,
    and have arrived when one of them has them.
    """

    scheme = "ws"
    resumes = True

    @classmethod
    async def check(cls, options: Options) -> list[Finding]:
        """See zoozl.doctor.Checked."""
        from zoozl.channels.websocket.check import check

        return await check(options)

    def __init__(self, options: Options, bot: Chatbot, name: str = "websocket") -> None:
        """Raises ConfigError for a key that tokens cannot be checked with."""
        self.name = name
        self.options = options
        self.talkers = Talkers()
        self._arrivals = Arrivals(options, bot, name, self.talkers)
        self._markdown = Markdown()
        self._replies = Replies(self.talkers, self._markdown)
        self._reader = Reader(bot, self._arrivals, self._markdown)
        self._origins = frozenset(origins.normalized(origin) or origin for origin in options.origins)
        self._partials = Partials(options.max_partial_bytes)
        self._headers = page.headers(options)
        last = options.path.rpartition("/")[2]
        self._html, self._files = page.read(options, f"{last}/page/" if last else "page/", options.max_frame_bytes)

    def require_identity(self) -> None:
        """Let nobody in without a token. Raises ConfigError if none can be checked."""
        self._arrivals.require_identity()

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
        # No writer_limit of aiohttp's: what may wait for a client is bounded in Connection, where it costs no task.
        socket = web.WebSocketResponse(
            autoping=False,
            max_msg_size=self.options.max_frame_bytes,
            compress=False,
            timeout=2.0,
            writer_limit=1 << 62,
        )
        if socket.can_prepare(request):
            return await self._serve(request, socket)
        if self.options.page and "text/html" in request.headers.get("Accept", ""):
            if request.path != self.options.path:
                raise web.HTTPNotFound
            return web.Response(body=self._html, content_type="text/html", charset="utf-8", headers=self._headers)
        raise web.HTTPBadRequest(text="This is a websocket: connect with a websocket client.\n")

    async def _get_file(self, request: web.Request) -> web.Response:
        name = request.path.rpartition("/")[2]
        return web.Response(
            body=self._files[name], content_type=page.FILES[name], charset="utf-8", headers=page.HEADERS
        )

    async def _serve(self, request: web.Request, socket: web.WebSocketResponse) -> web.WebSocketResponse:
        headers = request.headers
        if not origins.allowed(headers.get("Origin"), headers.get("Host"), self._origins):
            log.warning("a page from %.100r may not connect; [%s] origins can allow it", headers["Origin"], self.name)
            raise web.HTTPForbidden(text="Pages from there may not connect.\n")
        if len(self.talkers.all) >= self.options.max_connections:
            log.warning("[%s] max_connections are there: one more is refused", self.name)
            raise web.HTTPServiceUnavailable(text="Too many connections.\n", headers={"Retry-After": "10"})
        if getattr(request.protocol, "_message_tail", b""):
            # RFC 6455, section 4.1: a client waits for the answer. Half a frame here would be lost to the Inlet.
            raise web.HTTPBadRequest(text="Frames came before the handshake was answered.\n")
        await socket.prepare(request)
        backlog = self.options.max_backlog_bytes
        connection = Connection(socket, request, self._arrivals.stranger(), self._partials, backlog)
        self._arrivals.open(connection)
        try:
            await self._reader.read(connection)
        except ConnectionError:
            pass  # the client went away while it was written to
        finally:
            self._arrivals.leave(connection)
        return socket

    async def run(self) -> None:
        """Look after the connections now and then: who is not heard of, or has nothing to say, has to go."""
        loop = asyncio.get_running_loop()
        idle = self.options.idle_timeout
        beat = loop.time() + HEARTBEAT
        while True:
            await asyncio.sleep(min(HEARTBEAT, idle / 2))
            now = loop.time()
            for connection in self.talkers.all:
                if connection.active:
                    connection.active, connection.since = False, now
                elif now - connection.since >= idle:
                    connection.close_soon(IDLE, "nothing was said for long")
            if now >= beat:
                beat = now + HEARTBEAT
                self._ping()

    def _ping(self) -> None:
        self._partials.look()
        for connection in list(self.talkers.all):
            if connection.inlet.heard:
                connection.inlet.heard = False
                connection.put_anyway(b"", WSMsgType.PING)
            else:
                connection.abort()

    # For the bot

    def keeps(self, address: Address) -> bool:
        """Replies wait for those who can come back."""
        return can_come_back(address)

    def shows_to(self, address: Address, what: str) -> bool:
        """Clients that said hello show choices and forms, others have only text."""
        return what in ("choices", "forms") and self._replies.shows_forms(address)

    def send(self, address: Address, message: Message, key: str) -> Coroutine[Any, Any, bool]:
        """To be awaited: write a reply; False if it is delivered only when the client acknowledges it.

        Raises Away for a talker who may come back, Undeliverable for one who cannot.
        """
        return self._replies.send(address, message, key)

    def send_nowait(self, address: Address, message: Message, key: str) -> bool | None:
        """The same if nothing has to be waited for, else None."""
        return self._replies.send_nowait(address, message, key)

    def typing(self, address: Address, on: bool) -> None:
        """Show that the bot is at work, or not any more."""
        self._replies.typing(address, on)

    async def stream(self, address: Address, key: str, text: str) -> None:
        """Show an answer that grows, as it is now. Raises Undeliverable for invalid Unicode."""
        await self._replies.stream(address, key, text)

    async def close(self) -> None:
        """Say goodbye to everybody."""
        goodbyes = [c.close(WSCloseCode.GOING_AWAY, "the server is stopping") for c in self.talkers.all]
        await asyncio.gather(*goodbyes, return_exceptions=True)
        self._markdown.close()
