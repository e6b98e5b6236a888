"""What the bot says on Mattermost: each reply once, whatever breaks on the way, with files and buttons."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from zoozl.channels.mattermost import decode, encode, verify
from zoozl.channels.mattermost.api import Api, Rejected, TooLarge
from zoozl.channels.mattermost.decode import KEY, Post
from zoozl.channels.mattermost.directory import Directory
from zoozl.channels.mattermost.encode import Draft
from zoozl.channels.mattermost.taking import Me
from zoozl.chatbot.lru import LRU
from zoozl.chatbot.message import Address, Message
from zoozl.errors import DeliveryError, Undeliverable

log = logging.getLogger(__name__)

REMEMBERED = 20_000
# The thread of an answer to a slash command is where the answer goes: seen by one person, where it was given.
HOOK = "hook-"
# Seconds. Mattermost asks for no more than that.
BETWEEN_EDITS = 1.0
# Buttons of questions without a deadline; the question itself is over long before.
BUTTONS_LAST = 30 * 86_400.0
TOO_LARGE = "(The file {} is too large for this server and was left out.)"


class Speaker:
    """Posts replies. `prefix` is what the keys of this bot's posts begin with, different for every store."""

    def __init__(self, api: Api, me: Me, directory: Directory, prefix: str, key: bytes, callback: str) -> None:
        """`key` seals buttons; `callback` is the address that they lead to, "" for none."""
        self._api = api
        self._me = me
        self._directory = directory
        self._prefix = prefix
        self._key = key
        self._callback = callback
        self._said: LRU[str] = LRU(REMEMBERED)
        self._unsure: dict[str, int] = {}
        self._asked: LRU[tuple[str, str]] = LRU(REMEMBERED)
        self._growing: LRU[tuple[str, float]] = LRU(REMEMBERED)

    def heard(self, post: Post) -> None:
        """A post of the bot's own has come back: what it says has been said."""
        if post.key.startswith(self._prefix):
            self._said.put(post.key, post.id)

    async def room_of(self, address: Address) -> str:
        """The id of the channel that an address means. Raises DeliveryError."""
        return address.room or await self._directory.direct(self._me.id, address.talker)

    async def say(self, address: Address, message: Message, key: str) -> None:
        """Post a reply, in as many posts as it takes. Raises DeliveryError, Undeliverable."""
        if address.thread.startswith(HOOK) and await self._to_one(address, message):
            return
        room = await self.room_of(address)
        root = "" if address.thread.startswith(HOOK) else address.thread
        found = encode.drafts(message, buttons=bool(self._callback))
        if found and message.stream and (growing := self._growing.get(message.stream)) is not None:
            found = await self._finish(growing[0], found, f"{self._prefix}{key}-stream")
        for number, draft in enumerate(found):
            await self._post(room, root, address, draft, f"{self._prefix}{key}-{number}")
        for question in message.closes:
            await self._take_buttons(question)

    async def _post(self, room: str, root: str, address: Address, draft: Draft, key: str) -> None:
        if self._said.get(key) is None and key in self._unsure:
            # The answer to the last try was lost, and it may be there.
            for post in decode.posts(await self._api.posts_since(room, self._unsure[key])):
                if post.user_id == self._me.id:
                    self.heard(post)
        if self._said.get(key) is not None:
            self._unsure.pop(key, None)
            return
        props: dict[str, Any] = {KEY: key, "disable_group_highlight": True}
        if draft.question is not None:
            props["attachments"] = self._attachments(address, room, draft)
        text, ids = await self._upload(room, draft)
        body = {"channel_id": room, "message": text, "root_id": root, "file_ids": ids, "props": props}
        # A minute earlier: the time is that of an answer which may have come a while ago.
        before = self._api.server_time - 60_000
        try:
            # The server takes a second one with the same number, within half a minute, for the first.
            made = await self._api.create_post({**body, "pending_post_id": f"{self._me.id}:{key}"})
        except Undeliverable:
            raise
        except DeliveryError as exc:
            if exc.retry_after is None:
                self._unsure.setdefault(key, before)
            raise
        self._unsure.pop(key, None)
        post_id = str(made.get("id") or "") if isinstance(made, dict) else ""
        self._said.put(key, post_id or "?")
        if draft.question is not None and post_id:
            self._asked.put(draft.question.id, (post_id, key))

    async def _upload(self, room: str, draft: Draft) -> tuple[str, list[str]]:
        text, ids = draft.text, []
        for part in draft.files:
            name = part.filename or "file"
            try:
                ids.append(await self._api.upload(room, name, part.binary, part.media_type))
            except TooLarge:
                text = f"{text}\n\n{TOO_LARGE.format(name)}".strip()
        return text, ids

    def _attachments(self, address: Address, room: str, draft: Draft) -> list[dict[str, Any]]:
        assert draft.question is not None
        expires = draft.question.deadline or time.time() + BUTTONS_LAST
        place = {"c": room, "r": address.room, "d": address.thread}

        def seal(value: Mapping[str, Any]) -> str:
            return verify.seal(self._key, "action", value, expires)

        return encode.attachments(draft.question, f"{self._callback}/action", place, seal)

    async def _to_one(self, address: Address, message: Message) -> bool:
        """Answer a slash command where it was given; False if that is no longer possible, or there are files."""
        found = encode.drafts(message, buttons=bool(self._callback))
        if message.files:
            return False
        for draft in found:
            shown = self._attachments(address, "", draft) if draft.question is not None else []
            try:
                await self._api.respond(address.thread.removeprefix(HOOK), encode.to_one(draft.text, shown))
            except Rejected as exc:
                # Half an hour is over, or it was used five times.
                log.info("an answer to a command goes to its talker directly: %s", exc)
                return False
        return True

    async def grow(self, address: Address, key: str, text: str) -> None:
        """Show an answer that grows, by editing one post. Raises DeliveryError."""
        text = encode.harmless(text)
        if not text.strip() or len(text) > encode.LONGEST_POST or address.thread.startswith(HOOK):
            return
        if not self._api.free():
            return
        now = asyncio.get_running_loop().time()
        growing = self._growing.get(key)
        if growing is None:
            room = await self.room_of(address)
            props = {KEY: f"{self._prefix}{key}-grows", "disable_group_highlight": True}
            body = {"channel_id": room, "message": text, "root_id": address.thread, "props": props}
            made = await self._api.create_post(body)
            if isinstance(made, dict) and decode.ID.fullmatch(str(made.get("id"))):
                self._growing.put(key, (made["id"], now))
        elif now - growing[1] >= BETWEEN_EDITS:
            self._growing.put(key, (growing[0], now))
            await self._api.patch_post(growing[0], {"message": text})

    async def _finish(self, post_id: str, found: list[Draft], key: str) -> list[Draft]:
        """Put the whole answer in the place of what has grown; the drafts that are still to be posted."""
        first, *others = found
        if first.question is not None or not first.text:
            return found
        if self._said.get(key) is None:
            try:
                await self._api.patch_post(post_id, {"message": first.text})
            except Rejected:
                return found  # somebody has deleted it
            self._said.put(key, post_id)
        return [replace(first, text=""), *others] if first.files else others

    async def _take_buttons(self, question: str) -> None:
        """A question is over: its buttons go, as far as it is known where they are."""
        asked = self._asked.get(question)
        if asked is None:
            return
        try:
            await self._api.patch_post(asked[0], {"props": {KEY: asked[1]}})
        except DeliveryError as exc:
            # They do no harm: who clicks is told that the question is over.
            log.info("the buttons of a question stay: %s", exc)
