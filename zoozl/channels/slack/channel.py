"""The Slack channel: signed requests or a socket in, chat.postMessage out."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any
from urllib.parse import parse_qsl

import orjson
from aiohttp import web

from zoozl.backoff import Backoff
from zoozl.channels.slack.api import Api, Refused, Unauthorized
from zoozl.channels.slack.decode import Malformed, readable
from zoozl.channels.slack.deliver import Delivery
from zoozl.channels.slack.files import NotYet
from zoozl.channels.slack.interact import decode_command
from zoozl.channels.slack.options import PATH, Options
from zoozl.channels.slack.places import ASIDE, Places
from zoozl.channels.slack.receive import Receiver
from zoozl.channels.slack.socket import SocketMode
from zoozl.channels.slack.streams import Streams
from zoozl.channels.slack.verify import verified
from zoozl.chatbot.core import Chatbot
from zoozl.chatbot.message import Address, Message
from zoozl.doctor import Finding
from zoozl.errors import DeliveryError, Overloaded, StoreError

__all__ = ["Channel", "Options"]

log = logging.getLogger(__name__)

# Bytes and seconds: more of a request is not read, and Slack does not wait longer.
LONGEST_BODY, BODY_TIMEOUT = 1 << 20, 5.0
MOST_FIELDS = 50
# Slack tries three times more.
LAST_RETRY = 3
MOST_HISTORY = 200


class Channel:
    """Slack by the Events API, or by Socket Mode with an xapp- token; both at once if there is a port as well."""

    shows = frozenset({"choices", "forms"})

    @classmethod
    async def check(cls, options: Options) -> list[Finding]:
        """See zoozl.doctor.Checked."""
        from zoozl.channels.slack.check import check

        return await check(options)

    def __init__(self, options: Options, bot: Chatbot, name: str = "slack") -> None:
        """Raises ConfigError if slack-sdk is not installed."""
        self.name = name
        self.options = options
        self._api = Api(options)
        self._places = Places()
        self._receiver = Receiver(name, options, bot, self._api, self._places)
        self._streams = Streams(self._api, options.streaming)
        self._delivery = Delivery(self._api, self._places, self._streams)
        self._socket = SocketMode(self._api, self._envelope) if options.socket_mode else None
        self._shows_status = True
        self._problem = "not introduced to Slack yet"

    # In

    def routes(self) -> list[web.AbstractRouteDef]:
        """One address for events, commands and buttons; the root as well, as in the original zoozl."""
        paths = [self.options.path] if self.options.path is not None else [PATH, "/"]
        return [web.post(path, self._post) for path in paths]

    async def _post(self, request: web.Request) -> web.Response:
        if request.content_length is not None and request.content_length > LONGEST_BODY:
            raise web.HTTPRequestEntityTooLarge(LONGEST_BODY, request.content_length)
        try:
            async with asyncio.timeout(BODY_TIMEOUT):
                body = await request.read()
        except TimeoutError as exc:
            raise web.HTTPRequestTimeout from exc
        headers, secret = request.headers, self.options.signing_secret
        assert secret is not None
        times, signature = headers.get("X-Slack-Request-Timestamp"), headers.get("X-Slack-Signature")
        if not verified(secret.get_secret_value(), times, signature, body, time.time()):
            log.warning("a request that Slack has not signed is refused (a wrong signing_secret, or a wrong clock?)")
            raise web.HTTPForbidden(text="The signature is not Slack's.\n")
        try:
            return await self._answer(request, body)
        except Malformed as exc:
            log.warning("a request of Slack is not understood: %s", exc)
            raise web.HTTPBadRequest(text="That is not understood.\n") from exc
        except (Overloaded, StoreError, NotYet) as exc:
            log.warning("not taken, Slack will deliver it again: %s", str(exc) or type(exc).__name__)
            raise web.HTTPServiceUnavailable(text="Try again later.\n", headers={"Retry-After": "5"}) from exc

    async def _answer(self, request: web.Request, body: bytes) -> web.Response:
        if request.content_type == "application/x-www-form-urlencoded":
            return await self._form(body)
        retry = request.headers.get("X-Slack-Retry-Num", "")
        last_try = retry.isascii() and retry.isdigit() and int(retry[:4]) >= LAST_RETRY
        text = await self._receiver.event(_json(body), last_try=last_try)
        return web.Response(text=text)

    async def _form(self, body: bytes) -> web.Response:
        try:
            fields = dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MOST_FIELDS))
        except ValueError as exc:
            raise Malformed("the form cannot be read") from exc
        if fields.get("ssl_check") == "1":
            return web.Response()
        if "payload" in fields:
            answer = await self._receiver.interaction(_json(fields["payload"].encode()))
            return web.json_response(answer) if answer is not None else web.Response()
        await self._receiver.command(decode_command(fields))
        return web.Response()

    async def _envelope(self, kind: str, payload: Any, attempt: int) -> Any:
        """What came by the socket. Raises as Receiver."""
        if kind == "events_api":
            await self._receiver.event(payload, last_try=attempt >= LAST_RETRY)
        elif kind == "interactive":
            return await self._receiver.interaction(payload)
        elif kind == "slash_commands":
            if not isinstance(payload, dict):
                raise Malformed("a command is an object")
            await self._receiver.command(decode_command(payload))
        return None

    async def run(self) -> None:
        """Find out who the bot is, then hold the socket if there is one."""
        await self._introduce()
        if self._socket is not None:
            await self._socket.run()

    async def _introduce(self) -> None:
        backoff = Backoff()
        while True:
            try:
                me = await self._api.introduce()
            except (DeliveryError, Refused) as exc:
                self._problem = str(exc)
                wrong = isinstance(exc, Unauthorized)
                log.log(logging.ERROR if wrong else logging.WARNING, "the bot's token cannot be used: %s", exc)
                wanted = exc.retry_after if isinstance(exc, DeliveryError) else None
                await asyncio.sleep(max(backoff.next(), wanted or 0.0))
            else:
                self._problem = ""
                log.info("in Slack's workspace %s as user %s", me.team, me.user)
                return

    @property
    def trouble(self) -> str:
        """Why nothing comes in or goes out now, as far as is known; "" if all is well."""
        return self._problem or (self._socket.problem if self._socket is not None else "")

    # Out

    async def send(self, address: Address, message: Message, key: str) -> None:
        """Deliver a reply. Raises DeliveryError or Undeliverable."""
        await self._delivery.send(address, message, key)

    async def stream(self, address: Address, key: str, text: str) -> None:
        """Show how far an answer has come. Raises DeliveryError or Undeliverable."""
        if not address.thread.startswith(ASIDE):
            await self._streams.show(address, await self._delivery.channel_of(address), key, text)

    async def typing(self, address: Address, on: bool) -> None:
        """Show that the bot is at work, in threads; elsewhere Slack has nothing for it."""
        if not self._shows_status or not address.thread or address.thread.startswith(ASIDE):
            return
        channel = await self._delivery.channel_of(address)
        if not self._api.free("assistant.threads.setStatus"):
            return
        body = {"channel_id": channel, "thread_ts": address.thread, "status": "is thinking…" if on else ""}
        try:
            await self._api.call("assistant.threads.setStatus", body)
        except (Refused, Unauthorized) as exc:
            self._shows_status = False
            log.info("no status is shown: %s", exc)

    async def direct(self, address: Address) -> Address:
        """The direct conversation with the talker of `address`."""
        return Address(address.channel, address.account, "", "", address.talker)

    async def history(self, address: Address, limit: int) -> list[Message]:
        """The latest messages of the place, oldest first. Raises DeliveryError or Undeliverable."""
        body: dict[str, Any] = {"channel": await self._delivery.channel_of(address), "limit": min(limit, MOST_HISTORY)}
        if address.thread and not address.thread.startswith(ASIDE):
            answer = await self._api.call("conversations.replies", {**body, "ts": address.thread}, read=True)
            found = answer.get("messages") or []
        else:
            answer = await self._api.call("conversations.history", body, read=True)
            found = list(reversed(answer.get("messages") or []))
        me = self._api.me.user if self._api.me is not None else ""
        return [
            Message(
                readable(str(one.get("text", ""))),
                str(one.get("user", "")),
                float(one["ts"]),
                str(one["ts"]),
                one.get("user") == me,
            )
            for one in found[-limit:]
        ]

    async def close(self) -> None:
        """Let what is under way end, and end the session."""
        await self._receiver.close()
        await self._api.close()


def _json(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except ValueError as exc:
        raise Malformed("it is no JSON") from exc
