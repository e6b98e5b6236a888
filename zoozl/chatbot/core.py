"""Chatbot: an event in, replies out; what channels and the server call."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping

from zoozl.chatbot.context import InterfaceRoot
from zoozl.chatbot.interface import HELP
from zoozl.chatbot.lanes import Lanes
from zoozl.chatbot.message import Address, Event, Message, scope_key
from zoozl.chatbot.ports import Outcome, Receipt, Reply, Sender
from zoozl.chatbot.router import Router
from zoozl.chatbot.turn import APOLOGY, Ending, Report, Services, Turn, Watch
from zoozl.chatbot.workers import Workers
from zoozl.errors import EmbeddingError, Overloaded, StoreError

log = logging.getLogger(__name__)


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
        self._outbox.senders.update(senders or {})
        self._workers = Workers(worker_threads)
        self._observers: list[Callable[[Report], None]] = []
        self._turn_timeout = turn_timeout
        self._lanes = Lanes(self._work, depth=lane_depth)
        self._running: dict[str, Turn] = {}
        self._open = False
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
        )
        self._open = True
        self._warming = asyncio.create_task(self._warm_up())

    async def _warm_up(self) -> None:
        try:
            await self.router.warm_up()
        except EmbeddingError as exc:
            log.error("messages are not compared by meaning: %s", exc)

    async def ready(self) -> None:
        """Wait until the alias vectors are there (or could not be computed, which was logged)."""
        if self._warming is not None:
            await self._warming

    def connect(self, senders: Mapping[str, Sender]) -> None:
        """Send replies through these, by the channel name of their address."""
        self._outbox.senders.update(senders)

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
            running.end(Ending.CANCELLED)
            receipt.cut = True
        self._lanes.submit(receipt)
        return receipt

    def tell(self, address: Address, message: str | Message) -> None:
        """Say something that answers nothing; from the loop or from a thread. Raises TypeError."""
        self._outbox.tell(address, message)

    async def _work(self, receipt: Receipt) -> None:
        """Do one event of a lane."""
        if receipt.known is not None:
            await receipt.known
        if receipt.duplicate:
            return
        lane = receipt.lane
        try:
            turn = Turn(self._services, receipt, *await self._store.load(lane))
            self._running[lane] = turn
            try:
                await turn.run()
            finally:
                del self._running[lane]
        except StoreError:
            # Not done: the event is still in the inbox and is taken up again at the next start.
            raise
        except Exception:  # a fault of our own: the talker hears of it, and the event does not come back for ever
            log.exception("turn %s failed", receipt.seq)
            apology = self._outbox.compose(APOLOGY)
            reply = Reply(receipt.seq, receipt.replied, lane, receipt.event.address, apology)
            done = self._store.commit(Outcome(receipt, None, [apology], [reply]))
            await self._outbox.deliver(lane, [reply], done)

    async def idle(self) -> None:
        """Wait until every event has been answered and every answer delivered."""
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
        await self._lanes.close()
        await self._outbox.close()
        self._workers.close()
        self.root.close()
        await self._store.close()
        return clean
