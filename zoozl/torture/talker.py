"""One talker: says its script over the `hello` protocol, through every crash, and remembers what came back."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from random import Random
from typing import Any

import aiohttp
import orjson

from zoozl.torture.script import Script

WINDOW = 5
OVERLAP = 3
# The mark "delivered" is written after the acknowledgement came in: a kill within this time may undo it (seconds).
IN_FLIGHT = 1.0


@dataclass(slots=True)
class Heard:
    """A reply as it came first."""

    text: str
    connection: int
    acknowledged_at: float | None = None


class Talker:
    """Connects again and again, sends up to `allowed`, and repeats what was not acknowledged."""

    def __init__(self, name: str, script: Script, most: int, random: Random) -> None:
        """It has `most` things to say."""
        self.name = name
        self.most = most
        self._script = script
        self._random = random
        self.allowed = 0
        self.sent = 0
        self.acknowledged: set[int] = set()
        self.replies: dict[int, Heard] = {}
        """By `seq`, in the order in which they came."""
        self.repeated = 0
        """Messages that were sent again."""
        self.doubled = 0
        """Replies that came again after a kill had cut their acknowledgement."""
        self.refused: list[str] = []
        self.broken: list[str] = []
        """What the server must not do."""
        self._token: str | None = None
        self._kept = 0
        self._connection = 0
        self._ended_at = 0.0
        self._changed = asyncio.Event()

    def allow(self, number: int) -> None:
        """Send up to this one."""
        self.allowed = number
        self._changed.set()

    @property
    def done(self) -> bool:
        """Whether all that may be sent was acknowledged, and answered if it waits for answers."""
        return len(self.acknowledged) == self.allowed and len(self.replies) >= self._script.wants(self.sent + 1)

    def _waits(self) -> bool:
        return (
            self.sent >= self.allowed
            or self.sent - len(self.acknowledged) >= WINDOW
            or len(self.replies) < self._script.wants(self.sent + 1)
        )

    async def run(self, session: aiohttp.ClientSession, url: str) -> None:
        """Talk until cancelled."""
        while True:
            try:
                async with session.ws_connect(url, max_msg_size=0) as socket:
                    self._connection += 1
                    await self._converse(socket)
            except (aiohttp.ClientError, OSError, TimeoutError):
                pass  # the server is being killed or started
            self._ended_at = time.monotonic()
            await asyncio.sleep(self._random.uniform(0.01, 0.05))

    async def _converse(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        # Now and then a client that remembers only what it has acknowledged.
        newest = max(self.replies, default=0)
        last = self._kept if self._random.random() < 0.5 else newest
        await _send(socket, {"hello": {"resume": self._token, "last": last}})
        frame = await socket.receive(10.0)
        if frame.type is not aiohttp.WSMsgType.TEXT:
            return
        packet = orjson.loads(frame.data)
        token = packet.get("welcome", {}).get("resume")
        if not isinstance(token, str) or (self._token is not None and token != self._token):
            self.broken.append(f"hello with {self._token!r} was answered by {packet}")
            return
        self._token = token
        writer = asyncio.create_task(self._write(socket))
        try:
            async for frame in socket:
                if frame.type is aiohttp.WSMsgType.TEXT and not await self._read(socket, orjson.loads(frame.data)):
                    return
        finally:
            writer.cancel()
            await asyncio.wait([writer])
            if not writer.cancelled():
                writer.exception()  # the connection broke; the reader noticed as well

    async def _write(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        """First what may have been lost, and a few of any age that cannot have been; then what is new."""
        missing = min(set(range(1, self.sent + 1)) - self.acknowledged, default=self.sent + 1)
        # Not always the latest: sending those again would hide that they had been lost.
        old = self._random.sample(range(1, missing), min(missing - 1, self._random.randint(0, OVERLAP)))
        for number in [*sorted(old), *range(missing, self.sent + 1)]:
            self.repeated += 1
            await self._say(socket, number)
        while True:
            while self._waits():
                self._changed.clear()
                await self._changed.wait()
            self.sent += 1
            await self._say(socket, self.sent)
            await asyncio.sleep(self._random.uniform(0, 0.02))

    async def _say(self, socket: aiohttp.ClientWebSocketResponse, number: int) -> None:
        await _send(socket, {"text": self._script.text(number), "id": str(number)})

    async def _read(self, socket: aiohttp.ClientWebSocketResponse, packet: dict[str, Any]) -> bool:
        """Take one frame; False to connect anew."""
        if "ack" in packet:
            self.acknowledged.add(int(packet["ack"]))
            self._changed.set()
        elif "error" in packet:
            self.refused.append(str(packet["error"]))
            return False
        elif "seq" in packet:
            # A question with buttons has its text without them beside it.
            await self._hear(packet["seq"], packet.get("plain", packet["text"]))
            self._changed.set()
            if self._random.random() < 0.2:
                await asyncio.sleep(self._random.uniform(0, 0.02))
            await _send(socket, {"ack": packet["seq"]})
            self.replies[packet["seq"]].acknowledged_at = time.monotonic()
            self._kept = max(self._kept, packet["seq"])
        elif "text" in packet:
            self.broken.append(f"a reply without seq: {packet}")
        return True

    async def _hear(self, seq: int, text: str) -> None:
        known = self.replies.get(seq)
        if known is None:
            if seq < max(self.replies, default=0):
                self.broken.append(f"reply {seq} came after reply {max(self.replies)}")
            self.replies[seq] = Heard(text, self._connection)
            return
        acknowledged = known.acknowledged_at
        if known.text != text:
            self.broken.append(f"reply {seq} was {known.text!r} and is {text!r}")
        elif known.connection == self._connection:
            self.broken.append(f"reply {seq} came twice over one connection")
        elif acknowledged is not None and acknowledged < self._ended_at - IN_FLIGHT:
            self.broken.append(f"reply {seq} came again although it was acknowledged long before the kill")
        else:
            self.doubled += 1
            known.connection, known.acknowledged_at = self._connection, None


async def _send(socket: aiohttp.ClientWebSocketResponse, packet: dict[str, Any]) -> None:
    await socket.send_str(orjson.dumps(packet).decode())
