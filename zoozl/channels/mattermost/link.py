"""The websocket to Mattermost: who listens, resuming where it was cut, and noticing what got lost."""

from __future__ import annotations

import json
import logging
from typing import Any
from urllib.parse import urlencode

import aiohttp

from zoozl.channels.mattermost import decode
from zoozl.channels.mattermost.decode import Frame

log = logging.getLogger(__name__)

MOST_BYTES = 16 << 20
# Seconds in which a fresh connection must have said hello, and in which a server must answer a handshake.
PATIENCE = 15.0


class Lost(Exception):
    """The connection is over. `missed` tells whether events may have got lost for good."""

    def __init__(self, why: str, *, missed: bool = False) -> None:
        super().__init__(why)
        self.missed = missed


class Link:
    """One connection after another. What came with the last one decides how the next one begins."""

    def __init__(self, session: aiohttp.ClientSession, url: str, token: str, heartbeat: float) -> None:
        """`heartbeat` in seconds: a server that has not answered a ping after half of it is gone."""
        self._session = session
        self._url = "ws" + url.removeprefix("http") + "/api/v4/websocket"
        self._token = token
        self._heartbeat = heartbeat
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._id = ""
        self._next = 0
        self._requests = 0

    @property
    def resumes(self) -> bool:
        """Whether the next connection asks for the events since the last one."""
        return bool(self._id)

    @property
    def is_open(self) -> bool:
        """Whether there is a connection."""
        return self._socket is not None and not self._socket.closed

    def forget(self) -> None:
        """The next connection begins anew."""
        self._id, self._next = "", 0

    async def open(self) -> None:
        """Connect. Raises Lost."""
        query = f"?{urlencode({'connection_id': self._id, 'sequence_number': self._next})}" if self._id else ""
        try:
            # Half of the heartbeat is what aiohttp waits for a pong.
            self._socket = await self._session.ws_connect(
                self._url + query,
                heartbeat=self._heartbeat,
                max_msg_size=MOST_BYTES,
                timeout=aiohttp.ClientWSTimeout(ws_close=2.0),
            )
        except (aiohttp.ClientError, TimeoutError, OSError) as exc:
            status = getattr(exc, "status", None)
            raise Lost(f"it cannot be opened: {status or type(exc).__name__}") from exc
        self._requests = 0
        # A proxy may have taken the header away. A server that has read the header passes over this.
        await self.ask("authentication_challenge", {"token": self._token})
        if self._id:
            # Nothing is said when nothing was missed: the answer to this shows that the connection works.
            await self.ask("ping", {})

    async def ask(self, action: str, data: dict[str, Any]) -> None:
        """Send a request; nobody waits for its reply. Raises Lost."""
        if self._socket is None:
            raise Lost("there is no connection")
        self._requests += 1
        try:
            await self._socket.send_str(json.dumps({"seq": self._requests, "action": action, "data": data}))
        except (aiohttp.ClientError, OSError) as exc:
            raise Lost(f"it broke: {type(exc).__name__}") from exc

    async def read(self) -> Frame:
        """The next event or reply. Raises Lost, also for a gap in the numbers."""
        assert self._socket is not None
        while True:
            try:
                message = await self._socket.receive()
            except (aiohttp.ClientError, OSError) as exc:
                raise Lost(f"it broke: {type(exc).__name__}") from exc
            if message.type is not aiohttp.WSMsgType.TEXT:
                if message.type is aiohttp.WSMsgType.BINARY:
                    continue
                raise Lost(f"it was closed ({self._socket.close_code})")
            try:
                frame = decode.frame(message.data)
            except decode.DecodeError as exc:
                # If it had a number, the next one will tell.
                log.warning("a frame is passed over: %s", exc)
                continue
            if not frame.reply:
                self._count(frame)
            return frame

    def _count(self, frame: Frame) -> None:
        if frame.event == "hello":
            found = frame.data.get("connection_id")
            self._id = found if isinstance(found, str) and decode.ID.fullmatch(found) else ""
        elif frame.seq != self._next:
            expected = self._next
            self.forget()
            raise Lost(f"event {frame.seq} came where {expected} was due", missed=True)
        self._next = frame.seq + 1

    async def close(self) -> None:
        """End the connection; the next one may resume it."""
        if self._socket is not None:
            await self._socket.close()
            self._socket = None
