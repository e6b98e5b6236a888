"""Answers that grow: in a stream of Slack's where there is one, else in one message that is edited now and then."""

from __future__ import annotations

import asyncio
import logging
import re
from dataclasses import dataclass
from typing import Any

from zoozl.channels.render.slack import parts
from zoozl.channels.slack.api import Api, Refused, Unauthorized
from zoozl.channels.slack.encode import LONGEST
from zoozl.chatbot.lru import LRU
from zoozl.chatbot.message import Address

log = logging.getLogger(__name__)

# Seconds between two edits: chat.update is one of about fifty a minute.
EDIT_INTERVAL = 1.2
# Characters that are worth an append, and that a message may have in all.
LEAST_APPEND, LONGEST_STREAM = 256, 11_000
MOST_STREAMS = 1_000
SPECIAL = re.compile("<(?=[!@#])")


@dataclass(slots=True)
class Growing:
    """A message that grows; `text` is what Slack has of it."""

    channel: str
    ts: str
    native: bool
    text: str
    at: float


def harmless(text: str) -> str:
    """Markdown in which nobody is mentioned: streams take Slack's own spelling of mentions, too."""
    return SPECIAL.sub("<\u200b", text)


class Streams:
    """What grows now, by the key of its stream."""

    def __init__(self, api: Api, mode: str) -> None:
        self._api = api
        self._mode = mode
        self._native = mode == "auto"
        self._growing: LRU[Growing] = LRU(MOST_STREAMS)

    def get(self, key: str) -> Growing | None:
        """What is shown already of the answer called `key`."""
        return self._growing.get(key) if key else None

    async def show(self, address: Address, channel: str, key: str, text: str) -> None:
        """Show how far an answer has come. Raises as Api.call."""
        if self._mode == "off" or not text.strip():
            return
        growing = self._growing.get(key)
        if growing is None:
            if (begun := await self._begin(address, channel, text)) is not None:
                self._growing.put(key, begun)
        elif growing.native:
            await self._append(growing, harmless(text))
        elif _now() - growing.at >= EDIT_INTERVAL and self._api.free("chat.update"):
            growing.at = _now()
            await self._api.call(
                "chat.update", {"channel": growing.channel, "ts": growing.ts, "text": parts(text, LONGEST)[0]}
            )

    async def _begin(self, address: Address, channel: str, text: str) -> Growing | None:
        """What has begun to grow; None while Slack takes no more of that."""
        if self._native and address.thread:
            if not self._api.free("chat.startStream"):
                return None
            shown = harmless(text)
            body = {
                "channel": channel,
                "thread_ts": address.thread,
                "recipient_team_id": address.account,
                "recipient_user_id": address.talker,
                "markdown_text": shown[:LONGEST_STREAM],
            }
            try:
                answer = await self._api.call("chat.startStream", body)
                return Growing(channel, str(answer["ts"]), True, shown[:LONGEST_STREAM], _now())
            except (Refused, Unauthorized) as exc:
                # No try of another kind will be better in this workspace.
                self._native = False
                log.info("answers grow by edits: %s", exc)
        if not self._api.free("chat.postMessage", channel):
            return None
        post: dict[str, Any] = {
            "channel": channel,
            "text": parts(text, LONGEST)[0],
            "thread_ts": address.thread or None,
        }
        answer = await self._api.call("chat.postMessage", post | {"unfurl_links": False, "unfurl_media": False})
        return Growing(str(answer.get("channel") or channel), str(answer["ts"]), False, text, _now())

    async def _append(self, growing: Growing, text: str) -> None:
        new = text[len(growing.text) : LONGEST_STREAM]
        if len(new) < LEAST_APPEND or not text.startswith(growing.text) or not self._api.free("chat.appendStream"):
            return
        body = {"channel": growing.channel, "ts": growing.ts, "markdown_text": new}
        try:
            await self._api.call("chat.appendStream", body)
        except Refused as exc:
            # It has expired; what there is becomes an ordinary message.
            log.info("a stream goes on by edits: %s", exc)
            growing.native = False
        else:
            growing.text += new

    async def finish(self, growing: Growing, text: str, blocks: list[dict[str, Any]] | None) -> bool:
        """End a stream of Slack's with the whole of `text`; False if it has to be put into the message by an edit.

        Raises as Api.call.
        """
        if not growing.native:
            return False
        text = harmless(text)
        whole = text.startswith(growing.text) and len(text) <= LONGEST_STREAM
        rest = text[len(growing.text) :] if whole else ""
        body = {"channel": growing.channel, "ts": growing.ts, "markdown_text": rest or None}
        try:
            await self._api.call("chat.stopStream", body | {"blocks": blocks if whole else None})
        except Refused as exc:
            log.info("a stream ends by an edit: %s", exc)
            whole = False
        growing.native = False
        return whole


def _now() -> float:
    return asyncio.get_running_loop().time()
