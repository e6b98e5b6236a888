"""One turn: an event is routed, a plugin runs within its limits, and what it leaves behind is committed."""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from zoozl.chatbot.conversation import Conversation
from zoozl.chatbot.failpoints import hit
from zoozl.chatbot.interface import Plugin
from zoozl.chatbot.message import Message
from zoozl.chatbot.outbox import Outbox
from zoozl.chatbot.package import Package
from zoozl.chatbot.ports import Done, Outcome, Receipt, Reply, State, Store
from zoozl.chatbot.router import Route, Router, Rule
from zoozl.chatbot.workers import Busy, Workers
from zoozl.errors import DataError, StoreError

log = logging.getLogger(__name__)

turn_id: ContextVar[int] = ContextVar("turn_id", default=0)
"""The number of the turn that is running, for log lines; 0 outside."""

APOLOGY = "Sorry, something went wrong here. It has been noted."
TOO_SLOW = "Sorry, this took too long and was stopped."
BUSY = "Sorry, this is busy at the moment. Please try again later."
CANCELLED = "Cancelled."
NOTHING_TO_CANCEL = "There is nothing to cancel."

CANCELS = (Rule.CANCEL, Rule.CANCEL_BY_MEANING)

MOST_REPLIES = 1_000

ROUTING, RUNNING, ENDING = range(3)
MOMENT = 0.2
TICK = 0.05
# A plugin that was cancelled has so long to end; then the lane goes on without it.
GRACE = 1.0


class Ending(StrEnum):
    """How a plugin's run ended."""

    DONE = "done"
    FAILED = "failed"
    TIMEOUT = "timeout"
    CANCELLED = "cancelled"
    BUSY = "busy"


EXCUSES = {Ending.FAILED: APOLOGY, Ending.TIMEOUT: TOO_SLOW, Ending.BUSY: BUSY}
"""What the talker is told, after whatever the plugin had said."""


@dataclass(slots=True)
class Report:
    """What happened to one event, for `--debug`, tests and metrics."""

    receipt: Receipt
    route: Route
    ending: Ending
    seconds: float


class Watch:
    """Looks at all running turns every 50 ms: one timer instead of two for each turn.

    A turn older than a moment (200 ms) begins to say things before it ends; one beyond its limit is ended.
    """

    def __init__(self) -> None:
        self._turns: set[Turn] = set()
        self._timer: asyncio.TimerHandle | None = None

    def add(self, turn: Turn) -> None:
        """Begin to look at `turn`."""
        self._turns.add(turn)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(TICK, self._tick)

    def discard(self, turn: Turn) -> None:
        """It ended."""
        self._turns.discard(turn)

    def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        for turn in list(self._turns):
            try:
                turn.look(now)
            except Exception:  # one turn's trouble must not stop the clock of the others
                log.exception("turn %d cannot be looked at", turn.receipt.seq)
        self._timer = loop.call_later(TICK, self._tick) if self._turns else None


class Voice:
    """The callback of one run of a plugin; silent once that run has ended."""

    __slots__ = ("_turn", "open")

    def __init__(self, turn: Turn) -> None:
        self._turn = turn
        self.open = True

    def say(self, message: str | Message) -> None:
        """Answer with a text or a Message. Raises TypeError for anything else."""
        if self.open:
            self._turn.say(message)
        else:
            log.warning("an answer came after its turn had ended and is dropped; context.tell() can send one")


@dataclass(slots=True)
class Services:
    """What all turns share."""

    store: Store
    router: Router
    outbox: Outbox
    workers: Workers
    watch: Watch
    timeout: float
    observers: list[Callable[[Report], None]]
    # Kept, because asking for the running loop is a system call (getpid) before Python 3.12.
    loop: asyncio.AbstractEventLoop
    go_on_without: Callable[[Turn], None]
    """Give the turn's lane to somebody else: its plugin does not end."""


class Abandoned(BaseException):
    """The plugin came back after its lane had gone on without it; nothing of this turn may happen any more."""


class Turn:
    """One event's turn. `run` does it all; the watch and the lanes may end it or flush its replies meanwhile."""

    # What most turns never change is a default of the class: one is made for every message.
    talking = False
    """Said things go out while it runs: it has taken longer than a moment."""
    ended_by: Ending | None = None
    ended_at = 0.0
    abandoned = False
    cancelled = False
    """Cancelled before its plugin was found: it will not run."""
    _waits = False
    _stage = ROUTING
    _voice: Voice | None = None

    def __init__(self, services: Services, receipt: Receipt, state: State | None, messages: list[Message]) -> None:
        event = receipt.event
        self._services = services
        self.receipt = receipt
        self._known = state is not None
        self._state = state = state if state is not None else State(talker=event.address.talker)
        self._subject, self._data, self._greeted = state.subject, state.data, state.greeted
        self.messages = messages
        self._loop = services.loop
        self._task: asyncio.Task[Any] | None = asyncio.current_task(services.loop)
        self.started = self._loop.time()
        self.deadline = self.started + services.timeout
        self._said: list[Message] = []
        self._marked: list[Message] = []
        self._early: list[tuple[list[Reply], list[Message], asyncio.Future[None]]] = []
        # A re-run turn says its first replies again; those were recorded before the crash.
        self._recorded = receipt.replied

    async def run(self) -> None:
        """Route and answer the event, then commit."""
        event = self.receipt.event
        turn_id.set(self.receipt.seq)
        if event.kind == "connect":
            await self._greet()
        else:
            self.messages.append(event.message)
            await self._answer()
        await self._commit()

    async def _greet(self) -> None:
        if not self._greeted:
            self._greeted = True
            route = self._services.router.greeting()
            if route.plugin is not None:
                await self._give(route, route.plugin, None)

    async def _answer(self) -> None:
        message = self.receipt.event.message
        route = await self._services.router.choose(message.text, self._subject)
        if not self._greeted:
            # Where a channel has no connect event, the first message brings the greeting along: never in
            # rooms, and never twice from the plugin that answers anyway.
            greeter = self._services.router.greeting().plugin
            if greeter is not None and greeter is not route.plugin and not self.receipt.event.address.room:
                await self._greet()
            self._greeted = True
        if route.plugin is not None:
            await self._give(route, route.plugin, message)
        elif route.rule in CANCELS:
            going_on = bool(self._subject) or self.receipt.cut
            self._append(CANCELLED if going_on else NOTHING_TO_CANCEL)
            self._release()
            self._report(route, Ending.DONE)
        else:
            log.warning("no plugin for a message, and none holds %r", route.alias)
            self._report(route, Ending.DONE)

    def _release(self) -> None:
        self._subject, self._data = "", "{}"

    async def _give(self, route: Route, plugin: Plugin, message: Message | None) -> None:
        """Run one plugin and move the floor."""
        if self.cancelled:
            self._report(route, Ending.CANCELLED)
            return
        event = self.receipt.event
        holds = bool(self._subject) and plugin.context.plugins.table.get(self._subject) is plugin
        before = self._data if holds else "{}"
        conversation = Conversation(
            self._state.uuid,
            self._state.talker,
            bool(self._subject) or self.receipt.cut,
            route.alias,
            self.messages,
            json.loads(before) if before != "{}" else {},
        )
        voice = Voice(self)
        package = Package(
            conversation, voice.say, address=event.address, message=message, matched=route.rule is not Rule.FALLBACK
        )
        ending, complete = await self._consume(plugin, package, voice)
        if route.rule in CANCELS:
            self._release()
        elif ending is Ending.DONE:
            try:
                data = _to_json(plugin, conversation.data)
            except DataError as exc:
                log.error("%s", exc)
                ending = Ending.FAILED
            else:
                if _keeps_floor(route, plugin, package, complete, data != before):
                    if not holds:
                        self._subject = route.alias
                    self._data = data
                elif holds or not self._subject:
                    # Else a command was answered aside: the subject that is going on stays as it is.
                    self._release()
        if ending is Ending.DONE:
            self._marked += package.marked()
        else:
            package.unmark()
        if ending in EXCUSES:
            self._append(EXCUSES[ending])
        self._report(route, ending)

    async def _consume(self, plugin: Plugin, package: Package, voice: Voice) -> tuple[Ending, bool]:
        """Run `consume` (and ask `is_complete`) within the limits; how it ended, and whether it is complete."""
        services = self._services
        limit = services.timeout if plugin.timeout is None else plugin.timeout
        self.deadline = self._loop.time() + limit
        self._voice = voice
        self._waits = False
        self._stage = RUNNING
        services.watch.add(self)
        hit("before-consume")
        ending, complete = Ending.DONE, True
        try:
            if plugin.is_async:
                await plugin.consume(package)
                if plugin.decides:
                    complete = await _maybe(plugin.is_complete(package))
            else:
                complete = await self._consume_in_thread(plugin, package, limit)
        except asyncio.CancelledError:
            if self.ended_by is None:
                if self._task is None or self._task.cancelling():
                    raise  # the server is stopping; the event stays in the inbox
                ending = Ending.FAILED
                log.exception("plugin %s failed: it awaited something that was cancelled", plugin.name)
        except Busy:
            ending = Ending.BUSY
            log.error("plugin %s has too many threads that do not come back", plugin.name)
        except KeyboardInterrupt:
            raise
        except BaseException:  # the edge: a plugin's fault, sys.exit() included, ends its turn and nothing else
            ending = Ending.FAILED
            log.exception("plugin %s failed", plugin.name)
        finally:
            voice.open = False
            self._voice = None
            self._stage = ROUTING
            services.watch.discard(self)
        hit("after-consume")
        if self.abandoned:
            log.warning("plugin %s came back at last; its turn was over long ago", plugin.name)
            raise Abandoned
        if self.ended_by is not None:
            ending, complete = self.ended_by, False
            self.ended_by = None
            if self._task is not None:
                self._task.uncancel()
            log.warning("plugin %s was stopped: %s", plugin.name, ending)
        return ending, bool(complete)

    async def _consume_in_thread(self, plugin: Plugin, package: Package, limit: float) -> Any:
        """Run a `def`; its time begins when it gets a thread, and it may wait for one as long as a turn may take."""
        self.deadline = self._loop.time() + self._services.timeout
        self._waits = True

        def started() -> None:
            self.deadline = self._loop.time() + limit
            self._waits = False

        result, complete = await self._services.workers.run(plugin.name, lambda: _in_thread(plugin, package), started)
        if inspect.isawaitable(result):
            await result
            complete = plugin.is_complete(package) if plugin.decides else True
        return await _maybe(complete)

    def look(self, now: float) -> None:
        """Called now and then while a plugin runs."""
        if self.ended_by is not None:
            if now >= self.ended_at + GRACE and not self.abandoned:
                self.abandoned = True
                self._services.watch.discard(self)
                self._services.go_on_without(self)
        elif now >= self.deadline:
            self.end(Ending.BUSY if self._waits else Ending.TIMEOUT)
        elif not self.talking and now >= self.started + MOMENT:
            self.flush()

    def end(self, how: Ending) -> bool:
        """Stop the plugin that is running, or about to; False if there is nothing to stop any more.

        An async one is cancelled, a thread is left to itself.
        """
        if self._stage == ENDING or self.ended_by is not None:
            return False
        if self._voice is None or self._task is None:
            self.cancelled = True
            return True
        self._voice.open = False
        self.ended_by, self.ended_at = how, self._loop.time()
        self._task.cancel()
        return True

    async def finish_abandoned(self) -> None:
        """End the turn in the place of the task that does not: what was said stays, the state is as before."""
        ending = self.ended_by or Ending.TIMEOUT
        log.error("turn %d does not end although it was cancelled; its lane goes on without it", self.receipt.seq)
        if ending in EXCUSES:
            self._append(EXCUSES[ending])
        old = self._state
        self._subject, self._data, self._greeted = old.subject, old.data, True
        await self._commit()

    def say(self, message: str | Message) -> None:
        """Take an answer of the plugin that is running; from the loop or from a thread."""
        if len(self._said) >= MOST_REPLIES:
            raise RuntimeError(f"more than {MOST_REPLIES} answers in one turn")
        self._said.append(self._services.outbox.compose(message))
        if self.talking:
            self._loop.call_soon_threadsafe(self.flush)

    def _append(self, text: str) -> None:
        self._said.append(self._services.outbox.compose(text))

    def flush(self) -> None:
        """Record and send what was said so far, before the turn has ended."""
        if self._stage == ENDING or self.receipt.failed:
            return  # the commit has it, or it never happened
        self.talking = True
        replies, said = self._unrecorded()
        if replies:
            done = self._services.store.record(replies, said)
            self._recorded += len(replies)
            if done is not None:
                self._early.append((replies, said, done))
            self._services.outbox.deliver_soon(self.receipt.lane, replies, done)

    def _unrecorded(self) -> tuple[list[Reply], list[Message]]:
        """Replies that were not recorded yet, and the lines that they add to the history."""
        first, said = self._recorded, self._said[self._recorded :]
        receipt = self.receipt
        event = receipt.event
        number = self._services.store.next_number
        kept = bool(said) and self._services.outbox.keeps(event.address)
        replies = [
            Reply(number(), receipt.seq, first + n, receipt.lane, event.address, message, kept=kept)
            for n, message in enumerate(said)
        ]
        # The talker's own line comes before the first answer, once.
        if event.kind != "connect" and not receipt.archived:
            receipt.archived = True
            said = [event.message, *said]
        return replies, said

    async def _commit(self) -> None:
        self._stage = ENDING
        replies, lines = self._unrecorded()
        for early, said, recorded in reversed(self._early):
            try:
                await recorded
            except StoreError:
                # They went nowhere: they go with the rest.
                replies, lines = early + replies, said + lines
        old, state = self._state, None
        if not self._known or (self._subject, self._data, self._greeted) != (old.subject, old.data, old.greeted):
            state = State(old.uuid, old.talker, self._subject, self._greeted, self._data)
        outcome = Outcome(self.receipt, state, lines, replies, self._marked)
        done: Done = self._services.store.commit(outcome)
        if (done is None or await committed(self._services.store, outcome, done)) and replies:
            await self._services.outbox.deliver(self.receipt.lane, replies, None)

    def _report(self, route: Route, ending: Ending) -> None:
        if not self._services.observers and not log.isEnabledFor(logging.DEBUG):
            return
        seconds = self._loop.time() - self.started
        log.debug("%s: %r by %s, score %.2f, %.3f s", ending, route.alias, route.rule, route.score, seconds)
        for observer in self._services.observers:
            observer(Report(self.receipt, route, ending, seconds))


async def committed(store: Store, outcome: Outcome, done: Done) -> bool:
    """Wait for the end of a turn to be on disk, however long the disk takes to come back.

    `done` is the first try. False if the event was never accepted.
    """
    delay = 1.0
    while done is not None:
        try:
            await done
        except StoreError:
            if outcome.receipt.failed:
                return False
            # The plugin has run: running it again for a full disk would do everything twice.
            log.error("turn %d cannot be committed, next try in %.0f s", outcome.receipt.seq, delay)
            await asyncio.sleep(delay)
            delay = min(2 * delay, 30.0)
            done = store.commit(outcome)
        else:
            break
    return True


def _to_json(plugin: Plugin, data: object) -> str:
    if data == {}:
        return "{}"
    if not isinstance(data, dict):
        raise DataError(f"plugin {plugin.name} left in conversation.data what is not a dict")
    try:
        return json.dumps(data, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as exc:
        raise DataError(f"plugin {plugin.name} left in conversation.data what is not JSON: {exc}") from exc


def _keeps_floor(route: Route, plugin: Plugin, package: Package, complete: bool, wrote: bool) -> bool:
    if package.finished:
        return False
    if route.rule is Rule.GREETING:
        # Everybody is greeted: only a greeting that began something may hold the talker.
        return wrote and not (plugin.decides and complete)
    if plugin.decides:
        return not complete
    return plugin.sticky or wrote


def _in_thread(plugin: Plugin, package: Package) -> tuple[Any, Any]:
    result = plugin.consume(package)
    if inspect.isawaitable(result):
        return result, True
    return result, plugin.is_complete(package) if plugin.decides else True


async def _maybe(value: Any) -> Any:
    """`value`, awaited if a plugin's `def` turned out to give an awaitable."""
    return await value if inspect.isawaitable(value) else value
