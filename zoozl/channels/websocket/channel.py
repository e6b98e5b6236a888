"""The websocket channel: connections, their talkers, and the acknowledgements of those who said hello."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import logging
import re
import secrets
import time
from functools import partial

from aiohttp import WSCloseCode, WSMsgType, web

from zoozl.channels.websocket import auth, origins, page
from zoozl.channels.websocket.connection import Connection
from zoozl.channels.websocket.frames import (
    Ack,
    Answer,
    Auth,
    FrameError,
    Hello,
    Listing,
    decode,
    encode,
    encode_error,
    encode_history,
    encode_welcome,
)
from zoozl.channels.websocket.inbound import Partials
from zoozl.channels.websocket.limits import Bucket
from zoozl.channels.websocket.markdown import Markdown
from zoozl.channels.websocket.options import Options
from zoozl.chatbot.core import Chatbot
from zoozl.chatbot.lru import LRU
from zoozl.chatbot.message import Address, Event, Message, scope_key
from zoozl.doctor import Finding
from zoozl.errors import Away, ConfigError, Overloaded, StoreError, Undeliverable

__all__ = ["Channel", "Options", "talker_of"]

log = logging.getLogger(__name__)

# A client has this long to say hello before it is greeted as a plain one.
GREETING_DELAY = 0.3
# Where tokens are asked for, it has this long to show one.
AUTH_TIMEOUT = 10.0
NO_TOKEN = "a token must come first"  # noqa: S105 - a sentence
HEARTBEAT = 30.0
DAY = 86_400.0
# Talkers with a resume token; the others are gone for good when their socket is.
RESUMABLE = "r-"
TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")
# The account of talkers who have proved who they are: their names are their own, and no other can be like them.
PROVED = "token"
RESUMED_ELSEWHERE, UNAUTHORIZED, IDLE = 4001, 4401, 4408
# After so many frames in a row a connection lets others have their turn.
STREAK = 16
# With so many conversations under way, talkers wait who say more than their share. Fewer keep the loop as busy, and
# those who say little are answered behind that many turns at most.
CROWD = 64
# Talkers whose share of messages is remembered while they are away.
REMEMBERED = 10_000


class Refusal(FrameError):
    """A message that is understood and not taken, with its id; it may be sent again in `retry_after` seconds."""

    def __init__(self, reason: str, number: str, retry_after: float = 0.0) -> None:
        super().__init__(reason)
        self.number = number
        self.retry_after = retry_after


def talker_of(token: str) -> str:
    """Who comes with a resume token. The token is the proof, and is kept nowhere: only its hash has a name."""
    digest = hashlib.sha256(token.encode()).digest()
    return RESUMABLE + base64.urlsafe_b64encode(digest[:18]).decode()


class Channel:
    """Plain clients are talkers for as long as they are connected; those who say hello come back as who they were.

    Who shows a token is the talker that it names, on any number of devices: replies go to all that are connected,
    and have arrived when one of them has them.
    """

    scheme = "ws"

    @classmethod
    async def check(cls, options: Options) -> list[Finding]:
        """See zoozl.doctor.Checked."""
        from zoozl.channels.websocket.check import check

        return await check(options)

    def __init__(self, options: Options, bot: Chatbot, name: str = "websocket") -> None:
        """Raises ConfigError for a key that tokens cannot be checked with."""
        self.name = name
        self.options = options
        self._bot = bot
        self._connections: dict[str, Connection] = {}
        self._proved: dict[str, list[Connection]] = {}
        self._all: set[Connection] = set()
        self._verify = auth.verifier(options) if options.takes_tokens else None
        self._required = False
        self._origins = frozenset(origins.normalized(origin) or origin for origin in options.origins)
        self._partials = Partials(options.max_partial_bytes)
        self._buckets: LRU[Bucket] = LRU(REMEMBERED)
        self._markdown = Markdown()
        self._headers = page.headers(options)
        last = options.path.rpartition("/")[2]
        self._html, self._files = page.read(options, f"{last}/page/" if last else "page/", options.max_frame_bytes)

    def require_identity(self) -> None:
        """Let nobody in without a token. Raises ConfigError if none can be checked."""
        if self._verify is None:
            raise ConfigError("needs auth_secret or auth_public_key: nobody could be let in without")
        self._required = True

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
        if len(self._all) >= self.options.max_connections:
            log.warning("[%s] max_connections are there: one more is refused", self.name)
            raise web.HTTPServiceUnavailable(text="Too many connections.\n", headers={"Retry-After": "10"})
        if getattr(request.protocol, "_message_tail", b""):
            # RFC 6455, section 4.1: a client waits for the answer. Half a frame here would be lost to the Inlet.
            raise web.HTTPBadRequest(text="Frames came before the handshake was answered.\n")
        await socket.prepare(request)
        address = Address(self.name, talker=secrets.token_urlsafe(16))
        connection = Connection(socket, request, address, self._partials, self.options.max_backlog_bytes)
        loop = asyncio.get_running_loop()
        connection.since = loop.time()
        self._all.add(connection)
        if self._required:
            connection.ready = False
            connection.timer = loop.call_later(AUTH_TIMEOUT, connection.close_soon, UNAUTHORIZED, NO_TOKEN)
        else:
            self._connections[address.talker] = connection
            connection.prefix = address.talker
            connection.bucket = self._bucket()
            connection.timer = loop.call_later(GREETING_DELAY, self._greet, connection)
        try:
            await self._read(connection)
        except ConnectionError:
            pass  # the client went away while it was written to
        finally:
            connection.release()
            self._leave(connection)
            self._all.discard(connection)
        return socket

    def _bucket(self, talker: str = "") -> Bucket | None:
        """What a talker may send, if that is limited; of one who can come back, as it was left."""
        if self.options.rate is None:
            return None
        bucket = self._buckets.get(talker) if talker else None
        if bucket is None:
            now = asyncio.get_running_loop().time()
            bucket = Bucket(self.options.rate, self.options.rate_period, now)
            if talker:
                self._buckets.put(talker, bucket)
        return bucket

    def _leave(self, connection: Connection) -> None:
        """Replies to its talker do not go to this connection any more."""
        talker = connection.address.talker
        if connection.address.account:
            others = self._proved[talker]
            others.remove(connection)
            if not others:
                del self._proved[talker]
        elif self._connections.get(talker) is connection:
            del self._connections[talker]

    async def _read(self, connection: Connection) -> None:
        socket, inlet = connection.socket, connection.inlet
        streak = 0
        while True:
            frame = await socket.receive()
            inlet.taken()
            streak += 1
            if streak == STREAK:
                # Frames that are there already are received without waiting: nobody else would have a turn.
                streak = 0
                await asyncio.sleep(0)
            if frame.type is WSMsgType.TEXT:
                try:
                    what = decode(frame.data)
                    if isinstance(what, Message):
                        if self._bot.busy >= CROWD:
                            await connection.queue(self._crowded)
                        self._hear(connection, what)
                    else:
                        await self._take(connection, what)
                except Refusal as exc:
                    await connection.write(encode_error(str(exc), exc.number, exc.retry_after))
                    await connection.calm()
                except FrameError as exc:
                    if not self._admitted(connection):
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

    def _crowded(self) -> bool:
        return self._bot.busy >= CROWD

    def _admitted(self, connection: Connection) -> bool:
        return not self._required or connection.identity is not None

    async def _take(self, connection: Connection, frame: Answer | Hello | Auth | Ack | Listing) -> None:
        if isinstance(frame, Answer):
            # The one place where an answer knows its question; a plugin sees the words.
            self._hear(connection, frame.message)
        elif isinstance(frame, Hello | Auth):
            if connection.spoke:
                raise FrameError(f"'{type(frame).__name__.lower()}' must be the first frame")
            self._begin(connection, frame)
        elif not self._admitted(connection):
            raise auth.Refused(NO_TOKEN)
        elif isinstance(frame, Ack):
            await self._confirm(connection, frame.seq)
        else:
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

    def _hear(self, connection: Connection, message: Message) -> None:
        """Hand a message to the bot; with an id, once, and acknowledged when it is durable. Raises Refusal, Refused."""
        if not self._admitted(connection):
            raise auth.Refused(NO_TOKEN)
        number = message.id
        if connection.bucket is not None and (wait := connection.bucket.take(asyncio.get_running_loop().time())):
            raise Refusal(f"too many messages, try again in {wait:.1f} s", number, wait)
        if not connection.greeted:
            self._greet(connection)
        connection.active = True
        keys = (f"{connection.prefix}:{number}",) if number and connection.acks else ()
        try:
            receipt = self._bot.receive(Event(connection.address, message, keys, "message", connection.identity))
        except (Overloaded, StoreError) as exc:
            raise Refusal(str(exc), number) from exc

        if not receipt.pending:
            if keys:
                connection.settled(number, None)
        elif keys:
            receipt.settled = partial(connection.settled, number)
        else:
            receipt.settled = connection.refused

    def _begin(self, connection: Connection, frame: Hello | Auth) -> None:
        """The first frame says who comes: with a token, the talker it names, else the one of its resume token.

        Raises FrameError, Refused.
        """
        proof = None
        if frame.token is not None:
            if self._verify is None:
                raise FrameError("no tokens are taken here")
            try:
                proof = self._verify(frame.token)
            except auth.Refused as exc:
                log.info("%s%s", exc, f": {exc.__cause__}" if exc.__cause__ else "")
                raise
        elif self._required:
            raise auth.Refused(NO_TOKEN)
        resume = frame.resume if isinstance(frame, Hello) else None
        known = resume is not None and TOKEN.fullmatch(resume) is not None
        token = resume if resume is not None and known else secrets.token_urlsafe(32)
        last = frame.last if isinstance(frame, Hello) and (known or proof is not None) else 0
        if proof is None:
            address = Address(self.name, talker=talker_of(token))
        else:
            address = Address(self.name, PROVED, talker=proof.identity.talker)
            # A proved talker is greeted once, and the store knows whether that was.
            known = False
        self._move(connection, address)
        if proof is not None:
            connection.identity = proof.identity
            self._expire(connection, proof.expires)
        connection.acks = isinstance(frame, Hello)
        connection.ready = False
        connection.greeted = known
        connection.sent = connection.acked = last
        connection.do_soon(self._resume(connection, token if connection.acks else "", last))

    def _move(self, connection: Connection, address: Address) -> None:
        """Give the connection to its talker; of one without proof, the latest connection counts."""
        if connection.timer is not None:
            connection.timer.cancel()
        self._leave(connection)
        connection.address = address
        if address.account:
            self._proved.setdefault(address.talker, []).append(connection)
            connection.prefix = scope_key(address)
        else:
            earlier = self._connections.get(address.talker)
            self._connections[address.talker] = connection
            connection.prefix = address.talker
            if earlier is not None:
                earlier.close_soon(RESUMED_ELSEWHERE, "resumed by another connection")
        connection.bucket = self._bucket(connection.prefix)

    def _expire(self, connection: Connection, expires: float) -> None:
        """Close when the token is not valid any more."""
        left = expires - time.time()
        if left <= 0:
            connection.close_soon(UNAUTHORIZED, "the token has expired")
            return
        loop = asyncio.get_running_loop()
        connection.expiry = loop.call_later(min(left, DAY), self._expire, connection, expires)

    async def _resume(self, connection: Connection, token: str, last: int) -> None:
        def ready() -> None:
            connection.ready = True

        if token:
            talker = connection.identity.talker if connection.identity is not None else ""
            await connection.write(encode_welcome(token, talker))
        try:
            await self._bot.resume(connection.address, last, ready)
        except StoreError as exc:
            log.error("a talker cannot be given what waited: %s", exc)
            await connection.close(WSCloseCode.TRY_AGAIN_LATER, "try again later")
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
            self._bot.receive(Event(connection.address, Message(), (), "connect", connection.identity))
        except (Overloaded, StoreError) as exc:
            log.warning("no greeting: %s", exc)

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

    async def run(self) -> None:
        """Look after the connections now and then: who is not heard of, or has nothing to say, has to go."""
        loop = asyncio.get_running_loop()
        idle = self.options.idle_timeout
        beat = loop.time() + HEARTBEAT
        while True:
            await asyncio.sleep(min(HEARTBEAT, idle / 2))
            now = loop.time()
            for connection in self._all:
                if connection.active:
                    connection.active, connection.since = False, now
                elif now - connection.since >= idle:
                    connection.close_soon(IDLE, "nothing was said for long")
            if now >= beat:
                beat = now + HEARTBEAT
                self._ping()

    def _ping(self) -> None:
        self._partials.look()
        for connection in list(self._all):
            if connection.inlet.heard:
                connection.inlet.heard = False
                connection.put_anyway(b"", WSMsgType.PING)
            else:
                connection.abort()

    def keeps(self, address: Address) -> bool:
        """Replies wait for those who can come back."""
        return bool(address.account) or address.talker.startswith(RESUMABLE)

    async def send(self, address: Address, message: Message, key: str) -> bool:
        """Write a reply to its talker's socket; False if it is delivered only when the client acknowledges it.

        Raises Away for a talker who may come back, Undeliverable for one who cannot.
        """
        if address.account:
            return await self._send_to_all(address, message, int(key))
        connection = self._connections.get(address.talker)
        if connection is None or connection.socket.closed or not connection.ready:
            raise self._gone(address)
        try:
            if connection.behind:
                await connection.catch_up()
            if not connection.acks:
                connection.put(encode(message))
                connection.active = True
                return True
            await self._send_to(connection, message, int(key))
        except ConnectionError as exc:
            raise self._gone(address) from exc
        return False

    async def _send_to(self, connection: Connection, message: Message, seq: int) -> None:
        """Write a reply unless the client has had it. Raises ConnectionError."""
        if seq <= connection.sent:
            return
        if connection.acks:
            (html,) = await self._markdown.html([message.text])
            frame = encode(message, seq, html)
        else:
            frame = encode(message)
        await connection.write(frame)
        connection.sent = seq
        connection.active = True

    async def _send_to_all(self, address: Address, message: Message, seq: int) -> bool:
        """Write a reply to all devices of a talker who has proved who he is. Raises Away."""
        there = [c for c in self._proved.get(address.talker, ()) if c.ready and not c.socket.closed]
        writing = [self._send_to(connection, message, seq) for connection in there]
        results = await asyncio.gather(*writing, return_exceptions=True)
        arrived, sent = False, False
        for connection, result in zip(there, results, strict=True):
            if result is None:
                sent, arrived = True, arrived or not connection.acks
            elif not isinstance(result, ConnectionError):
                raise result
        if not sent:
            raise self._gone(address)
        return arrived

    def _gone(self, address: Address) -> Away | Undeliverable:
        if self.keeps(address):
            return Away("the talker is not connected")
        return Undeliverable("the talker has gone")

    async def close(self) -> None:
        """Say goodbye to everybody."""
        goodbyes = (connection.close(WSCloseCode.GOING_AWAY, "the server is stopping") for connection in self._all)
        await asyncio.gather(*goodbyes, return_exceptions=True)
        self._markdown.close()
