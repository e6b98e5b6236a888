"""Replies on their way out: in order within a conversation, after they are durable, retried."""

from __future__ import annotations

import asyncio
import inspect
import itertools
import logging
import random
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any

from zoozl.chatbot.message import Address, Message, scope_key
from zoozl.chatbot.ports import Done, Reply, Sender, Store
from zoozl.chatbot.trace import turn_id
from zoozl.errors import Away, DeliveryError, StoreError, Undeliverable
from zoozl.failpoints import hit

log = logging.getLogger(__name__)

FIRST_DELAY = 1.0
# A platform's wish beyond this is taken for a mistake.
LONGEST_WISH = 3600.0
LONGEST_DELAY = 300.0
MOST_ATTEMPTS = 20
CLOSE_TIMEOUT = 2.0
SHOW_TIMEOUT = 10.0
MOST_UNCONFIRMED = 1_000
JUST_NOW = 60.0


class Outbox:
    """Every reply goes through here, and none overtakes another of its lane.

    A turn's first try is made where its lane goes on, so that a slow platform slows down only the conversation that
    talks to it; what fails is retried in the background, and later replies of the lane queue behind it.
    """

    def __init__(self, store: Store, author: str = "") -> None:
        self._store = store
        self.author = author
        self.lane_of: Callable[[Address], str] = scope_key
        """Whose conversation an address means; the bot knows the scopes of its rooms."""
        self.now = time.time
        """What the bot says is said at this time, in seconds since the epoch."""
        self.senders: dict[str, Sender] = {}
        self._keeps: dict[str, Callable[[Address], bool]] = {}
        self._nowait: dict[str, Callable[[Address, Message, str], bool | None]] = {}
        self._gathering: set[str] = set()
        self.resumed: set[str] = set()
        """Channels whose talkers are sent what waits when they arrive, and not before."""
        self._arriving: dict[str, list[asyncio.Future[None]]] = {}
        """Who resumes and waits for the place of a lane."""
        # Lists: they are short, and made for nearly every message.
        self._queues: dict[str, list[tuple[Reply, Done]]] = {}
        # Ids only: the store has the rest, and there may be many of a client that does not acknowledge.
        self._unconfirmed: dict[str, deque[int]] = {}
        self.counts: Counter[tuple[str, str]] = Counter()
        """Replies by channel and outcome: "sent", "retried", "given up"."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._showing: set[asyncio.Task[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        """Bind to the running loop; before that nothing can be told."""
        self._loop = asyncio.get_running_loop()

    def connect(self, senders: Mapping[str, Sender]) -> None:
        """Send through these, by the channel name of the address."""
        self.senders.update(senders)
        for name, sender in senders.items():
            if (keeps := getattr(sender, "keeps", None)) is not None:
                self._keeps[name] = keeps
            self._nowait.pop(name, None)
            if getattr(sender, "gathers", False):
                self._gathering.add(name)
            elif (nowait := getattr(sender, "send_nowait", None)) is not None:
                self._nowait[name] = nowait
            if getattr(sender, "resumes", False):
                self.resumed.add(name)

    def compose(self, message: str | Message) -> Message:
        """A plugin's words as the bot's message. Raises TypeError."""
        if isinstance(message, str):
            return Message(message, self.author, self.now(), "", True)
        if isinstance(message, Message):
            message.check()
            author = message.author or self.author
            composed = Message(message.parts, author, self._said(message), message.id, from_bot=True)
            composed.question, composed.stream, composed.envelope = message.question, message.stream, message.envelope
            return composed
        raise TypeError(f"a bot answers with a str or a Message, not with {type(message).__name__}")

    def _said(self, message: Message) -> float:
        """When a plugin's message was said: one that it has just made took the computer's time."""
        just_now = self.now is not time.time and abs(time.time() - message.timestamp) < JUST_NOW
        return self.now() if just_now else message.timestamp

    def tell(self, address: Address, message: str | Message) -> None:
        """Send something that answers nothing. From the loop or from a thread. Raises RuntimeError before `start`."""
        composed = self.compose(message)
        if self._loop is None:
            raise RuntimeError("the bot has not started yet: tell() works from the first message on")
        self._loop.call_soon_threadsafe(self._tell, address, composed)

    def _tell(self, address: Address, message: Message) -> None:
        lane = self.lane_of(address)
        number = self._store.next_number()
        reply = Reply(number, number, 0, lane, address, message, kept=self.keeps(address))
        self.deliver_soon(lane, [reply], self._store.record([reply], [message]))

    def keeps(self, address: Address) -> bool:
        """Whether a reply to this address can be delivered later, if not now."""
        keeps = self._keeps.get(address.channel)
        return keeps is None or keeps(address)

    def shows(self, address: Address, what: str) -> bool:
        """Whether a channel has something that not all have: "choices", "forms" ..., for everybody or for this one."""
        shows_to = self.sender_method(address.channel, "shows_to")
        if shows_to is not None:
            return bool(shows_to(address, what))
        return what in getattr(self.senders.get(address.channel), "shows", ())

    def typing(self, address: Address, on: bool) -> None:
        """Show that the bot is at work, or not any more, where the channel can. Nobody waits for it to arrive."""
        show = self.sender_method(address.channel, "typing")
        if show is None:
            return
        try:
            # At once, where the channel can: what is shown next must not overtake it.
            shown = show(address, on)
        except Exception as exc:
            _not_shown(address.channel, exc)
            return
        if inspect.isawaitable(shown):
            task = asyncio.ensure_future(_show(address.channel, shown))
            self._showing.add(task)
            task.add_done_callback(self._showing.discard)

    def gathers(self, channel: str) -> bool:
        """Whether a channel sends all replies of a turn together."""
        return channel in self._gathering

    def busy(self, lane: str) -> bool:
        """Whether replies of a lane are on their way."""
        return lane in self._queues

    def sender_method(self, channel: str, name: str) -> Callable[..., Any] | None:
        """An optional method of a channel: "history", "stream" ..."""
        return getattr(self.senders.get(channel), name, None)

    def deliver_soon(self, lane: str, replies: Sequence[Reply], durable: Done) -> None:
        """Send `replies` from the background once they are durable."""
        queue = self._queues.get(lane)
        if queue is not None:
            queue.extend((reply, durable) for reply in replies)
            return
        self._queues[lane] = [(reply, durable) for reply in replies]
        self._in_background(lane)

    def reserve(self, lane: str, replies: Sequence[Reply]) -> bool:
        """Take the place of `replies` in their lane: `deliver` or `withdraw` follows, when it is known how they fare.

        To be called as soon as they have their numbers: what is told meanwhile has higher ones, and must not overtake
        them. False if others are on their way there: they go in the background then, see `deliver_soon`.
        """
        if replies:
            if lane in self._queues:
                return False
            self._queues[lane] = [(reply, None) for reply in replies]
        return True

    def withdraw(self, lane: str, replies: Sequence[Reply]) -> None:
        """Give the place of `replies` up."""
        if not replies:
            return
        del self._queues[lane][: len(replies)]
        self._leave(lane)

    def deliver(self, lane: str, replies: Sequence[Reply]) -> Coroutine[Any, Any, None] | None:
        """Send `replies`, whose place is reserved, as far as nothing has to be waited for.

        What is given is to be awaited: it sends the rest, each once; what fails is tried again in the background.
        """
        if not replies:
            return None
        queue = self._queues[lane]
        for reply in replies:
            if not self._send_nowait(reply):
                return self._first_tries(lane, queue)
            queue.pop(0)
        self._leave(lane)
        return None

    def _send_nowait(self, reply: Reply) -> bool:
        send = self._nowait.get(reply.address.channel)
        if send is None:
            return False
        try:
            arrived = send(reply.address, reply.message, reply.key)
        except Exception:  # as it is with `send`, which is tried next and told about
            log.debug("reply %s could not be sent at once", reply.key, exc_info=True)
            return False
        if arrived is None:
            return False
        self._sent(reply, arrived)
        return True

    async def _first_tries(self, lane: str, queue: list[tuple[Reply, Done]]) -> None:
        try:
            while queue:
                along = self._along(queue) if self._gathering else ()
                reply, durable = queue[0]
                if not await self._try(reply, durable, along):
                    break
                del queue[: 1 + len(along)]
        except Away:
            # They are recorded; `resume` reads them again.
            queue.clear()
        finally:
            self._leave(lane)

    async def resume(self, lane: str, last: int, ready: Callable[[], None]) -> None:
        """Send what waited for a talker who has come back and has everything up to the reply with the id `last`.

        `ready()` is called when nothing can overtake what waited: until then the channel must not send.
        """
        if lane in self._queues:
            # A turn is about to answer, or somebody is at the last connection still, which ends with an error.
            await self._next_in(lane)
        queue = self._queues.setdefault(lane, [])
        ready()
        self._unconfirmed.pop(lane, None)
        try:
            waiting = await self._store.undelivered(lane)
        except BaseException:
            queue.clear()
            self._leave(lane)
            raise
        read = {reply.id for reply in waiting}
        for reply in waiting:
            if reply.id <= last:
                self._store.delivered(lane, reply.id)
        behind = [item for item in queue if item[0].id not in read]
        queue.clear()
        queue.extend((reply, None) for reply in waiting if reply.id > last)
        queue.extend(behind)
        await self._first_tries(lane, queue)

    async def _next_in(self, lane: str) -> None:
        """Wait until nobody is at the replies of a lane, and take its place then."""
        free = asyncio.get_running_loop().create_future()
        self._arriving.setdefault(lane, []).append(free)
        try:
            await free
        except asyncio.CancelledError:
            if not free.cancelled():
                self._leave(lane)
            raise

    def _leave(self, lane: str) -> None:
        """Let others have the place of a lane, and what waits there: first of all who has come back meanwhile."""
        arriving = self._arriving.pop(lane, None) if self._arriving else None
        while arriving:
            free = arriving.pop(0)
            if not free.done():
                if arriving:
                    self._arriving[lane] = arriving
                free.set_result(None)
                return
        if self._queues[lane]:
            self._in_background(lane)
        else:
            del self._queues[lane]

    def ids(self) -> set[int]:
        """The replies that are on their way."""
        waiting = [reply.id for queue in self._queues.values() for reply, _ in queue]
        return {*waiting, *(number for numbers in self._unconfirmed.values() for number in numbers)}

    def confirm(self, lane: str, last: int) -> None:
        """Every reply of the lane up to the id `last` has arrived."""
        waiting = self._unconfirmed.get(lane)
        while waiting and waiting[0] <= last:
            self._store.delivered(lane, waiting.popleft())
        if not waiting:
            self._unconfirmed.pop(lane, None)

    def _in_background(self, lane: str) -> None:
        task = asyncio.create_task(self._drain(lane))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _drain(self, lane: str) -> None:
        queue = self._queues[lane]
        try:
            if queue and queue[0][0].retry_after is not None:
                # The first try was made by the lane; a second one at once is well, unless the platform asked to wait.
                await asyncio.sleep(queue[0][0].retry_after)
            # In a busy lane there is no end of it: who has come back need not wait for that.
            while queue and lane not in self._arriving:
                reply, durable = queue[0]
                along = self._along(queue) if self._gathering else ()
                while not await self._try(reply, durable, along):
                    durable = None
                    await asyncio.sleep(self._delay(reply))
                del queue[: 1 + len(along)]
        except Away:
            # They are recorded; `resume` reads them again.
            queue.clear()
        except asyncio.CancelledError:
            # The same; the next start does.
            queue.clear()
            raise
        finally:
            self._leave(lane)

    def _delay(self, reply: Reply) -> float:
        """Seconds until the next try: what the platform asked for, else doubling with jitter."""
        if reply.retry_after is not None:
            return reply.retry_after
        backoff = min(FIRST_DELAY * 2.0 ** (reply.attempts - 1), LONGEST_DELAY)
        return backoff * random.uniform(0.5, 1.0)  # noqa: S311 - jitter needs no secret

    async def _wait(self, durable: Done) -> bool:
        try:
            if durable is not None:
                # Shielded: the turn waits for the same, and who waits here may be cancelled with a connection.
                await asyncio.shield(durable)
        except StoreError as exc:
            # Not recorded: sending it now and again after the turn is run anew would be twice.
            log.error("replies are held back, they could not be recorded: %s", exc)
            return False
        return True

    def _along(self, queue: list[tuple[Reply, Done]]) -> Sequence[Reply]:
        """The replies that go together with the first one: the others of its turn, if its channel gathers them."""
        first = queue[0][0]
        if first.address.channel not in self._gathering:
            return ()
        others = itertools.islice(queue, 1, None)
        same = itertools.takewhile(lambda item: (item[0].seq, item[0].address) == (first.seq, first.address), others)
        return [reply for reply, _ in same]

    async def _try(self, reply: Reply, durable: Done, along: Sequence[Reply] = ()) -> bool:
        """One try; True if the reply (with those that go `along`) is delivered, dead or not recorded."""
        # For the lines of the channel as well; a retry runs in a task of whoever began it. Mostly it is that turn's own
        # task, and to look costs less than to set.
        if turn_id.get() != reply.seq:
            turn_id.set(reply.seq)
        if durable is not None and not await self._wait(durable):
            return True
        sender = self.senders.get(reply.address.channel)
        reply.attempts += 1
        try:
            if sender is None:
                raise Undeliverable(f"no channel {reply.address.channel!r} is on")
            if reply.address.channel in self._gathering:
                together = [reply.message, *(other.message for other in along)]
                arrived = await self.senders[reply.address.channel].send_all(reply.address, together, reply.key)  # type: ignore[attr-defined]
            else:
                arrived = await sender.send(reply.address, reply.message, reply.key)
        except Away:
            raise
        except Undeliverable as exc:
            self._bury(reply, str(exc), along)
            return True
        except (DeliveryError, OSError) as exc:
            return self._failed(reply, exc, along)
        except Exception as exc:  # a channel's bug must not stop the lane's other replies for ever
            log.exception("channel %s failed to send reply %s", reply.address.channel, reply.key)
            return self._failed(reply, exc, along)
        self._sent(reply, arrived, along)
        return True

    def _sent(self, reply: Reply, arrived: bool | None, along: Sequence[Reply] = ()) -> None:
        hit("sent")
        self.counts[reply.address.channel, "sent"] += 1
        if log.isEnabledFor(logging.DEBUG):
            log.debug("reply %s is sent", reply.key)
        if arrived is False:
            waiting = self._unconfirmed.setdefault(reply.lane, deque())
            waiting.append(reply.id)
            if len(waiting) > MOST_UNCONFIRMED:
                # Of a client that reads and never acknowledges; it gets them again when it resumes.
                waiting.popleft()
        elif reply.kept:
            self._store.delivered(reply.lane, reply.id)
            for other in along:
                self._store.delivered(other.lane, other.id)

    def _failed(self, reply: Reply, exc: Exception, along: Sequence[Reply] = ()) -> bool:
        if reply.attempts >= MOST_ATTEMPTS:
            self._bury(reply, f"given up after {reply.attempts} tries: {exc}", along)
            return True
        wanted = exc.retry_after if isinstance(exc, DeliveryError) else None
        reply.retry_after = min(wanted, LONGEST_WISH) if wanted is not None else None
        if reply.kept:
            self._store.failed(reply, str(exc), time.time() + (reply.retry_after or FIRST_DELAY))
        self.counts[reply.address.channel, "retried"] += 1
        log.warning("reply %s is not delivered yet (try %d): %s", reply.key, reply.attempts, exc)
        return False

    def _bury(self, reply: Reply, error: str, along: Sequence[Reply] = ()) -> None:
        if reply.kept:
            for one in (reply, *along):
                self._store.dead(one, error)
        self.counts[reply.address.channel, "given up"] += 1
        log.info("reply %s cannot be delivered: %s", reply.key, error)

    async def join(self) -> None:
        """Wait until nothing is on its way."""
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    async def close(self) -> None:
        """Stop trying; what is not delivered stays recorded."""
        tasks = self._tasks | self._showing
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=CLOSE_TIMEOUT)


async def _show(channel: str, shown: Awaitable[Any]) -> None:
    try:
        async with asyncio.timeout(SHOW_TIMEOUT):
            await shown
    except Exception as exc:
        _not_shown(channel, exc)


def _not_shown(channel: str, exc: Exception) -> None:
    """Nobody waits for it: neither a platform's trouble nor a channel's bug may stop the turn."""
    if isinstance(exc, DeliveryError | OSError):
        log.debug("channel %s cannot show that the bot is at work: %s", channel, exc)
    else:
        log.error("channel %s failed to show that the bot is at work", channel, exc_info=exc)
