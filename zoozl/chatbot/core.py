"""Chatbot: an event in, replies out; what channels and the server call."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from zoozl.chatbot import answers, disk
from zoozl.chatbot.background import FILE
from zoozl.chatbot.clock import Clock, WallClock
from zoozl.chatbot.context import InterfaceRoot
from zoozl.chatbot.dialogs import Dialogs
from zoozl.chatbot.excuses import APOLOGY, BUSY
from zoozl.chatbot.extensions import Plugins
from zoozl.chatbot.interface import HELP
from zoozl.chatbot.lanes import Lanes
from zoozl.chatbot.message import Address, Event, Message, MessagePart, scope_key
from zoozl.chatbot.ports import Outcome, Receipt, Reply, Sender, Step
from zoozl.chatbot.router import Router
from zoozl.chatbot.run import Ending, Run, Unwound
from zoozl.chatbot.services import Report, Services
from zoozl.chatbot.trace import turn_id
from zoozl.chatbot.turn import Abandoned, Turn
from zoozl.chatbot.watch import Watch
from zoozl.chatbot.workers import Workers
from zoozl.errors import EmbeddingError, Overloaded, StoreError, Unstorable

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
        did_you_mean: bool = False,
        background: Path = FILE,
        turn_timeout: float = 60.0,
        worker_threads: int = 8,
        lane_depth: int = 100,
        dialog_ttl: float = 86400.0,
        kept_dialogs: int = 1_000,
        scope_of: Callable[[Address], str] | None = None,
        clock: Clock | None = None,
        new_run: Callable[..., Run] = Run,
    ) -> None:
        """`senders` by channel name; `turn_timeout` and `dialog_ttl` in seconds; `scope_of` gives a room's scope.

        At most `kept_dialogs` coroutines wait in memory; the others begin again from their journals. `new_run` makes
        each Run, for those who want to watch. What routes (`fallback` to `background`) is told in Router. Raises
        ConfigError for an unknown `fallback`.
        """
        self.root = root
        self.router_for = partial(
            Router,
            embedding=root.embedding,
            fallback=fallback,
            threshold=threshold,
            did_you_mean=did_you_mean,
            background=background,
        )
        """Makes a router over other plugins, with this bot's settings. Raises ConfigError for an unknown fallback."""
        self.router = self.router_for(root.plugins)
        self._store = root.store
        self._outbox = root.outbox
        self._outbox.connect(senders or {})
        self._outbox.lane_of = self.lane_of
        self._workers = Workers(worker_threads)
        self._observers: list[Callable[[Report], None]] = []
        self._turn_timeout = turn_timeout
        self._lanes = Lanes(self._work, depth=lane_depth)
        self._running: dict[str, Turn] = {}
        self._clock = clock if clock is not None else WallClock()
        if clock is not None:
            self._outbox.now = clock.time
        self._new_run = new_run
        self._scope_of = scope_of
        self._dialog_ttl = dialog_ttl
        self._dialogs = Dialogs(self._store, self._clock, self.receive, kept_dialogs)
        self._rejecting: dict[asyncio.Task[None], int] = {}
        self._open = False
        self._gate = asyncio.Event()
        self._gate.set()
        self._suspects: dict[int, asyncio.Event] = {}
        self._alone: asyncio.Task[None] | None = None
        self._warming: asyncio.Task[None] | None = None
        self._retiring: dict[asyncio.Task[None], Plugins] = {}

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
            go_on_without=self._go_on_without,
            hand_over=self._hand_over,
            dialogs=self._dialogs,
            clock=self._clock,
            idle=self._dialog_ttl,
            lane_of=self.lane_of,
            receive=self.receive,
            queued=self._queued,
            new_run=self._new_run,
            hold=self._lanes.hold,
            settled=self._settled,
        )
        await self._recover()
        self._open = True
        self._dialogs.start()
        self._warming = asyncio.create_task(self._warm_up())

    async def _recover(self) -> None:
        """Take up what a crash left: replies that were recorded, events that were accepted."""
        # Not what waits for talkers who are away: there may be very much of it.
        replies = await self._store.undelivered(without=self._outbox.resumed)
        receipts = await self._store.unfinished()
        cut = {receipt.seq: receipt for receipt in receipts}
        for reply in replies:
            if reply.seq in cut and self._outbox.gathers(reply.address.channel):
                # It goes with the rest of its turn.
                cut[reply.seq].gathered = [*cut[reply.seq].gathered, reply]
            else:
                self._outbox.deliver_soon(reply.lane, [reply], None)
        seen = set()
        for receipt in receipts:
            # Only the first of a lane can have been running when the process died.
            receipt.recovered = receipt.lane not in seen
            seen.add(receipt.lane)
            if receipt.recovered and receipt.attempts >= SUSPECT_AFTER:
                self._gate.clear()
                self._suspects[receipt.seq] = asyncio.Event()
            self._lanes.submit(receipt)
        if seen:
            log.info("%d conversations go on where they were cut", len(seen))
        if self._suspects:
            self._alone = asyncio.create_task(self._one_by_one(dict(self._suspects)))

    async def take_up(self) -> None:
        """Go on with events and replies that were put back into the store, as with dead letters tried again."""
        # Before and after reading: what ended meanwhile is in the first look only, what came in the second.
        replies, turns = self._outbox.ids(), self._events()
        for reply in await self._store.undelivered():
            # What a channel gathers is with its turn until that ends.
            if reply.seq in turns and self._outbox.gathers(reply.address.channel):
                continue
            if reply.id not in replies and reply.id not in self._outbox.ids():
                self._outbox.deliver_soon(reply.lane, [reply], None)
        events = self._events()
        receipts = await self._store.unfinished()
        events |= self._events()
        for receipt in receipts:
            if receipt.seq not in events:
                self._lanes.submit(receipt)

    def _events(self) -> set[int]:
        """Those that somebody is at, or will be."""
        return self._lanes.seqs() | set(self._rejecting.values())

    async def _one_by_one(self, suspects: dict[int, asyncio.Event]) -> None:
        """Let events that were there at two crashes or more run while nothing else runs: only they are to blame."""
        try:
            for seq, begin in suspects.items():
                begin.set()
                await self._lanes.ended(seq)
        finally:
            self._gate.set()

    async def _bury(self, receipt: Receipt) -> None:
        error = f"the process died {receipt.attempts + 1} times while it ran"
        log.error("event %d of lane %s is given up: %s", receipt.seq, receipt.lane, error)
        apology = self._outbox.compose(APOLOGY)

        async def bury() -> None:
            number, lane = self._store.next_number(), receipt.lane
            reply = Reply(number, receipt.seq, receipt.replied, lane, receipt.event.address, apology)
            done = asyncio.ensure_future(self._store.bury(receipt, error, [reply]))
            self._outbox.deliver_soon(lane, [*receipt.gathered, reply], done)
            await done

        await disk.insist("a turn that a crash has cut", bury)

    async def _warm_up(self) -> None:
        """Make the tables as soon as the embedder can; it tells itself when it cannot."""
        while True:
            try:
                await self.router.warm_up()
                break
            except EmbeddingError:
                await self.root.embedding.usable()
        await self.root.embedding.prune()

    def swap(self, plugins: Plugins, router: Router) -> None:
        """Answer with `plugins`, and a router made for them, from the next message on.

        Turns that are under way end with the plugins they have. Those that are no longer there are closed then.
        """
        gone = Plugins([plugin for plugin in self.root.plugins.all if plugin not in plugins.all])
        # What is kept sees the new table, what goes keeps the old one.
        for plugin in plugins.all:
            plugin.context.plugins = plugins
        self.root.plugins = plugins
        self.router = self._services.router = router
        # What waits begins again from its journal, with the new code.
        self._dialogs.detach(lambda run: run.plugin in gone.all)
        task = asyncio.create_task(self._retire(gone, list(self._running.values())))
        self._retiring[task] = gone

    async def _retire(self, gone: Plugins, turns: list[Turn]) -> None:
        # Looked at now and then: to be told would be a layer around every turn, for something that is rare.
        while any(self._running.get(turn.receipt.lane) is turn for turn in turns):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        task = asyncio.current_task()
        assert task is not None
        self._retiring.pop(task).close()

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
        if event.address.room and not event.message.author:
            # Among several people a history is worth nothing without who said what.
            event.message.author = event.address.talker
        lane = self.lane_of(event.address)
        self._lanes.check(lane)
        receipt = self._store.accept(event, lane)
        receipt.at = self._clock.time()
        if log.isEnabledFor(logging.DEBUG):
            again = ", which is known" if receipt.duplicate else ""
            log.debug("%s for lane %s%s", event.kind, lane, again, extra={"turn": receipt.seq})
        if receipt.duplicate:
            return receipt
        running = self._running.get(lane)
        if running is not None and event.kind == "message" and self._meets(running, receipt):
            return receipt
        self._lanes.submit(receipt)
        return receipt

    def edit(self, address: Address, number: str, text: str) -> bool:
        """Somebody has changed the text of a message where it was said; False if its turn has begun: that is too late.

        `number` is the id of the message, and `address` that of who said it: its place is not looked at.
        """

        def meant(receipt: Receipt) -> bool:
            there, message = receipt.event.address, receipt.event.message
            return message.id == number and (there.channel, there.account, there.talker) == whose

        whose = (address.channel, address.account, address.talker)
        receipt = self._lanes.find(meant) if number else None
        if receipt is None:
            log.debug("message %s was edited after its turn had begun, or is not known", number)
            return False
        old = receipt.event.message
        parts = [MessagePart(text), *old.files]
        message = Message(parts, old.author, old.timestamp, old.id)
        message.envelope = old.envelope
        receipt.event = replace(receipt.event, message=message)
        self._store.edit(receipt)
        log.debug("message %s was edited while it waited", number, extra={"turn": receipt.seq})
        return True

    async def resume(self, address: Address, last: int = 0, ready: Callable[[], None] = lambda: None) -> None:
        """A talker is back who has every reply up to the key `last`: send what waited. Raises StoreError.

        Until `ready()` is called the channel must raise Away for this talker, or a reply could overtake those.
        """
        await self._outbox.resume(self.lane_of(address), last, ready)

    def confirm(self, address: Address, last: int) -> None:
        """Every reply to this talker up to the key `last` has arrived."""
        self._outbox.confirm(self.lane_of(address), last)

    async def history(self, address: Address, skip: int, limit: int) -> tuple[list[Message], int]:
        """Up to `limit` messages of a conversation before its `skip` latest ones, oldest first; and how many it has.

        Raises StoreError.
        """
        return await self._store.history(self.lane_of(address), skip, limit)

    def lane_of(self, address: Address) -> str:
        """Whose state an address means, by the scope of its room."""
        return scope_key(address) if self._scope_of is None else scope_key(address, self._scope_of(address))

    async def knows(self, address: Address) -> bool:
        """Whether there is a conversation here: messages of its thread need no mention. Raises StoreError."""
        return await self._store.knows(self.lane_of(address))

    def tell(self, address: Address, message: str | Message) -> None:
        """Say something that answers nothing; from the loop or from a thread. Raises TypeError."""
        self._outbox.tell(address, message)

    def _work(self, receipt: Receipt) -> Coroutine[Any, Any, None]:
        """To be awaited: do one event of a lane."""
        if receipt.known is None and self._gate.is_set():
            return self._begin(receipt)
        return self._begin_later(receipt)

    async def _begin_later(self, receipt: Receipt) -> None:
        suspect = self._suspects.pop(receipt.seq, None)
        if suspect is not None:
            await suspect.wait()
            if receipt.attempts >= DEAD_AFTER:
                await self._bury(receipt)
                return
        else:
            await self._gate.wait()
        if receipt.known is not None:
            await receipt.known
        if not receipt.duplicate:
            await self._begin(receipt)

    async def _begin(self, receipt: Receipt) -> None:
        turn_id.set(receipt.seq)
        if receipt.recovered:
            # The lane waits: what comes after this event must not take effect before it.
            await disk.insist("a turn that a crash has cut", partial(self._store.begin, receipt))
        lane = receipt.lane
        turn: Turn | None = None
        try:
            turn = Turn(self._services, receipt, *await self._store.load(lane))
            self._running[lane] = turn
            try:
                await turn.run()
            finally:
                if self._running.get(lane) is turn:
                    del self._running[lane]
        except (Abandoned, Unwound):
            return
        except Exception as exc:  # the edge: what is wrong with one event must not stop its lane
            await self._give_up_turn(receipt, turn, exc)

    def _settled(self, outcome: Outcome, error: StoreError | None) -> None:
        """A turn that nobody waits for is on disk, or could not be put there; its lane goes on."""
        if not self._lanes.is_open:
            return
        turn_id.set(outcome.receipt.seq)
        lane, replies = outcome.receipt.lane, outcome.all_replies()
        rest = None
        try:
            if error is None:
                rest = self._outbox.deliver(lane, replies)
            else:
                self._outbox.withdraw(lane, replies)
                rest = self._commit_again(outcome, error)
        finally:
            self._lanes.go_on(lane, rest)
            if error is None and outcome.steps:
                self._dialogs.release(outcome.steps)

    async def _commit_again(self, outcome: Outcome, error: StoreError) -> None:
        try:
            await answers.commit_again(self._services, outcome, error)
        except Exception as exc:  # the edge: what is wrong with one event must not stop its lane
            await self._give_up(outcome.receipt, exc, outcome.steps, outcome.secret)
        finally:
            self._dialogs.release(outcome.steps)

    async def _give_up_turn(self, receipt: Receipt, turn: Turn | None, exc: Exception) -> None:
        if turn is None:
            await self._give_up(receipt, exc, (), False)
            return
        try:
            await self._give_up(receipt, exc, turn.steps, turn.answers.secret)
        finally:
            self._dialogs.release(turn.steps)

    async def _give_up(self, receipt: Receipt, exc: Exception, touched: Sequence[Step], secret: bool) -> None:
        """After a fault of our own, or a value of a plugin's that no store can take.

        The talker hears of it, and the event does not come back for ever.
        """
        if isinstance(exc, StoreError) and not isinstance(exc, Unstorable):
            # Not done: the event is still in the inbox and is taken up again at the next start.
            raise exc
        log.error("turn %s failed", receipt.seq, exc_info=exc)
        apology = self._outbox.compose(APOLOGY)
        address, number = receipt.event.address, self._store.next_number()
        reply = Reply(number, receipt.seq, answers.MOST + 1, receipt.lane, address, apology)
        dialogs = {step.dialog.id: step.dialog for step in touched}
        steps = [Step(last, ended=True) for last in dialogs.values()]
        for dialog in dialogs:
            if (run := self._dialogs.take(dialog)) is not None:
                run.detach()
        outcome = Outcome(receipt, None, [apology], [reply], steps=steps, secret=secret)
        await answers.commit_behind(self._services, outcome)

    def _meets(self, running: Turn, receipt: Receipt) -> bool:
        """A message comes while a plugin is at work: looked at on arrival; True if it does not go into the lane."""
        event = receipt.event
        if event.address.talker != running.receipt.event.address.talker:
            # In a room nobody ends what another one has begun.
            pass
        elif event.answer is None and self.router.cancels(event.message.text):
            # A turn that hangs would otherwise keep its own cancel waiting.
            receipt.cut = running.end(Ending.CANCELLED)
        elif running.plugin is None or event.answer is not None or event.message.text.startswith(("/", "!")):
            pass
        elif running.plugin.busy == "replace":
            running.end(Ending.REPLACED)
        elif running.plugin.busy == "reject":
            task = asyncio.create_task(self._reject(receipt))
            self._rejecting[task] = receipt.seq
            task.add_done_callback(self._rejecting.pop)
            return True
        return False

    async def _reject(self, receipt: Receipt) -> None:
        if receipt.known is not None:
            try:
                await receipt.known
            except StoreError:
                return  # it was not accepted, and the channel tells its sender
        if receipt.duplicate:
            return
        event, excuse = receipt.event, self._outbox.compose(BUSY)
        kept = self._outbox.keeps(event.address)
        reply = Reply(self._store.next_number(), receipt.seq, 0, receipt.lane, event.address, excuse, kept=kept)
        outcome = Outcome(receipt, None, [event.message, excuse], [reply])
        await answers.commit_behind(self._services, outcome)

    def _queued(self, turn: Turn) -> list[Receipt]:
        """Messages of the same talker that wait behind a turn and may be merged with its own."""
        mine = turn.receipt.event.address

        def same(receipt: Receipt) -> bool:
            event = receipt.event
            plain = event.kind == "message" and event.answer is None and not event.message.text.startswith(("/", "!"))
            # One whose keys have not been looked at yet may be a duplicate.
            decided = receipt.known is None or receipt.known.done()
            cancel = self.router.cancels(event.message.text)
            return plain and decided and not receipt.duplicate and event.address == mine and not cancel

        return self._lanes.take(turn.receipt.lane, same)

    def _hand_over(self, turn: Turn) -> None:
        lane = turn.receipt.lane
        self._running.pop(lane, None)
        self._lanes.hand_over(lane, self._finish(turn, turn.finish_waiting))

    def _go_on_without(self, turn: Turn) -> None:
        self._lanes.go_on_without(turn.receipt.lane, self._finish(turn, turn.finish_abandoned))

    async def _finish(self, turn: Turn, finish: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Commit a turn whose own task does not come back for it."""
        self._running.pop(turn.receipt.lane, None)
        try:
            await finish()
        except Exception as exc:  # the edge: what is wrong with one event must not stop its lane
            await self._give_up_turn(turn.receipt, turn, exc)

    @property
    def is_open(self) -> bool:
        """Whether events are taken."""
        return self._open

    @property
    def waiting(self) -> int:
        """How many dialogs wait in memory."""
        return len(self._dialogs)

    @property
    def deliveries(self) -> Mapping[tuple[str, str], int]:
        """How many replies were sent, tried again or given up, by channel and outcome."""
        return self._outbox.counts

    @property
    def oldest(self) -> float:
        """When the oldest event came that is not done, in seconds since the epoch; 0.0 if there is none."""
        return min(self._lanes.times(), default=0.0)

    @property
    def busy(self) -> int:
        """In how many conversations something is being done or waits."""
        return len(self._lanes)

    @property
    def left(self) -> int:
        """How many plugins run on although they were cancelled and nobody waits for them."""
        return len(self._lanes.left)

    async def detach_dialogs(self) -> None:
        """Let go of the coroutines that wait; their dialogs begin again from their journals, as after a restart."""
        await self._dialogs.close()

    async def look_at_deadlines(self) -> None:
        """Begin at once with what is due; it happens by itself, but not at the very moment."""
        await self._dialogs.look()

    async def idle(self) -> None:
        """Wait until every event has been answered and every answer delivered."""
        if self._alone is not None:
            await asyncio.wait([self._alone])
        await self._lanes.join()
        while self._rejecting:
            await asyncio.wait(self._rejecting)
        await self._outbox.join()

    async def drain(self, timeout: float = 10.0) -> bool:  # noqa: ASYNC109 - both outcomes are normal here
        """Stop taking events, let running turns end within `timeout` seconds, and close everything.

        False if something was cut; that stays in the inbox and is taken up at the next start.
        """
        self._open = False
        await self._dialogs.stop()
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
        for turn in self._running.values():
            turn.silence()
        await self._dialogs.close()
        await self._lanes.close()
        await self._outbox.close()
        self._workers.close()
        for task, gone in list(self._retiring.items()):
            task.cancel()
            gone.close()
        self.root.close()
        await self._store.close()
        return clean
