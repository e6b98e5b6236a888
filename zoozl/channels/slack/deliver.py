"""Replies on their way to Slack: text in parts, then files; a try that was cut goes on where it was."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from io import BytesIO
from typing import Any

from aiohttp import ClientTimeout

from zoozl.channels.slack.api import Api, Refused
from zoozl.channels.slack.encode import posts
from zoozl.channels.slack.files import safe_name, trusted
from zoozl.channels.slack.places import ASIDE, Places
from zoozl.channels.slack.streams import Growing, Streams
from zoozl.chatbot.lru import LRU
from zoozl.chatbot.message import Address, Message, MessagePart
from zoozl.errors import DeliveryError, Undeliverable

log = logging.getLogger(__name__)

# Seconds: a reply must be delivered, or have failed, within a minute.
DELIVERY_TIMEOUT = 50.0
REMEMBERED = 1_000
# Characters that are rendered at once, and not in a thread.
SHORT = 500
# Blocks that Slack does not take: then words must do.
BAD_BLOCKS = frozenset({"invalid_blocks", "invalid_blocks_format", "msg_blocks_too_long"})
# What chat.postEphemeral says where the bot is not.
NOT_THERE = frozenset({"not_in_channel", "channel_not_found", "user_not_in_channel"})
PLAIN = {"unfurl_links": False, "unfurl_media": False}


class Delivery:
    """Sends; what has arrived of a reply is remembered by its key until the rest has."""

    def __init__(self, api: Api, places: Places, streams: Streams) -> None:
        self._api = api
        self._places = places
        self._streams = streams
        self._done: LRU[int] = LRU(REMEMBERED)

    async def send(self, address: Address, message: Message, key: str) -> None:
        """Deliver a reply. Raises DeliveryError or Undeliverable."""
        try:
            async with asyncio.timeout(DELIVERY_TIMEOUT):
                await self._send(address, message, key)
        except TimeoutError as exc:
            raise DeliveryError("Slack was too slow for the whole reply") from exc

    async def channel_of(self, address: Address) -> str:
        """The channel an address is in. Raises as Api.call."""
        if address.room:
            return address.room
        known = self._places.direct(address.talker)
        if known is not None:
            return known
        answer = await self._api.call("conversations.open", {"users": address.talker})
        channel = answer.get("channel")
        if not isinstance(channel, dict) or not isinstance(channel.get("id"), str):
            raise Undeliverable("Slack opens no direct conversation")
        found: str = channel["id"]
        self._places.note_direct(address.talker, found)
        return found

    async def _send(self, address: Address, message: Message, key: str) -> None:
        aside = address.thread.startswith(ASIDE)
        payloads = await _encoded(message)
        if not payloads and not message.files:
            raise Undeliverable("there is nothing in it that can be shown")
        growing = self._streams.get(message.stream)
        if growing is not None and growing.native and not self._done.get(key):
            extra = payloads[-1].get("blocks", [])[1:] if payloads else []
            if await self._streams.finish(growing, message.text, extra or None):
                self._done.put(key, len(payloads))
        for number, payload in enumerate(payloads):
            if number >= (self._done.get(key) or 0):
                if aside:
                    await self._aside(address, payload, message)
                else:
                    await self._post(address, payload, message, growing if number == 0 else None, f"{key}-{number}")
                self._done.put(key, number + 1)
        if message.files and (self._done.get(key) or 0) <= len(payloads):
            await self._upload(address, message.files)
            self._done.put(key, len(payloads) + 1)

    async def _post(
        self, address: Address, payload: Mapping[str, Any], message: Message, growing: Growing | None, key: str
    ) -> None:
        if growing is not None:
            place = {"channel": growing.channel, "ts": growing.ts}
            method, body = "chat.update", {**payload, **place}
        else:
            place = {"channel": await self.channel_of(address)}
            body = {**payload, **PLAIN, **place}
            if address.thread:
                body["thread_ts"] = address.thread
            method = "chat.postMessage"
        await self._without_bad_blocks(method, body, message, key)

    async def _without_bad_blocks(self, method: str, body: dict[str, Any], message: Message, key: str = "") -> None:
        try:
            await self._api.call(method, body, key=key)
        except Refused as exc:
            if exc.code not in BAD_BLOCKS or "blocks" not in body:
                raise
            log.warning("%s; it is asked in words", exc)
            texts = [payload["text"] for payload in posts(message, with_widgets=False)]
            del body["blocks"]
            await self._api.call(method, {**body, "text": texts[-1]})

    async def _aside(self, address: Address, payload: Mapping[str, Any], message: Message) -> None:
        """Where a command was given, for its talker only; else in the direct conversation."""
        url = self._places.take_url(address, time.monotonic())
        if url is not None and await self._respond(url, payload):
            return
        channel = address.thread.removeprefix(ASIDE)
        try:
            body = {**payload, "channel": channel, "user": address.talker}
            await self._without_bad_blocks("chat.postEphemeral", body, message)
        except Refused as exc:
            if exc.code not in NOT_THERE:
                raise
            direct = Address(address.channel, address.account, "", "", address.talker)
            await self._post(direct, payload, message, None, "")

    async def _respond(self, url: str, payload: Mapping[str, Any]) -> bool:
        """Answer to a response_url, whose own address is a secret; False if it takes no more."""
        body = {"response_type": "ephemeral", "replace_original": False, **payload}
        with self._api.translated("response_url"):
            async with self._api.session.post(url, json=body, allow_redirects=False, proxy=self._api.proxy) as response:
                if response.status == 429 or response.status >= 500:
                    raise DeliveryError(f"Slack's response_url answers {response.status}")
                return response.status == 200

    async def _upload(self, address: Address, files: list[MessagePart]) -> None:
        aside = address.thread.startswith(ASIDE)
        where = Address(address.channel, address.account, "", "", address.talker) if aside else address
        channel = await self.channel_of(where)
        await self._api.turn("files.upload")
        with self._api.translated("files.upload"):
            sent = [await self._upload_one(number, file) for number, file in enumerate(files, 1)]
            await self._api.open().files_completeUploadExternal(
                files=sent, channel_id=channel, thread_ts=where.thread or None
            )

    async def _upload_one(self, number: int, file: MessagePart) -> dict[str, str | None]:
        """Steps one and two of three: Slack has the bytes, and nobody sees them yet."""
        name = safe_name(file.filename) or f"file-{number}"
        answer = await self._api.open().files_getUploadURLExternal(filename=name, length=len(file.binary))
        url, file_id = str(answer.get("upload_url")), str(answer.get("file_id"))
        if not trusted(url, self._api.base):
            raise Undeliverable("Slack named a foreign address for a file")
        timeout = ClientTimeout(total=DELIVERY_TIMEOUT)
        # slack-sdk's files_upload_v2 would hand all bytes to the socket at once, on the loop.
        async with self._api.session.post(
            url, data=BytesIO(file.binary), timeout=timeout, allow_redirects=False, proxy=self._api.proxy
        ) as response:
            if response.status != 200:
                raise DeliveryError(f"Slack answers {response.status} to the bytes of a file")
        return {"id": file_id, "title": name}


async def _encoded(message: Message) -> list[dict[str, Any]]:
    if len(message.text) <= SHORT:
        return posts(message)
    return await asyncio.to_thread(posts, message)
