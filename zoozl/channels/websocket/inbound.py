"""What comes in: handed to the parser as fast as messages are taken out, and bounded while it is unfinished."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import cast

from zoozl.channels.websocket import wire

log = logging.getLogger(__name__)

# Seconds between two lines in the log about the same.
TELL = 60.0
# So much is read at once, by all connections into the same place.
BUFFER = memoryview(bytearray(32 << 10))
# Frames that a connection may have in the parser's queue. Each is an object there: a flood of pings in 500 connections
# would be half a million of them, and the garbage collector's walk through those would hold up everybody.
MOST_FRAMES = 32
# A connection may have so many bytes of an unfinished message without being looked at.
FREE = 16 << 10
# What a piece of a message costs beyond its bytes: it is an object of its own until the message is whole.
PIECE = 48
# An unfinished message must grow by this much between two looks.
LEAST_GROWTH = 16 << 10
# Beyond this number, the fragments of a message must have this many bytes on average.
FEW_FRAGMENTS, LEAST_FRAGMENT = 256, 64


class Partials:
    """The unfinished messages of all connections, which may have `limit` bytes together."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._total = 0
        self._told, self._cut = -TELL, 0
        # In the order in which they began to matter.
        self._inlets: dict[Inlet, int] = {}

    def count(self, inlet: Inlet) -> None:
        """Note how much a connection has now. Beyond the limit, those that began first are cut off."""
        self._total += inlet.unfinished - self._inlets.get(inlet, 0)
        self._inlets[inlet] = inlet.unfinished
        while self._total > self._limit and self._inlets:
            first = next(iter(self._inlets))
            self._cut += 1
            self._tell()
            self.forget(first)
            first.cut()

    def _tell(self) -> None:
        # A flood of connections must not become one of log lines.
        now = time.monotonic()
        if now - self._told >= TELL:
            log.warning("max_partial_bytes is reached: %d connections with unfinished messages are cut off", self._cut)
            self._told, self._cut = now, 0

    def forget(self, inlet: Inlet) -> None:
        """Its message is whole, or its connection has gone."""
        self._total -= self._inlets.pop(inlet, 0)

    def look(self) -> None:
        """Cut off those whose message has hardly grown since the last look."""
        for inlet in list(self._inlets):
            if inlet.unfinished < inlet.before + LEAST_GROWTH:
                self.forget(inlet)
                inlet.cut()
            else:
                inlet.before = inlet.unfinished


class Inlet(asyncio.BufferedProtocol):
    """Stands between a socket and the protocol that parses it. It reads the frames' heads only, to count them."""

    __slots__ = (
        "_ends",
        "_feed",
        "_fragments",
        "_held",
        "_inner",
        "_partials",
        "_queued",
        "_skip",
        "_transport",
        "before",
        "hear",
        "heard",
        "unfinished",
    )

    def __init__(self, transport: asyncio.Transport, inner: asyncio.BaseProtocol, partials: Partials) -> None:
        """`inner` was the protocol of `transport` and has upgraded to websocket frames; nothing has come since."""
        self._transport = transport
        self._inner = cast(asyncio.Protocol, inner)
        self._feed: Callable[[bytes], None] = self._inner.data_received
        self._partials = partials
        self._held = b""
        """What the parser has not been given yet."""
        self._queued = 0
        """Messages, pings and pongs the parser was given and nobody took yet."""
        self._skip = 0
        """Bytes that the frame under way still lacks."""
        self._ends = 0
        """What its end means: 0 a fragment, 1 a control frame, 2 a whole message."""
        self._fragments = 0
        self.unfinished = 0
        """What came of a message that is not whole, in bytes."""
        self.before = 0
        """The same at the last look."""
        self.heard = True
        """Whether anything came; set to False by whoever asks."""
        self.hear: Callable[[bytes], bool] | None = None
        """Offered a short text that comes alone, while somebody waits for it: True if that is all there is to do."""

    def cut(self) -> None:
        """End the connection at once."""
        self._transport.abort()

    def get_buffer(self, sizehint: int) -> memoryview:
        """What is in it is taken out before anything else is read."""
        return BUFFER

    def buffer_updated(self, nbytes: int) -> None:
        """Something came."""
        self.heard = True
        data = bytes(BUFFER[:nbytes])
        if (
            self.hear is not None
            and not (self._queued or self._held or self._skip or self.unfinished)
            and (text := wire.short_text(data)) is not None
            and self.hear(text)
        ):
            return
        if self._held:
            self._held += data
        else:
            self._held = data
        if self._queued < MOST_FRAMES:
            self._hand_on()
        else:
            self._transport.pause_reading()

    def taken(self) -> None:
        """A message, ping or pong was taken out of the parser's queue."""
        self._queued -= 1
        if not self._queued and self._held:
            self._hand_on()
            if self._queued < MOST_FRAMES:
                self._transport.resume_reading()

    def _hand_on(self) -> None:
        """Give the parser what may go into its queue, up to the last head that is whole."""
        data = self._held
        end = self._count(data)
        if end == len(data):
            self._held = b""
            self._feed(data)
        else:
            self._held = data[end:]
            self._feed(data[:end])
            if self._queued >= MOST_FRAMES:
                self._transport.pause_reading()
        if self.unfinished:
            self.unfinished += PIECE
            if self.unfinished > FREE:
                self._partials.count(self)

    def _count(self, data: bytes) -> int:
        """How much of `data` may go on (RFC 6455, section 5.2)."""
        size = len(data)
        at = min(self._skip, size)
        if at:
            self._skip -= at
            if self._ends != 1:
                self.unfinished += at
            if not self._skip:
                self._ended()
        while not self._skip and self._queued < MOST_FRAMES and at + 2 <= size:
            first, length = data[at], data[at + 1] & 0x7F
            start = at + (6 if data[at + 1] & 0x80 else 2) + (0 if length < 126 else 2 if length == 126 else 8)
            if start > size:
                break
            if length >= 126:
                length = int.from_bytes(data[at + 2 : at + (4 if length == 126 else 10)], "big")
            self._ends = 1 if first & 0x08 else 2 if first & 0x80 else 0
            at = min(start + length, size)
            self._skip = start + length - at
            if self._ends != 1:
                self.unfinished += at - start
            if not self._skip:
                self._ended()
        return at

    def _ended(self) -> None:
        """A frame is whole."""
        if self._ends == 0:
            self._fragments += 1
            if self._fragments > FEW_FRAGMENTS and self._fragments * LEAST_FRAGMENT > self.unfinished:
                self.cut()
            return
        self._queued += 1
        if self._ends == 2:
            if self.unfinished > FREE:
                self._partials.forget(self)
            self.unfinished = self.before = self._fragments = 0

    def eof_received(self) -> bool | None:
        """Hand on."""
        return self._inner.eof_received()

    def pause_writing(self) -> None:
        """Hand on."""
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        """Hand on."""
        self._inner.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Hand on."""
        self._partials.forget(self)
        self._inner.connection_lost(exc)
