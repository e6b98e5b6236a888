"""Chatbot: an event in, replies out; what channels and the server call."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from zoozl.chatbot.context import InterfaceRoot
from zoozl.chatbot.interface import HELP
from zoozl.chatbot.lanes import Lanes
from zoozl.chatbot.message import Address, Event, Message, scope_key
from zoozl.chatbot.ports import Outcome, Receipt, Reply, Sender
from zoozl.chatbot.router import Router
from zoozl.chatbot.turn import APOLOGY, MOST_REPLIES, Abandoned, Ending, Report, Services, Turn, Watch, committed
from zoozl.chatbot.workers import Workers
from zoozl.errors import EmbeddingError, Overloaded, StoreError

log = logging.getLogger(__name__)

# An event that was at the head of its lane at so many crashes runs alone after the next one, and is given up
# after three crashes while it was alone: others may be to blame for the first two, nobody else for these.
SUSPECT_AFTER = 1
DEAD_AFTER = 4


class Chatbot:
    """The core: lanes, router, plugins and outbox around one store.

    Made from a loaded InterfaceRoot; `start` and `drain` belong to the event loop it runs on.
    """

    def __init__(
        self,
        root: InterfaceRoot,
        *,
        senders: Mapping[str, Sender] | None = None,
        fallback: str = HELP,
        threshold: float | None = None,
        turn_timeout: float = 60.0,
        worker_threads: int = 8,
        lane_depth: int = 100,
    ) -> None:
        """`senders` by channel name; `turn_timeout` in seconds. Raises ConfigError for an unknown `fallback`."""
        self.root = root
        self.router = Router(root.plugins, root.embedding, fallback=fallback, threshold=threshold)
        self._store = root.store
        self._outbox = root.outbox
        self._outbox.connect(senders or {})
        self._workers = Workers(worker_threads)
        self._observers: list[Callable[[Report], None]] = []
        self._turn_timeout = turn_timeout
        self._lanes = Lanes(self._work, depth=lane_depth)
        self._running: dict[str, Turn] = {}
        self._open = False
        self._gate = asyncio.Event()
        self._gate.set()
        self._alone: asyncio.Task[None] | None = None
        self._warming: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to take events; alias vectors are computed in the background. Once is enough."""
        if self._warming is not None:
            return
        self._outbox.start()
        self._services = Services(
            store=self._store,
            router=self.router,
            outbox=self._outbox,
            workers=self._workers,
            watch=Watch(),
            timeout=self._turn_timeout,
            observers=self._observers,
            loop=asyncio.get_running_loop(),
            go_on_without=lambda turn: self._lanes.go_on_without(turn.receipt.lane, self._finish(turn)),
        )
        await self._recover()
        self._open = True
        self._warming = asyncio.create_task(self._warm_up())

    async def _recover(self) -> None:
        """Take up what a crash left: replies that were recorded, events that were accepted."""
        for reply in await self._store.undelivered():
            self._outbox.deliver_soon(reply.lane, [reply], None)
        suspects, seen = [], set()
        for receipt in await self._store.unfinished():
            # Only the first of a lane can have been running when the process died.
            receipt.recovered = receipt.lane not in seen
            seen.add(receipt.lane)
            if receipt.recovered and receipt.attempts >= SUSPECT_AFTER:
                suspects.append(receipt)
            else:
                self._lanes.submit(receipt)
        if seen:
            log.info("%d conversations go on where they were cut", len(seen))
        if suspects:
            self._gate.clear()
            self._lanes.seqs.update(receipt.seq for receipt in suspects)
            self._alone = asyncio.create_task(self._one_by_one(suspects))

    async def take_up(self) -> None:
        """Go on with events and replies that were put back into the store, as with dead letters tried again."""
        # Before and after reading: what ended meanwhile is in the first look only, what came in the second.
        replies = self._outbox.ids()
        for reply in await self._store.undelivered():
            if reply.id not in replies and reply.id not in self._outbox.ids():
                self._outbox.deliver_soon(reply.lane, [reply], None)
        events = set(self._lanes.seqs)
        for receipt in await self._store.unfinished():
            if receipt.seq not in events and receipt.seq not in self._lanes.seqs:
                self._lanes.submit(receipt)

    async def _one_by_one(self, suspects: list[Receipt]) -> None:
        """Run events that were there at two crashes or more while nothing else runs, so that only they are to blame."""
        try:
            for receipt in suspects:
                if receipt.attempts >= DEAD_AFTER:
                    await self._bury(receipt)
                else:
                    await self._begin(receipt)
        except StoreError as exc:
            log.error("what is left of the last crash waits for the next start: %s", exc)
        finally:
            self._lanes.seqs.difference_update(receipt.seq for receipt in suspects)
            self._gate.set()

    async def _bury(self, receipt: Receipt) -> None:
        error = f"the process died {receipt.attempts + 1} times while it ran"
        log.error("event %d of lane %s is given up: %s", receipt.seq, receipt.lane, error)
        apology = self._outbox.compose(APOLOGY)
        reply = Reply(
            self._store.next_number(), receipt.seq, receipt.replied, receipt.lane, receipt.event.address, apology
        )
        await self._store.bury(receipt, error, [reply])
        self._outbox.deliver_soon(receipt.lane, [reply], None)

    async def _warm_up(self) -> None:
        try:
            await self.router.warm_up()
        except EmbeddingError as exc:
            log.error("messages are not compared by meaning: %s", exc)

    def connect(self, senders: Mapping[str, Sender]) -> None:
        """Send replies through these, by the channel name of their address."""
        self._outbox.connect(senders)

    def observe(self, observer: Callable[[Report], None]) -> None:
        """Call `observer` after every run of a plugin."""
        self._observers.append(observer)

    def receive(self, event: Event) -> Receipt:
        """Take an event into its lane, in the order of the calls.

        The channel acknowledges when `await receipt.acknowledged()` returns. Raises Overloaded: then nothing
        was taken, and the sender may try again.
        """
        if not self._open:
            raise Overloaded("the server is stopping, try again later")
        lane = scope_key(event.address)
        self._lanes.check(lane)
        receipt = self._store.accept(event, lane)
        if receipt.duplicate:
            return receipt
        running = self._running.get(lane)
        if running is not None and self.router.cancels(event.message.text):
            # Looked at on arrival: a turn that hangs would otherwise keep its own cancel waiting.
            receipt.cut = running.end(Ending.CANCELLED)
        self._lanes.submit(receipt)
        return receipt

    async def resume(self, address: Address, last: int = 0, ready: Callable[[], None] = lambda: None) -> None:
        """A talker is back who has every reply up to the key `last`: send what waited. Raises StoreError.

        Until `ready()` is called the channel must raise Away for this talker, or a reply could overtake those.
        """
        await self._outbox.resume(scope_key(address), last, ready)

    def confirm(self, address: Address, last: int) -> None:
        """Every reply to this talker up to the key `last` has arrived."""
        self._outbox.confirm(scope_key(address), last)

    def tell(self, address: Address, message: str | Message) -> None:
        """Say something that answers nothing; from the loop or from a thread. Raises TypeError."""
        self._outbox.tell(address, message)

    def _work(self, receipt: Receipt) -> Coroutine[Any, Any, None]:
        """To be awaited: do one event of a lane."""
        if receipt.known is None and self._gate.is_set():
            return self._begin(receipt)
        return self._begin_later(receipt)

    async def _begin_later(self, receipt: Receipt) -> None:
        await self._gate.wait()
        if receipt.known is not None:
            await receipt.known
        if not receipt.duplicate:
            await self._begin(receipt)

    async def _begin(self, receipt: Receipt) -> None:
        if receipt.recovered:
            await self._store.begin(receipt)
        lane = receipt.lane
        try:
            turn = Turn(self._services, receipt, *await self._store.load(lane))
            self._running[lane] = turn
            try:
                await turn.run()
            finally:
                if self._running.get(lane) is turn:
                    del self._running[lane]
        except Abandoned:
            return
        except StoreError:
            # Not done: the event is still in the inbox and is taken up again at the next start.
            raise
        except Exception:  # a fault of our own: the talker hears of it, and the event does not come back for ever
            log.exception("turn %s failed", receipt.seq)
            apology = self._outbox.compose(APOLOGY)
            reply = Reply(
                self._store.next_number(), receipt.seq, MOST_REPLIES + 1, lane, receipt.event.address, apology
            )
            outcome = Outcome(receipt, None, [apology], [reply])
            if await committed(self._store, outcome, self._store.commit(outcome)):
                await self._outbox.deliver(lane, [reply], None)

    async def _finish(self, turn: Turn) -> None:
        """Commit a turn whose own task does not come back."""
        self._running.pop(turn.receipt.lane, None)
        await turn.finish_abandoned()

    @property
    def left(self) -> int:
        """How many plugins run on although they were cancelled and nobody waits for them."""
        return len(self._lanes.left)

    async def idle(self) -> None:
        """Wait until every event has been answered and every answer delivered."""
        if self._alone is not None:
            await asyncio.wait([self._alone])
        await self._lanes.join()
        await self._outbox.join()

    async def drain(self, timeout: float = 10.0) -> bool:  # noqa: ASYNC109 - both outcomes are normal here
        """Stop taking events, let running turns end within `timeout` seconds, and close everything.

        False if something was cut; that stays in the inbox and is taken up at the next start.
        """
        self._open = False
        try:
            async with asyncio.timeout(timeout):
                await self.idle()
            clean = True
        except TimeoutError:
            clean = False
            log.warning("%d conversations did not come to an end in time and are cut", len(self._lanes))
        if self._warming is not None:
            self._warming.cancel()
            await asyncio.wait([self._warming])
        if self._alone is not None:
            self._alone.cancel()
            await asyncio.wait([self._alone])
        await self._lanes.close()
        await self._outbox.close()
        self._workers.close()
        self.root.close()
        await self._store.close()
        return clean
