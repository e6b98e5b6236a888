"""One client's connection: frames out, and how much of them may wait for it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from typing import Any

from aiohttp import WSMsgType, web

from zoozl.channels.bucket import Bucket
from zoozl.channels.websocket import wire
from zoozl.channels.websocket.encode import encode_ack, encode_error
from zoozl.channels.websocket.inbound import Inlet, Partials
from zoozl.chatbot.identity import Identity
from zoozl.chatbot.message import Address
from zoozl.errors import StoreError
from zoozl.failpoints import hit

TEXT = WSMsgType.TEXT
NOT_KEPT = "the message could not be kept, try again later"
CLOSE_TIMEOUT = 2.0
# A client that has to catch up reads at least so many bytes in so many seconds.
LEAST_READ = 64 << 10
SLOW = 5.0
LOOK = 0.05
# Frames that say nothing (pings, mistakes, refused messages): so many at once, and in each period of seconds.
IDLE_TALK, IDLE_TALK_PERIOD = 20, 10.0
# Messages that are let in at once however crowded it is; of the others each waits for at most so many seconds.
SHARE, SHARE_PERIOD = 4, 1.0
LONGEST_WAIT = 1.0


class Connection:
    """One client."""

    def __init__(
        self, socket: web.WebSocketResponse, request: web.Request, address: Address, partials: Partials, backlog: int
    ) -> None:
        """`socket` is prepared. `backlog` is how many bytes may wait for the client to read them."""
        assert request.transport is not None
        self.socket = socket
        self.address = address
        self._transport = request.transport
        self._backlog = backlog
        self.inlet = Inlet(self._transport, request.protocol, partials)
        self._transport.set_protocol(self.inlet)
        self._background: set[asyncio.Task[None]] = set()
        self.acks = False
        """It said hello: it acknowledges, and is acknowledged to."""
        self.identity: Identity | None = None
        self.prefix = ""
        """Of the keys of its messages."""
        self.greeted = False
        self.ready = True
        """Replies may be sent: nothing that waited can be overtaken."""
        self.spoke = False
        self.sent = 0
        """The `seq` of the last reply that was sent, or that the client has had before."""
        self.acked = 0
        self.active = True
        """Whether a message went either way since the last look."""
        self.since = 0.0
        """The last look (loop time) that found it active."""
        self.bucket: Bucket | None = None
        """Its share of messages; of a talker who can come back it outlives the connection."""
        self.timer: asyncio.TimerHandle | None = None
        """Until it is greeted, or for the first frame."""
        self.expiry: asyncio.TimerHandle | None = None
        self._patience: Bucket | None = None
        self._share: Bucket | None = None

    @property
    def behind(self) -> bool:
        """Whether more waits for the client than may."""
        return self._transport.get_write_buffer_size() > self._backlog

    async def catch_up(self) -> None:
        """Wait for a client that is behind. One that hardly reads is cut off: then it raises ConnectionError."""
        loop = asyncio.get_running_loop()
        left, until = self._transport.get_write_buffer_size(), loop.time() + SLOW
        while self.behind:
            if self._transport.is_closing():
                raise ConnectionResetError("the client has gone")
            if loop.time() >= until:
                now = self._transport.get_write_buffer_size()
                if now > left - LEAST_READ:
                    self.abort()
                    raise ConnectionResetError("the client reads too slowly")
                left, until = now, loop.time() + SLOW
            await asyncio.sleep(LOOK)

    def put(self, frame: bytes, kind: WSMsgType = TEXT) -> None:
        """Hand a frame to the transport. Raises ConnectionError if the client has gone."""
        if kind is TEXT:
            if self.socket.closed or self._transport.is_closing():
                raise ConnectionResetError("the client has gone")
            self._transport.write(wire.text(frame))
            return
        writing = self.socket.send_frame(frame, kind)
        try:
            # Without compression and with no limit of aiohttp's own it never waits, and so needs no task.
            writing.send(None)
        except StopIteration:
            return
        writing.close()
        raise RuntimeError("aiohttp waits although it has no reason to")

    async def write(self, frame: bytes, kind: WSMsgType = TEXT) -> None:
        """Send a frame; wait if the client is behind. Raises ConnectionError if it has gone."""
        if self.behind:
            await self.catch_up()
        self.put(frame, kind)

    def put_anyway(self, frame: bytes, kind: WSMsgType = TEXT) -> None:
        """Send a frame without waiting, and without complaint if the client has gone; if it is far behind, it goes."""
        if self._transport.get_write_buffer_size() > 4 * self._backlog:
            self.abort()
            return
        try:
            self.put(frame, kind)
        except ConnectionError:
            pass  # its reader notices

    async def calm(self) -> None:
        """Wait if the client says too much that is no message: pings, mistakes, refused messages, listings.

        It is not cut off: one that comes back costs more than one that waits.
        """
        now = asyncio.get_running_loop().time()
        if self._patience is None:
            self._patience = Bucket(IDLE_TALK, IDLE_TALK_PERIOD, now)
        if wait := self._patience.take(now):
            await asyncio.sleep(wait)

    async def queue(self, crowded: Callable[[], bool]) -> None:
        """Wait while it is crowded, if this client says more than its share; one that says little never waits."""
        now = asyncio.get_running_loop().time()
        if self._share is None:
            self._share = Bucket(SHARE, SHARE_PERIOD, now)
        if not self._share.take(now):
            return
        # Nobody is told when it is less crowded: that would cost every message something.
        while crowded() and asyncio.get_running_loop().time() < now + LONGEST_WAIT:  # noqa: ASYNC110
            # At random: all who wait have the same chance, and do not come at once.
            await asyncio.sleep(random.uniform(LOOK / 2, LOOK * 1.5))  # noqa: S311 - no secret

    def do_soon(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something for as long as the connection lives."""
        task = asyncio.ensure_future(_if_there(work))
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        # A task that is cancelled before its first step leaves it as it is.
        task.add_done_callback(lambda _: work.close())

    def settled(self, number: str, error: StoreError | None) -> None:
        """A message with an id is on disk, or never will be."""
        if error is None:
            hit("accepted")
            self.put_anyway(encode_ack(number))
        else:
            self.put_anyway(encode_error(NOT_KEPT, number))

    def refused(self, error: StoreError | None) -> None:
        """The same for a plain client, which hears of failures only."""
        if error is not None:
            self.put_anyway(encode_error(NOT_KEPT))

    async def close(self, code: int, reason: str) -> None:
        """Say goodbye, for at most two seconds."""
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT):
                await self.socket.close(code=code, message=reason.encode())
        except TimeoutError:
            self.abort()

    def close_soon(self, code: int, reason: str) -> None:
        """Say goodbye in the background."""
        self.do_soon(self.close(code, reason))

    def abort(self) -> None:
        """Let go at once: a close frame would wait behind what the client does not read."""
        self._transport.abort()

    def release(self) -> None:
        """It has ended: nothing is done for it any more."""
        for timer in (self.timer, self.expiry):
            if timer is not None:
                timer.cancel()
        for task in self._background:
            task.cancel()


async def _if_there(work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    except ConnectionError:
        pass  # it went away; its reader notices
