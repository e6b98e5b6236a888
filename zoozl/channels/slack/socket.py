"""Socket Mode: a websocket that Slack's app tokens open, always one more before one ends.

slack-sdk has a client for it; this one owns its tasks, reads the old socket to its end while the new one is open, and
gives up on a token that Slack does not take.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import orjson

from zoozl.backoff import Backoff
from zoozl.channels.slack.api import Api, Refused, Unauthorized
from zoozl.channels.slack.decode import Malformed
from zoozl.channels.slack.files import NotYet
from zoozl.errors import DeliveryError, Overloaded, StoreError

log = logging.getLogger(__name__)

Handle = Callable[[str, Any, int], Awaitable[Any]]
"""(type of the envelope, payload, number of the retry) -> what to answer with, or None."""

FIRST_DELAY = 0.5
# A connection that lasted so long was a good one.
STABLE = 60.0
# Slack pings about as often; a socket that says nothing for four of these is gone.
HEARTBEAT = 10.0
CONNECT_TIMEOUT = 20.0
# An old socket may go on for so long when Slack has said that it ends.
GRACE = 30.0
MOST_AT_ONCE = 128
LONGEST_FRAME = 4 << 20


class SocketMode:
    """`run` serves until it is cancelled or the token is refused; `problem` says why nothing comes, "" if it does."""

    def __init__(self, api: Api, handle: Handle) -> None:
        self._api = api
        self._handle = handle
        self._tasks: set[asyncio.Task[None]] = set()
        self._room = asyncio.Semaphore(MOST_AT_ONCE)
        self.problem = "not connected yet"

    async def run(self) -> None:
        """Hold a connection."""
        loop = asyncio.get_running_loop()
        backoff = Backoff(FIRST_DELAY)
        try:
            while True:
                renew = asyncio.Event()
                begun = loop.time()
                try:
                    socket = await self._connect()
                except (Refused, Unauthorized) as exc:
                    self.problem = str(exc)
                    log.error("Socket Mode is off: %s; give a good app_token and start anew", exc)
                    return
                except (DeliveryError, aiohttp.ClientError, OSError) as exc:
                    self.problem = f"not connected: {type(exc).__name__}"
                    wanted = exc.retry_after if isinstance(exc, DeliveryError) else None
                    delay = max(backoff.next(), wanted or 0.0)
                    log.warning("Slack's socket cannot be opened, next try in %.1f s: %s", delay, self.problem)
                    await asyncio.sleep(delay)
                    continue
                task = self._start(self._read(socket, renew))
                waiting = asyncio.ensure_future(renew.wait())
                try:
                    await asyncio.wait([task, waiting], return_when=asyncio.FIRST_COMPLETED)
                finally:
                    waiting.cancel()
                # Whoever is asked to renew does so at once.
                if renew.is_set() or loop.time() - begun >= STABLE:
                    backoff.reset()
                if not renew.is_set():
                    self.problem = "the connection was lost"
                    await asyncio.sleep(backoff.next())
        finally:
            await self._close()

    async def _connect(self) -> aiohttp.ClientWebSocketResponse:
        url = await self._api.socket_url()
        parts = urlsplit(url)
        if parts.scheme != "wss" and not (parts.scheme == "ws" and self._api.base.startswith("http://")):
            raise DeliveryError("Slack named no wss:// address")
        async with asyncio.timeout(CONNECT_TIMEOUT):
            try:
                return await self._api.session.ws_connect(
                    url, heartbeat=HEARTBEAT, max_msg_size=LONGEST_FRAME, proxy=self._api.proxy
                )
            except (aiohttp.ClientError, ValueError) as exc:
                # Its text would hold the address, and whoever has that is us.
                raise DeliveryError(f"the socket cannot be opened: {type(exc).__name__}") from None

    def _start(self, doing: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.create_task(doing)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _read(self, socket: aiohttp.ClientWebSocketResponse, renew: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(None) as limit:
                while True:
                    frame = await socket.receive()
                    if frame.type is aiohttp.WSMsgType.BINARY:
                        log.warning("passed over: a frame that is no text")
                        continue
                    if frame.type is not aiohttp.WSMsgType.TEXT:
                        return
                    try:
                        packet = orjson.loads(frame.data)
                    except ValueError:
                        log.warning("passed over: a frame that is no JSON")
                        continue
                    kind = packet.get("type") if isinstance(packet, dict) else None
                    if kind == "hello":
                        self.problem = ""
                    elif kind == "disconnect":
                        log.info("Slack ends a connection: %.40s", packet.get("reason"))
                        renew.set()
                        limit.reschedule(loop.time() + GRACE)
                    elif isinstance(kind, str) and isinstance(packet.get("envelope_id"), str):
                        await self._room.acquire()
                        self._start(self._take(socket, packet))
        except TimeoutError:
            pass  # the old connection has had its time
        except (aiohttp.ClientError, OSError) as exc:
            log.info("Slack's socket broke: %s", type(exc).__name__)
        finally:
            await socket.close()

    async def _take(self, socket: aiohttp.ClientWebSocketResponse, packet: dict[str, Any]) -> None:
        """One envelope: acknowledged when it is durable, else Slack delivers it again."""
        try:
            attempt = packet.get("retry_attempt")
            answer = await self._handle(packet["type"], packet.get("payload"), attempt if type(attempt) is int else 0)
        except (Overloaded, StoreError, NotYet) as exc:
            log.warning("not taken, Slack will deliver it again: %s", str(exc) or type(exc).__name__)
            return
        except Malformed as exc:
            log.warning("passed over: %s", exc)
            answer = None
        finally:
            self._room.release()
        acknowledgement = {"envelope_id": packet["envelope_id"]}
        if answer is not None and packet.get("accepts_response_payload") is True:
            acknowledgement["payload"] = answer
        try:
            await socket.send_json(acknowledgement)
        except (aiohttp.ClientError, OSError):
            pass  # it comes again by another connection, and is known then

    async def _close(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=5.0)
