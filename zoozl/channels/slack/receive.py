"""What came from Slack, by HTTP or by Socket Mode, becomes events; it is done when they are durable."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine
from typing import Any

from zoozl.channels.access import Access
from zoozl.channels.loop_breaker import BotLoops
from zoozl.channels.slack.api import Api, Refused
from zoozl.channels.slack.decode import Challenge, Edited, Nothing, Opened, Said, decode, mentions, readable
from zoozl.channels.slack.files import Files
from zoozl.channels.slack.interact import Commanded, Submitted, Tapped, decode_interaction
from zoozl.channels.slack.options import Options
from zoozl.channels.slack.places import ASIDE, Places, may_respond
from zoozl.channels.slack.view import Origin, answered, modal
from zoozl.chatbot.core import Chatbot
from zoozl.chatbot.identity import Identity
from zoozl.chatbot.message import Address, Event, Message, MessagePart
from zoozl.chatbot.question import Answer, Kind
from zoozl.errors import DeliveryError

log = logging.getLogger(__name__)

BY_THREAD = frozenset({"thread", "user_in_thread"})
MOST_TASKS = 256
CLOSE_TIMEOUT = 2.0


class Receiver:
    """Its methods come back when what they were given may be acknowledged.

    They raise Malformed; and Overloaded, StoreError or NotYet when Slack has to deliver it again.
    """

    def __init__(self, name: str, options: Options, bot: Chatbot, api: Api, places: Places) -> None:
        self._name = name
        self._options = options
        self._bot = bot
        self._api = api
        self._places = places
        self._files = Files(api, options.max_file_bytes, options.file_types)
        self._access = Access(options)
        self._loops = BotLoops()
        self._tasks: set[asyncio.Task[None]] = set()

    def _admitted(self, address: Address, *, asked: bool = True) -> Identity | None:
        """Who speaks there, None for somebody who may not; that one is told so if the bot was `asked`."""
        names = (address.talker,)
        if self._access.admits(names, (address.room,) if address.room else None):
            return Identity(address.talker, {"team": address.account}, self._access.roles(names))
        log.info(
            "[%s] user %s may not talk%s", self._name, address.talker, f" in {address.room}" if address.room else ""
        )
        words = self._access.refusal(address.talker, time.monotonic()) if asked else ""
        if words:
            self._bot.tell(address, words)
        return None

    async def event(self, payload: Any, *, last_try: bool = False) -> str:
        """An envelope of the Events API; the text to answer with, which is "" but for a challenge."""
        happened = decode(payload)
        if isinstance(happened, Challenge):
            return happened.text
        if isinstance(happened, Nothing):
            level = logging.WARNING if "app_rate_limited" in happened.why else logging.DEBUG
            log.log(level, "passed over: %s", happened.why)
        elif isinstance(happened, Edited):
            self._edited(happened)
        elif isinstance(happened, Opened):
            self._places.note_direct(happened.user, happened.channel)
            address = Address(self._name, happened.team, "", happened.thread, happened.user)
            keys = (f"{self._name}:{happened.team}:{happened.event_id}",)
            identity = self._admitted(address, asked=False)
            if identity is not None:
                await self._bot.receive(Event(address, Message(), keys, "connect", identity)).acknowledged()
        else:
            await self._said(happened, last_try)
        return ""

    def _edited(self, edited: Edited) -> None:
        me = self._api.me.user if self._api.me is not None else edited.me
        text = readable(edited.text, "" if edited.channel.startswith("D") else me)
        self._bot.edit(Address(self._name, edited.team, talker=edited.user), edited.ts, text)

    async def _said(self, said: Said, last_try: bool) -> None:
        me = self._api.me.user if self._api.me is not None else said.me
        if self._by_bot(said, me):
            log.debug("passed over: a message of a bot")
            return
        asked = True
        if said.direct:
            address = Address(self._name, said.team, "", said.thread, said.user)
            self._places.note_direct(said.user, said.channel)
        else:
            thread = said.thread or (said.ts if self._options.reply_in_thread else "")
            address = Address(self._name, said.team, said.channel, thread, said.user)
            asked = said.mention or mentions(said.text, me)
            if not asked and not await self._follows(said, address):
                return
        identity = self._admitted(address, asked=asked)
        if identity is None:
            return
        if said.bot and self._loops.is_open(address, time.monotonic()):
            log.warning("bot %s is not answered any more for a while: that is a loop", address.talker)
            return
        if address.room:
            self._places.note_thread(address)
        parts: list[MessagePart] = []
        missing: list[str] = []
        if said.files:
            parts, missing = await self._files.parts(said.files, last_try=last_try)
        text = readable(said.text, "" if said.direct else me)
        message = Message([MessagePart(text), *parts] if parts else text, said.user, float(said.ts), said.ts)
        # app_mention and message are two events about one message.
        prefix = f"{self._name}:{said.team}"
        keys = (f"{prefix}:{said.event_id}", f"{prefix}:{said.channel}:{said.ts}")
        fresh = await self._bot.receive(Event(address, message, keys, identity=identity)).acknowledged()
        if fresh and said.bot:
            # Not before: two events about one message are one.
            self._loops.count(address, time.monotonic())
        if fresh and missing:
            self._bot.tell(address, "\n".join(missing))

    def _by_bot(self, said: Said, me: str) -> bool:
        """Whether a bot wrote it, this one included, and none that is listened to."""
        own = self._api.me
        if said.user == me or (own is not None and said.bot == own.bot):
            return True
        # Without knowing oneself, nobody can be told from oneself.
        return bool(said.bot) and (own is None or said.bot not in self._options.allow_bots)

    async def _follows(self, said: Said, address: Address) -> bool:
        """Whether it is in a thread that the bot is in."""
        if not said.thread or not self._options.follow_threads:
            return False
        if self._places.in_thread(address):
            return True
        scope = self._options.scopes.get(address.room) or self._options.scope or "thread"
        # Another scope has one conversation for many threads, and the bot is not in all of them.
        return scope in BY_THREAD and await self._bot.knows(address)

    async def command(self, given: Commanded) -> None:
        """A slash command: the talker's own conversation, answered where it was given, seen by the talker only."""
        own = self._places.direct(given.user) == given.channel
        address = Address(self._name, given.team, "", "" if own else ASIDE + given.channel, given.user)
        self._note_url(address, given.response_url)
        identity = self._admitted(address)
        if identity is None:
            return
        named = given.command.lower() == self._options.command
        text = given.text.strip() if named else f"{given.command} {given.text}".strip()
        keys = (f"{self._name}:{given.team}:command:{given.trigger}",)
        event = Event(address, Message(text, given.user), keys, identity=identity)
        await self._bot.receive(event).acknowledged()

    def _note_url(self, address: Address, url: str) -> None:
        if url and may_respond(url, self._api.base):
            self._places.note_url(address, url, time.monotonic())
        elif url:
            log.warning("a response_url that is not Slack's is not used")

    async def interaction(self, payload: Any) -> dict[str, Any] | None:
        """A button or a modal; what to answer with, if anything."""
        happened = decode_interaction(payload)
        if isinstance(happened, Tapped):
            await self._tapped(happened)
        elif isinstance(happened, Submitted):
            return await self._submitted(happened)
        else:
            log.debug("passed over: %s", happened.why)
        return None

    async def _tapped(self, tapped: Tapped) -> None:
        address = self._address_of(tapped)
        if tapped.ephemeral:
            self._note_url(address, tapped.response_url)
        identity = self._admitted(address)
        if identity is None:
            return
        theirs = tapped.asker in ("", tapped.user)
        if tapped.opens_form and theirs and await self._form(tapped, address):
            return
        answer = Answer(tapped.question, tapped.value)
        keys = (f"{self._name}:{tapped.team}:action:{tapped.trigger}",)
        event = Event(address, Message(tapped.label, tapped.user), keys, identity=identity, answer=answer)
        fresh = await self._bot.receive(event).acknowledged()
        if fresh and theirs and not tapped.ephemeral:
            self._in_background(self._disable(tapped.channel, tapped.ts, tapped.blocks, tapped.label))

    def _address_of(self, tapped: Tapped) -> Address:
        if tapped.ephemeral:
            return Address(self._name, tapped.team, "", ASIDE + tapped.channel, tapped.user)
        room = "" if tapped.channel.startswith("D") else tapped.channel
        if not room:
            self._places.note_direct(tapped.user, tapped.channel)
        return Address(self._name, tapped.team, room, tapped.thread, tapped.user)

    async def _form(self, tapped: Tapped, address: Address) -> bool:
        """Open the modal of a form, which must be done within 3 s; False if its question is not open any more."""
        dialog = await self._bot.root.store.dialog_of(tapped.question)
        question = dialog.question if dialog is not None else None
        if question is None or question.kind is not Kind.FORM:
            return False
        ts = "" if tapped.ephemeral else tapped.ts
        origin = Origin(question.id, address.room, address.thread, tapped.channel, ts)
        view = modal(question, origin)
        self._in_background(self._call("views.open", {"trigger_id": tapped.trigger, "view": view}))
        return True

    async def _submitted(self, sent: Submitted) -> dict[str, Any] | None:
        from zoozl.chatbot.asking import check_field

        origin = sent.origin
        dialog = await self._bot.root.store.dialog_of(origin.question)
        question = dialog.question if dialog is not None else None
        errors = {}
        for field in question.fields if question is not None else ():
            try:
                check_field(field, sent.values.get(field.name, ""))
            except ValueError as exc:
                errors[field.name] = str(exc)
        if errors:
            return {"response_action": "errors", "errors": errors}
        address = Address(self._name, sent.team, origin.room, origin.thread, sent.user)
        identity = self._admitted(address)
        if identity is None:
            return None
        keys = (f"{self._name}:{sent.team}:view:{sent.view}",)
        answer = Answer(origin.question, sent.values)
        event = Event(address, Message("", sent.user), keys, identity=identity, answer=answer)
        fresh = await self._bot.receive(event).acknowledged()
        if fresh and question is not None and origin.ts:
            blocks = [{"type": "section", "text": {"type": "plain_text", "text": question.prompt[:3000] or "…"}}]
            self._in_background(self._disable(origin.channel, origin.ts, blocks, "", sent=True))
        return None

    async def _disable(self, channel: str, ts: str, blocks: Any, label: str, *, sent: bool = False) -> None:
        """Take the buttons of a message away: it was answered."""
        body = {"channel": channel, "ts": ts, "text": label or "✅", "blocks": answered(blocks, label, opened=sent)}
        await self._call("chat.update", body)

    async def _call(self, method: str, body: dict[str, Any]) -> None:
        try:
            await self._api.call(method, body)
        except (DeliveryError, Refused) as exc:
            log.warning("%s", exc)

    def _in_background(self, doing: Coroutine[Any, Any, None]) -> None:
        if len(self._tasks) >= MOST_TASKS:
            doing.close()
            return
        task = asyncio.create_task(doing)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Let what is under way end."""
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=CLOSE_TIMEOUT)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)
        await self._files.close()
