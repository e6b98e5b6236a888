"""The Mattermost channel: listens by the websocket, catches up on what it missed, and answers."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import TypeVar

from aiohttp import web

from zoozl.backoff import Backoff
from zoozl.channels.access import Access
from zoozl.channels.loop_breaker import BotLoops
from zoozl.channels.mattermost import decode, taking, verify
from zoozl.channels.mattermost.api import Api, BadToken, Rejected
from zoozl.channels.mattermost.callbacks import Callbacks
from zoozl.channels.mattermost.catch_up import OVERLAP, Mark, missed
from zoozl.channels.mattermost.decode import Frame, Post
from zoozl.channels.mattermost.directory import Directory, Room
from zoozl.channels.mattermost.intake import Intake
from zoozl.channels.mattermost.link import PATIENCE, Link, Lost
from zoozl.channels.mattermost.options import Options
from zoozl.channels.mattermost.speaking import HOOK, Speaker
from zoozl.channels.mattermost.taking import Me
from zoozl.chatbot.core import Chatbot
from zoozl.chatbot.identity import Identity
from zoozl.chatbot.message import Address, Event, Message, MessagePart
from zoozl.doctor import Finding
from zoozl.errors import DeliveryError, Overloaded, StoreError, Undeliverable

__all__ = ["Channel", "Options"]

log = logging.getLogger(__name__)

T = TypeVar("T")

# Seconds between two notes of how far posts were taken.
KEEP = 5.0
# Seconds that a reply waits for the first connection before it is tried again later.
FIRST_CONNECTION = 20.0
# Live posts that may come while those that were missed are fetched.
MOST_HELD = 10_000
# Seconds between two tries of what cannot be taken now.
AGAIN, LONGEST_AGAIN = 0.05, 5.0
LEFT_OUT = "(I leave out {}: together the files have more than {} MB.)"


class Channel:
    """Direct messages are answered, and in rooms what mentions the bot or stands in a thread that it knows."""

    def __init__(self, options: Options, bot: Chatbot, name: str = "mattermost") -> None:
        assert options.url is not None
        assert options.token is not None
        self.name = name
        self.options = options
        self.me: Me | None = None
        self.trouble = "not connected yet"
        """Why nothing comes from there at the moment; "" while it does."""
        self.shows = ("choices", "forms") if options.callback_url is not None else ()
        self._bot = bot
        self._token = options.token.get_secret_value()
        self.key = verify.key_of(self._token)
        self._access = Access(options)
        self._loops = BotLoops()
        self._intake = Intake(self._take)
        self._mark = Mark(bot.root.store, name)
        self._backoff = Backoff(options.reconnect_delay)
        self._api: Api | None = None
        self._directory: Directory | None = None
        self._link: Link | None = None
        self._speaker: Speaker | None = None
        self._ready = asyncio.Event()
        self._behind = True
        self._since = 0
        self._held: list[Post] = []
        self._catching: asyncio.Task[None] | None = None
        self._bad_token = False

    @classmethod
    async def check(cls, options: Options) -> list[Finding]:
        """See zoozl.doctor.Checked."""
        from zoozl.channels.mattermost.check import check

        return await check(options)

    def routes(self) -> list[web.AbstractRouteDef]:
        """Where clicks, forms and commands arrive."""
        return list(Callbacks(self).routes())

    @property
    def api(self) -> Api:
        """The REST API; made when it is first asked for, on the loop."""
        if self._api is None:
            self._api = Api(str(self.options.url), self._token)
        return self._api

    @property
    def directory(self) -> Directory:
        """Who is who."""
        if self._directory is None:
            self._directory = Directory(self.api)
        return self._directory

    # Listening

    async def run(self) -> None:
        """Stay connected until cancelled; ends by itself only if the token is not accepted."""
        self._link = Link(self.api.session, self.api.url, self._token, self.options.heartbeat)
        keeping = asyncio.create_task(self._keep_mark())
        try:
            while not self._bad_token:
                await self._connect()
                if not self._bad_token:
                    await asyncio.sleep(self._backoff.next())
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)
            await self._intake.close()

    async def _connect(self) -> None:
        """One connection, from its beginning to its end."""
        assert self._link is not None
        try:
            await self._listen(self._link)
        except BadToken as exc:
            self._bad_token = True
            self.trouble = "the token is not accepted"
            log.error("[%s] token is not accepted, nothing comes from there until it is changed: %s", self.name, exc)
        except Lost as exc:
            if exc.missed:
                self._fall_behind()
            self.trouble = f"the connection is lost: {exc}"
            log.warning("[%s] %s", self.name, self.trouble)
        except (DeliveryError, StoreError, decode.DecodeError, TimeoutError) as exc:
            self._link.forget()
            self.trouble = f"it cannot be connected to: {exc or type(exc).__name__}"
            log.warning("[%s] %s", self.name, self.trouble)
        finally:
            if self._catching is not None:
                self._catching.cancel()
                await asyncio.gather(self._catching, return_exceptions=True)
                self._catching = None
            await self._link.close()

    async def _listen(self, link: Link) -> None:
        """Raises Lost, DeliveryError, StoreError, TimeoutError."""
        if self.me is None or not link.resumes:
            await self._introduce()
        resumed = link.resumes
        await link.open()
        async with asyncio.timeout(PATIENCE) as limit:
            while True:
                frame = await self._read(link, fresh=limit.when() is not None)
                if frame.event == "hello":
                    # Anew: whatever came since the last connection is not told of.
                    self._works(limit)
                    self._fall_behind()
                    self._catch_up()
                elif resumed and limit.when() is not None:
                    self._works(limit)
                    if self._behind:
                        self._catch_up()
                self._hear(frame)
                await self._intake.has_room()

    async def _read(self, link: Link, *, fresh: bool) -> Frame:
        try:
            return await link.read()
        except Lost:
            if fresh:
                # It ended before it had said anything: it may be the token, so begin with who the bot is.
                link.forget()
                self._fall_behind()
            raise

    def _works(self, limit: asyncio.Timeout) -> None:
        limit.reschedule(None)
        self._backoff.reset()
        self.trouble = ""

    async def _introduce(self) -> None:
        """Who the bot is there; the first time also how far it had come."""
        raw = await self.api.me()
        if not (isinstance(raw, dict) and decode.ID.fullmatch(str(raw.get("id")))):
            raise DeliveryError("the site does not say who the bot is: is `url` that of Mattermost?")
        names = [str(raw.get("username") or ""), (self.options.botname or "").lstrip("@")]
        self.me = Me(raw["id"], tuple(dict.fromkeys(name for name in names if name)))
        if self._speaker is not None:
            return
        prefix = await self._mark.name(secrets.token_hex(6))
        base = f"{self.options.callback_url}{self.options.path.rstrip('/')}" if self.options.callback_url else ""
        self._speaker = Speaker(self.api, self.me, self.directory, f"{prefix}-", self.key, base)
        # Before the first start nothing was missed.
        self._since = await self._mark.load(self.me.id) or self.api.server_time or int(time.time() * 1000)
        self._intake.newest = self._since

    def _fall_behind(self) -> None:
        if not self._behind:
            self._behind, self._since = True, self._intake.taken

    def _catch_up(self) -> None:
        if self._catching is not None:
            self._catching.cancel()
        self._catching = asyncio.create_task(self._fetch_missed())

    async def _fetch_missed(self) -> None:
        assert self.me is not None
        assert self._link is not None
        assert self._speaker is not None
        since = max(self._since - OVERLAP, self.api.server_time - int(self.options.backfill * 1000))
        number = 0
        try:
            async for raw, posts in missed(self.api, max(since, 0)):
                room = self.directory.learn(raw)
                for post in posts:
                    post.room_type, post.room_name = room.type, room.name
                    number += self._put(post)
                    await self._intake.has_room()
        except DeliveryError as exc:
            log.warning("[%s] what was missed cannot be fetched: %s", self.name, exc)
            self._link.forget()
            await self._link.close()
            return
        if number:
            log.info("[%s] looked at %d posts made while nobody listened", self.name, number)
        # No await from here on: nothing comes between those that were held and the next one.
        self._behind = False
        held, self._held = self._held, []
        for post in held:
            self._put(post)
        self._ready.set()

    def _hear(self, frame: Frame) -> None:
        """One event. Raises Lost when too many come while older ones are fetched."""
        try:
            if frame.event == "posted":
                self._posted(decode.posted(frame.data))
            elif frame.event in ("post_edited", "post_deleted"):
                self._changed(frame)
            elif frame.event == "user_updated" and isinstance(user := frame.data.get("user"), dict):
                self.directory.changed(str(user.get("id")))
            elif frame.error:
                log.debug("[%s] a request failed: %s", self.name, frame.error)
        except decode.DecodeError as exc:
            log.warning("[%s] a %s event is passed over: %s", self.name, frame.event, exc)

    def _posted(self, post: Post) -> None:
        if not self._behind:
            self._put(post)
        elif len(self._held) < MOST_HELD:
            self._held.append(post)
        else:
            self._held.clear()
            raise Lost("too much comes while what was missed is fetched", missed=True)

    def _changed(self, frame: Frame) -> None:
        post = decode.posted(frame.data)
        post.deleted = post.deleted or frame.event == "post_deleted"
        for held in self._held:
            if held.id == post.id:
                held.text, held.deleted = post.text, post.deleted
                return
        if self._intake.changed(post) or self.me is None or post.deleted:
            return
        self._bot.edit(Address(self.name, talker=post.user_id), post.id, taking.words(post.text, self.me))

    def _put(self, post: Post) -> bool:
        assert self.me is not None
        if post.user_id == self.me.id and self._speaker is not None:
            self._speaker.heard(post)
        return self._intake.put(post)

    async def _keep_mark(self) -> None:
        """Write down now and then how far posts were taken."""
        while True:
            await asyncio.sleep(KEEP)
            if self.me is None:
                continue
            try:
                await self._mark.keep(self.me.id, self._since if self._behind else self._intake.taken)
            except StoreError as exc:
                # The next start looks at more posts than it has to.
                log.debug("how far posts were taken is not kept: %s", exc)

    # Taking

    async def _take(self, post: Post) -> None:
        """Give a post to the bot if it is for it; comes back when it is durable."""
        me = self.me
        assert me is not None
        if not taking.is_said(post, me, bots=self.options.answer_bots):
            return
        if not post.room_type:
            room = await self._insist(partial(self.directory.room, post.channel_id))
            post.room_type, post.room_name = (room.type, room.name) if room is not None else ("", "")
        if post.room_type == "D":
            self.directory.met(post.user_id, post.channel_id)
            address = Address(self.name, "", "", post.root_id, post.user_id)
        else:
            thread = post.root_id or (post.id if self.options.reply_in_thread else "")
            address = Address(self.name, "", post.channel_id, thread, post.user_id)
            if not taking.mentions(post, me) and not await self._knows(address, post):
                return
        place = None if post.room_type == "D" else Room(post.channel_id, post.room_name, post.room_type)
        identity = await self._insist(partial(self.admitted, post.user_id, place))
        if identity is None:
            if words := self.refusal(post.user_id):
                # Directly: what is said in a thread would make the bot know it.
                self._bot.tell(Address(self.name, talker=post.user_id), words)
            return
        # By when it was made: what comes at once after an outage is no loop.
        if post.from_bot and self._loops.is_open(address, post.created / 1000):
            log.warning("[%s] bot %s is not answered any more for a while: that is a loop", self.name, post.user_id)
            return
        files = await self._files(post, address)
        parts = [MessagePart(taking.words(post.text, me)), *files]
        message = Message(parts, str(identity.claims.get("username", "")), post.created / 1000, post.id)
        event = Event(address, message, (f"{self.name}:{post.id}",), "message", identity)
        fresh = await self._hear_at_last(event)
        if fresh and post.from_bot:
            # Not before: a post is read again after a restart, and is known then.
            self._loops.count(address, post.created / 1000)

    async def _hear_at_last(self, event: Event) -> bool:
        """Nobody delivers it again: it waits here, and those behind it. True if it is new."""
        again = Backoff(AGAIN, LONGEST_AGAIN)
        while True:
            try:
                return await self.hear(event)
            except (Overloaded, StoreError) as exc:
                await self._wait(again.next(), exc)

    async def _wait(self, delay: float, why: Exception, seconds: float = 0.0) -> None:
        log.log(logging.WARNING if delay > AGAIN else logging.DEBUG, "a post waits: %s", why)
        await asyncio.sleep(seconds or delay)

    async def _knows(self, address: Address, post: Post) -> bool:
        scope = self.options.scopes.get(address.room, self.options.scope or "thread")
        if not post.root_id or scope not in ("thread", "user_in_thread"):
            return False
        again = Backoff(AGAIN, LONGEST_AGAIN)
        while True:
            try:
                return await self._bot.knows(address)
            except StoreError:
                await asyncio.sleep(again.next())

    async def _insist(self, ask: Callable[[], Awaitable[T]]) -> T | None:
        """What the server says, however long that takes; None if it refuses."""
        again = Backoff(AGAIN, LONGEST_AGAIN)
        while True:
            try:
                return await ask()
            except Undeliverable as exc:
                log.info("[%s] %s", self.name, exc)
                return None
            except DeliveryError as exc:
                await self._wait(again.next(), exc, exc.retry_after or 0.0)

    async def _files(self, post: Post, address: Address) -> list[MessagePart]:
        """The files of a post, up to `max_file_bytes` of them; the talker is told of the others."""
        left, parts, out = self.options.max_file_bytes, [], []
        for given in post.files:
            file = given
            if file.size < 0:
                info = await self._insist(partial(self.api.file_info, file.id))
                file = decode.file(file.id, info if isinstance(info, dict) else {})
            data = None
            if file.size <= left:
                data = await self._insist(partial(self.api.download, file.id, left))
            if data:
                left -= len(data)
                parts.append(MessagePart("", data, file.media_type, file.name))
            elif data is None:
                out.append(file.name or "a file")
        if out:
            limit = self.options.max_file_bytes / (1 << 20)
            self._bot.tell(address, LEFT_OUT.format(", ".join(out), f"{limit:g}"))
        return parts

    # For Callbacks

    async def admitted(self, user_id: str, room: Room | None) -> Identity | None:
        """Who somebody is, None if he may not talk there. Raises DeliveryError."""
        person = await self.directory.person(user_id)
        if not self._access.admits(person.names, (room.id, room.name) if room is not None else None):
            log.info("[%s] user %s may not talk%s", self.name, user_id, f" in {room.id}" if room is not None else "")
            return None
        claims = {"username": person.username, **({"email": person.email} if person.email else {})}
        return Identity(user_id, claims, self._access.roles(person.names))

    def refusal(self, user_id: str) -> str:
        """What to tell somebody who may not talk; "" for nothing."""
        return self._access.refusal(user_id, time.monotonic())

    async def hear(self, event: Event) -> bool:
        """Give an event to the bot, durably; True if it is new. Raises Overloaded, StoreError."""
        return await self._bot.receive(event).acknowledged()

    # Answering

    async def send(self, address: Address, message: Message, key: str) -> None:
        """Post a reply. Raises DeliveryError, Undeliverable."""
        await (await self._connected()).say(address, message, key)

    async def _connected(self) -> Speaker:
        """Who speaks, when it is known what was said before a restart. Raises DeliveryError."""
        if self._bad_token:
            raise DeliveryError("the token is not accepted")
        try:
            async with asyncio.timeout(FIRST_CONNECTION):
                await self._ready.wait()
        except TimeoutError as exc:
            raise DeliveryError("there was no connection yet") from exc
        assert self._speaker is not None
        return self._speaker

    async def stream(self, address: Address, key: str, text: str) -> None:
        """Show an answer that grows. Raises DeliveryError."""
        await (await self._connected()).grow(address, key, text)

    async def typing(self, address: Address, on: bool) -> None:
        """Show that the bot is at work; it ends by itself. Raises DeliveryError."""
        if not on or self._link is None or not self._link.is_open or address.thread.startswith(HOOK):
            return
        room = await (await self._connected()).room_of(address)
        with suppress(Lost):
            await self._link.ask("user_typing", {"channel_id": room, "parent_id": address.thread})

    async def direct(self, address: Address) -> Address:
        """Where its talker can be spoken to alone."""
        return Address(self.name, talker=address.talker)

    async def history(self, address: Address, limit: int) -> list[Message]:
        """The latest messages of a thread or a room, oldest first, also those not said to the bot.

        Raises DeliveryError.
        """
        speaker = await self._connected()
        assert self.me is not None
        if address.thread and not address.thread.startswith(HOOK):
            raw = await self.api.thread(address.thread)
        else:
            raw = await self.api.latest_posts(await speaker.room_of(address), limit)
        try:
            posts = [p for p in decode.posts(raw) if p.type in taking.SAID and not p.deleted][-limit:]
        except decode.DecodeError as exc:
            raise Rejected(f"the history cannot be read: {exc}", 200) from exc
        found = []
        for post in posts:
            mine = post.user_id == self.me.id
            person = await self.directory.person(post.user_id)
            found.append(Message(post.text, person.username, post.created / 1000, post.id, from_bot=mine))
        return found

    async def close(self) -> None:
        """Let go of everything."""
        if self._link is not None:
            await self._link.close()
        if self._api is not None:
            await self._api.close()
