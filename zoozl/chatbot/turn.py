"""One turn: an event is routed, a plugin runs within its limits, and what it leaves behind is committed."""

from __future__ import annotations

import asyncio
import json
import logging
import math
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from zoozl.chatbot import commands, did_you_mean, waiting
from zoozl.chatbot.arguments import UsageError
from zoozl.chatbot.clock import Clock
from zoozl.chatbot.conversation import Conversation
from zoozl.chatbot.dialogs import Dialogs
from zoozl.chatbot.identity import may_use
from zoozl.chatbot.interface import Plugin
from zoozl.chatbot.message import Address, Event, Message
from zoozl.chatbot.outbox import Outbox
from zoozl.chatbot.package import Package
from zoozl.chatbot.ports import Dialog, Done, Outcome, Receipt, Reply, State, Step, Store
from zoozl.chatbot.question import Kind, understand
from zoozl.chatbot.router import Route, Router, Rule
from zoozl.chatbot.run import Ending, Run, Unfit, maybe, to_json
from zoozl.chatbot.trace import turn_id
from zoozl.chatbot.watch import Watch
from zoozl.chatbot.workers import Workers
from zoozl.errors import DataError, StoreError

log = logging.getLogger(__name__)

APOLOGY = "Sorry, something went wrong here. It has been noted."
TOO_SLOW = "Sorry, this took too long and was stopped."
BUSY = "Sorry, this is busy at the moment. Please try again later."
NOT_ALLOWED = "Sorry, you may not use this."
CANCELLED = "Cancelled."
NOTHING_TO_CANCEL = "There is nothing to cancel."
EXPIRED = "Sorry, I have waited too long for an answer. Please begin again."
CHANGED = "Sorry, I have changed meanwhile and lost the thread. Please begin again."
IN_PRIVATE = "This is for the two of us: please write to me directly."
UNKNOWN_COMMAND = "There is no {}. Did you mean {}?"
USAGE = "{}\nUsage: {}"
GO_ON_HERE = "Let us go on here: write “{}” to begin."

CANCELS = (Rule.CANCEL, Rule.CANCEL_BY_MEANING)
UNKNOWN = (Rule.FALLBACK, Rule.UNKNOWN_COMMAND, Rule.UNSURE)

MOST_REPLIES = 1_000
MOST_DIALOGS = 100
"""Open at once in one conversation."""
MASK = "●●●"

ROUTING, RUNNING, ENDING = range(3)
MOMENT = 0.2
# The talker is shown that the bot is at work after so many seconds, and again: platforms show it for five or so.
TYPING_AFTER, TYPING_AGAIN = 0.3, 4.0
# A plugin that was cancelled has so long to end; then the lane goes on without it.
GRACE = 1.0

# Members of an Enum are looked up at some cost, several for every message.
DONE, WAITING = Ending.DONE, Ending.WAITING
ALIAS, FALLBACK, GREETING, QUESTION = Rule.ALIAS, Rule.FALLBACK, Rule.GREETING, Rule.QUESTION

EXCUSES = {
    Ending.FAILED: APOLOGY,
    Ending.TIMEOUT: TOO_SLOW,
    Ending.BUSY: BUSY,
    Ending.EXPIRED: EXPIRED,
    Ending.UNFIT: CHANGED,
}
"""What the talker is told, after whatever the plugin had said."""

REASONS = {
    Ending.DONE: "done",
    Ending.FAILED: "failed",
    Ending.TIMEOUT: "failed",
    Ending.UNFIT: "failed",
    Ending.EXPIRED: "timeout",
    Ending.CANCELLED: "cancelled",
    Ending.REPLACED: "replaced",
}
"""What `on_end` hears."""


@dataclass(slots=True)
class Report:
    """What happened to one event, for `--debug`, tests and metrics."""

    receipt: Receipt
    route: Route
    ending: Ending
    seconds: float


@dataclass(slots=True)
class Services:
    """What all turns share."""

    store: Store
    router: Router
    outbox: Outbox
    workers: Workers
    watch: Watch
    dialogs: Dialogs
    clock: Clock
    timeout: float
    idle: float
    """Seconds after which a dialog ends in which nothing happens."""
    observers: list[Callable[[Report], None]]
    # Kept, because asking for the running loop is a system call (getpid) before Python 3.12.
    loop: asyncio.AbstractEventLoop
    lane_of: Callable[[Address], str]
    receive: Callable[[Event], Any]
    """Take another event, as if it had come from a channel."""
    go_on_without: Callable[[Turn], None]
    """Give the turn's lane to somebody else: its plugin does not end."""
    hand_over: Callable[[Turn], None]
    """The same: its plugin waits for an answer."""
    queued: Callable[[Turn], list[Receipt]]
    """Take messages of the same talker that wait in the lane already."""
    new_run: Callable[..., Run]


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
    secret = False
    """The text of its event is a secret."""
    alias = ""
    deadline = 0.0
    also: tuple[Receipt, ...] | list[Receipt] = ()
    """Messages that were merged with its own."""
    plugin: Plugin | None = None
    """The one that is running."""
    envelope: Mapping[str, Any] | None = None
    """What the channel needs in order to answer, if its event does not have it."""
    _gathered: list[Reply] | tuple[()] = ()
    """Replies that are recorded, and wait for the end of the turn: the channel sends all together."""
    _waits = False
    _typed = 0.0
    """When the talker was last shown that it is at work (loop time); 0.0: never."""
    _stage = ROUTING
    _run: Run | None = None
    _route: Route | None = None
    _steps: list[Step] | tuple[Step, ...] = ()

    def __init__(
        self,
        services: Services,
        receipt: Receipt,
        state: State | None,
        messages: list[Message],
        dialogs: tuple[Dialog, ...] = (),
    ) -> None:
        event = receipt.event
        self._services = services
        self.receipt = receipt
        self._known = state is not None
        self._state = state = state if state is not None else State(talker=event.address.talker)
        self._subject, self._data, self._greeted = state.subject, state.data, state.greeted
        self.messages = messages
        self._dialogs = dialogs
        self._loop = services.loop
        self.task: asyncio.Task[Any] | None = asyncio.current_task(services.loop)
        """The task of the plugin that is running, or about to."""
        self.started = self._loop.time()
        self._said: list[Message] = []
        self._marked: list[Message] = []
        self._early: list[tuple[list[Reply], list[Message], asyncio.Future[None]]] = []
        # A re-run turn says its first replies again; those were recorded before the crash.
        self._recorded = receipt.replied
        if receipt.gathered:
            self._gathered = list(receipt.gathered)

    async def run(self) -> None:
        """Route and answer the event, then commit."""
        event = self.receipt.event
        if event.kind == "message":
            self.messages.append(event.message)
            await self._answer()
        elif event.kind == "connect":
            await self._greet()
        else:
            await waiting.at_deadline(self, event)
        await self._commit()

    async def _greet(self) -> None:
        if not self._greeted:
            self._greeted = True
            route = self._services.router.greeting()
            if route.plugin is not None:
                await self._give(route, route.plugin, None)

    async def _answer(self) -> None:
        """The rules that know dialogs come first; they are few, and most messages have none."""
        event = self.receipt.event
        text = event.message.text
        if (event.answer is not None or text.startswith(("/", "!"))) and await waiting.by_id(self, event):
            return
        if self._subject:
            self._let_go_if_idle()
        if not self._dialogs and self._greeted:
            await self._follow(await self._services.router.choose(text, self._subject, identity=event.identity))
            return
        open_question = await waiting.open_question(self, event) if self._dialogs else None
        asked = open_question.question if open_question is not None else None
        route = await self._services.router.choose(
            text,
            self._subject,
            going_on=bool(self._dialogs),
            asked=asked is not None,
            literal=asked is not None and asked.literal,
            identity=event.identity,
        )
        if route.rule is QUESTION and open_question is not None and _gives_way(open_question, text):
            await self.go_on(open_question, None, route, end="replaced")
            open_question = asked = None
            route = await self._services.router.choose(
                text, self._subject, going_on=bool(self.dialogs), identity=event.identity
            )
        if route.rule is QUESTION and open_question is not None:
            route = await self._interruption(open_question, text) or route
        if route.rule is QUESTION and open_question is not None:
            asks = Route(self.plugin_of(open_question), open_question.alias, 1.0, QUESTION)
            await self.go_on(open_question, event, asks)
            return
        self._route = route
        if not self._greeted:
            # Where a channel has no connect event, the first message brings the greeting along: never in
            # rooms, and never twice from the plugin that answers anyway.
            greeter = self._services.router.greeting().plugin
            if greeter is not None and greeter is not route.plugin and not event.address.room:
                await self._greet()
            self._greeted = True
        await self._follow(route)
        if asked is not None and asked.text and route.rule is ALIAS and self._floor_is_free:
            # Interrupted: the question is put again.
            again = Message(asked.text)
            again.question = asked
            self.say(again)

    def _follow(self, route: Route) -> Coroutine[Any, Any, None]:
        """To be awaited: do what a route says."""
        if route.rule is ALIAS and route.plugin is not None:
            return self._give(route, route.plugin, self.receipt.event.message)
        return self._follow_rule(route)

    async def _follow_rule(self, route: Route) -> None:
        message = self.receipt.event.message
        if route.rule in CANCELS:
            ended = await waiting.cancel(self)
            if route.plugin is None:
                going_on = ended or bool(self._subject) or self.receipt.cut
                self._append(CANCELLED if going_on else NOTHING_TO_CANCEL)
                self.release()
                self.report(route, DONE)
                return
            self.receipt.cut = self.receipt.cut or ended
        if route.rule in UNKNOWN and self._dialogs and self.receipt.event.address.room:
            # Somebody else is asked in this room; what others say to each other is not for the bot.
            self.report(route, DONE)
        elif route.plugin is not None:
            await self._give(route, route.plugin, message)
        elif route.rule is Rule.UNKNOWN_COMMAND:
            self._append(UNKNOWN_COMMAND.format(route.alias, route.near))
            self.report(route, DONE)
        else:
            log.warning("no plugin for a message, and none holds %r", route.alias)
            self.report(route, DONE)

    async def _interruption(self, dialog: Dialog, text: str) -> Route | None:
        """Another plugin that a message calls for so clearly that an interruptible dialog steps aside."""
        plugin = self.plugin_of(dialog)
        question = dialog.question
        if plugin is None or not plugin.interruptible or question is None or question.literal:
            return None
        free = question.kind is Kind.TEXT
        if not free and understand(question, text) is not None:
            return None
        found = await self._services.router.choose(text)
        clear = found.rule is ALIAS and (found.score >= 1.0 or not free)
        return found if clear and found.plugin is not plugin else None

    @property
    def _floor_is_free(self) -> bool:
        return not self._subject and not any(not step.ended for step in self._steps)

    def _let_go_if_idle(self) -> None:
        """A subject in which nothing was said for long is over."""
        plugin = self._services.router.holder(self._subject)
        if plugin is None or len(self.messages) < 2:
            return
        limit = plugin.idle_timeout if plugin.idle_timeout is not None else self._services.idle
        if self._services.clock.time() - self.messages[-2].timestamp > limit:
            self.release()
            self.on_end(plugin, Conversation(self._state.uuid, self._state.talker), "idle")

    def release(self) -> None:
        """Nobody has the floor."""
        self._subject, self._data = "", "{}"

    async def _give(self, route: Route, plugin: Plugin, message: Message | None) -> None:
        """Run one plugin and move the floor."""
        if self.cancelled:
            self.report(route, Ending.CANCELLED)
            return
        event = self.receipt.event
        if plugin.roles and not may_use(event.identity, plugin.roles):
            self._refuse(route, plugin, NOT_ALLOWED)
            return
        if plugin.dm_only and event.address.room:
            self._refuse(route, plugin, IN_PRIVATE)
            await self._offer_private(route, event.address)
            return
        if plugin.busy == "merge" and message is not None and not self.receipt.recovered:
            message = await self._merge(plugin, message)
            if self.cancelled:
                # While it waited for more.
                self.report(route, Ending.CANCELLED)
                return
        arguments = drawn = None
        if route.rule is Rule.COMMAND and plugin.arguments is not None and message is not None:
            try:
                line = commands.split(message.text)[1]
                arguments = plugin.arguments.parse(line)
                drawn = plugin.arguments.drawn(line, arguments)
            except UsageError as exc:
                self._append(USAGE.format(exc, plugin.usage(message.text.lstrip()[0])))
                self.report(route, Ending.REFUSED)
                return
            except Exception:  # the edge: validators are the plugin's
                log.exception("the arguments of plugin %s failed", plugin.name)
                self._append(APOLOGY)
                self.report(route, Ending.FAILED)
                return
        holds = self._holds(plugin)
        before = self._data if holds else "{}"
        # The greeting before a first answer is a run of its own.
        number = -self.receipt.seq if route.rule is GREETING and message is None and event.kind != "connect" else 0
        run = self._services.new_run(self._services, plugin, self, number or self.receipt.seq)
        conversation = Conversation(
            self._state.uuid,
            self._state.talker,
            bool(self._subject) or self.receipt.cut or bool(self._dialogs and self.dialogs),
            route.alias,
            self.messages,
            json.loads(before) if before != "{}" else {},
        )
        run.package = Package(
            conversation,
            run.say,
            address=event.address,
            message=message,
            matched=route.rule is not FALLBACK,
            identity=event.identity,
            arguments=arguments,
            run=run,
        )
        self._route, self.alias = route, route.alias
        if plugin.is_async:
            run.before = before
            run.drawn = drawn
            run.message = message
            if self.receipt.recovered and (dialog := self.find(run.number)) is not None:
                run.replay(dialog, await self._services.store.entries(dialog.id))
        ending, complete = await run.begin()
        self.settle(route, run, ending, complete)
        if run.passes_on is not None and ending is DONE:
            await self._pass_on(*run.passes_on)

    async def _pass_on(self, alias: str, message: Message | None) -> None:
        """Give the message that a dialog began with to whom it is meant for."""
        if message is not None:
            # As it is in the history: a journal has no files.
            said = (m for m in reversed(self.messages) if not m.from_bot and m.timestamp == message.timestamp)
            message = next((m for m in said if m.text == message.text), message)
        route = self._services.router.meant(alias)
        if route.plugin is not None:
            await self._give(route, route.plugin, message)
        else:
            log.warning("no plugin for a message, and none holds %r", route.alias)
            self.report(route, DONE)

    def find(self, number: int) -> Dialog | None:
        """A dialog of this conversation by its number."""
        return next((dialog for dialog in self._dialogs if dialog.id == number), None)

    def _holds(self, plugin: Plugin) -> bool:
        return bool(self._subject) and plugin.context.plugins.table.get(self._subject) is plugin

    async def _merge(self, plugin: Plugin, message: Message) -> Message:
        """One message of all that were sent in a row."""
        if plugin.debounce:
            await asyncio.sleep(plugin.debounce)
        self.also = self._services.queued(self)
        if not self.also:
            return message
        parts = list(message.parts)
        for receipt in self.also:
            self.messages.append(receipt.event.message)
            parts += receipt.event.message.parts
        return Message(parts, message.author, message.timestamp, message.id)

    async def _offer_private(self, route: Route, address: Address) -> None:
        direct = self._services.outbox.sender_method(address.channel, "direct")
        if direct is not None:
            there: Address = await direct(address)
            self._services.outbox.tell(there, GO_ON_HERE.format(route.alias))

    def plugin_of(self, dialog: Dialog) -> Plugin | None:
        """Whose dialog it is, None if that plugin is no longer loaded."""
        return self._services.router.by_key(dialog.plugin)

    async def go_on(self, dialog: Dialog, event: Event | None, route: Route, *, end: str = "") -> None:
        """Bring an event to a dialog, or its end."""
        if event is not None and event.kind == "message" and dialog.question is not None and dialog.question.secret:
            # Before anything else, whatever becomes of it: refused, too slow, for a plugin that is gone.
            self.secret = True
        if self.cancelled:
            self.report(route, Ending.CANCELLED)
            return
        plugin = self.plugin_of(dialog)
        self._route = route
        run = self._services.dialogs.take(dialog.id)
        if plugin is None or (run is not None and run.plugin is not plugin):
            # Loaded anew, or gone.
            if run is not None:
                run.detach()
            run = None
        if plugin is None:
            self._lost(dialog, route, "is not loaded any more")
            return
        if event is not None and event.kind == "message" and plugin.roles and not may_use(event.identity, plugin.roles):
            if run is not None:
                self._services.dialogs.keep(run)
            self._append(NOT_ALLOWED)
            self.report(route, Ending.REFUSED)
            return
        self.alias = dialog.alias
        if run is not None:
            run.ending = end
            ending, complete = await run.resume(self, event)
        else:
            run = self._services.new_run(self._services, plugin, self, dialog.id)
            run.replay(dialog, await self._services.store.entries(dialog.id))
            if self.cancelled:
                # Meanwhile.
                self.report(route, Ending.CANCELLED)
                return
            run.ending_later = end
            try:
                self._again(run, dialog)
            except Unfit as exc:
                self._lost(dialog, route, str(exc))
                return
            ending, complete = await run.again(event if event is not None else Event(dialog.address, Message()))
        self.settle(route, run, ending, complete)
        if run.passes_on is not None and ending is DONE:
            await self._pass_on(*run.passes_on)

    def _lost(self, dialog: Dialog, route: Route, why: str) -> None:
        """A dialog cannot go on."""
        log.error("a dialog ends, its plugin %s %s", dialog.plugin, why)
        self._steps = [*self._steps, Step(dialog, ended=True)]
        self._append(CHANGED)
        self.report(route, Ending.UNFIT)

    def _again(self, run: Run, dialog: Dialog) -> None:
        """The package that a dialog began with. Raises Unfit."""
        start = waiting.load_start(dialog.start)
        run.before = start.data
        run.drawn = start.drawn
        arguments = None
        if start.drawn is not None and run.plugin.arguments is not None and start.message is not None:
            try:
                arguments = run.plugin.arguments.parse(commands.split(start.message.text)[1], start.drawn)
            except Exception as exc:  # the edge: validators are the plugin's
                raise Unfit("no longer takes the arguments that it began with") from exc
        conversation = Conversation(
            self._state.uuid, self._state.talker, start.ongoing, dialog.alias, self.messages, json.loads(start.data)
        )
        run.package = Package(
            conversation,
            run.say,
            address=dialog.address,
            message=start.message,
            matched=start.matched,
            identity=self.receipt.event.identity or start.identity,
            arguments=arguments,
            run=run,
        )

    def settle(self, route: Route, run: Run, ending: Ending, complete: bool) -> None:
        """What a run leaves behind in this turn."""
        if self.abandoned:
            log.warning("plugin %s came back at last; its turn was over long ago", run.plugin.name)
            raise Abandoned
        plugin, package = run.plugin, run.package
        assert package is not None
        holds = self._holds(plugin)
        data = run.before
        if ending in (DONE, WAITING):
            try:
                data = to_json(plugin, package.conversation.data)
            except DataError as exc:
                log.error("%s", exc)
                if ending is WAITING:
                    run.detach()
                ending = Ending.FAILED
        if ending is WAITING:
            self._wait(run, data)
            if holds:
                self._data = data
        else:
            if run.dialog is not None:
                self._steps = [*self._steps, run.step(self, data, ended=True)]
            if route.rule in CANCELS and not run.asked:
                self.release()
            elif ending is DONE:
                if _keeps_floor(route, run, package, complete, data != run.before):
                    if not holds:
                        self._subject = route.alias
                    self._data = data
                elif holds or not self._subject:
                    # Else a command was answered aside: the subject that is going on stays as it is.
                    self.release()
            elif run.dialog is not None and holds:
                self.release()
            if run.dialog is not None or (holds and not self._subject):
                self.on_end(plugin, package.conversation, run.ending or REASONS.get(ending, "done"))
        if ending in (DONE, WAITING):
            self._marked += package.marked()
        else:
            package.unmark()
        if ending in EXCUSES:
            self._append(EXCUSES[ending])
        if ending is not WAITING:
            # They know each other: taken apart here, they need not wait for the garbage collector.
            run.package = self._run = None
        self.report(route, ending)

    def _wait(self, run: Run, data: str) -> None:
        """The run is a dialog from now on, or goes on being one."""
        plugin = run.plugin
        if run.question is not None:
            limit = plugin.idle_timeout if plugin.idle_timeout is not None else self._services.idle
            if limit < math.inf:
                idle = self._services.clock.time() + limit
                run.deadline = min(run.deadline, idle) if run.deadline is not None else idle
        if not run.start:
            run.start = waiting.dump_start(run)
        step = run.step(self, data)
        self._steps = [*self._steps, step]
        if run.number not in {dialog.id for dialog in self._dialogs} and len(self._dialogs) >= MOST_DIALOGS:
            self._end_oldest()
        self._services.dialogs.keep(run)
        if step.dialog.deadline is not None:
            self._services.dialogs.due_at(step.dialog.deadline)

    def _end_oldest(self) -> None:
        """Somebody begins dialogs and answers none: the oldest gives way, so that each message stays cheap."""
        oldest = self._dialogs[0]
        log.warning("a conversation has %d open dialogs; the oldest ends", len(self._dialogs))
        if (kept := self._services.dialogs.take(oldest.id)) is not None:
            kept.detach()
        self._steps = [*self._steps, Step(oldest, ended=True)]

    async def finish_waiting(self) -> None:
        """In another task: the plugin that this turn began with waits, and the turn ends."""
        run, route = self._run, self._route
        assert run is not None
        assert route is not None
        self._run = None
        self.task = asyncio.current_task(self._services.loop)
        turn_id.set(self.receipt.seq)
        self.settle(route, run, WAITING, False)
        event = self.receipt.event
        if route.rule is GREETING and event.kind == "message":
            # It was greeted with a question, and its message has not been answered yet.
            self._greeted = True
            text = event.message.text
            await self._follow(await self._services.router.choose(text, self._subject, identity=event.identity))
        await self._commit()

    def on_end(self, plugin: Plugin, conversation: Conversation, reason: str) -> None:
        """Tell the plugin that its dialog or subject is over, apart from the turn."""
        if plugin.hears_end:
            self._services.dialogs.in_background(_tell_end(self._services, plugin, conversation, reason))

    def _refuse(self, route: Route, plugin: Plugin, why: str) -> None:
        """Tell the talker that the plugin is not for him; it loses the floor, or nothing else could be said."""
        if route.rule is not GREETING:
            self._append(why)
        if route.rule in CANCELS or self._holds(plugin):
            self.release()
        self.report(route, Ending.REFUSED)

    # Called by the run

    def enter(self, run: Run, limit: float) -> None:
        """A plugin begins, or goes on, for at most `limit` seconds."""
        self._run = run
        self.plugin = run.plugin
        self.deadline = self._loop.time() + limit
        self._waits = False
        self._stage = RUNNING
        self._services.watch.add(self)

    def leave(self) -> None:
        """It has come to an end, or waits."""
        self._stage = ROUTING
        self.plugin = None
        self._services.watch.discard(self)
        if self._typed:
            self.type(on=False)

    def wait_for_thread(self, longest: float) -> None:
        """Its time has not begun yet."""
        self.deadline = self._loop.time() + longest
        self._waits = True

    def got_thread(self, limit: float) -> None:
        """Now it has."""
        self.deadline = self._loop.time() + limit
        self._waits = False

    def say(self, message: str | Message) -> None:
        """Take an answer of the plugin that is running; from the loop or from a thread."""
        if len(self._said) >= MOST_REPLIES:
            raise RuntimeError(f"more than {MOST_REPLIES} answers in one turn")
        self._said.append(self._services.outbox.compose(message))
        if self.talking:
            self._loop.call_soon_threadsafe(self.flush)

    # Called by the watch and the lanes

    def look(self, now: float) -> None:
        """Called now and then while a plugin runs."""
        if self.ended_by is not None:
            if now >= self.ended_at + GRACE and not self.abandoned:
                self.abandoned = True
                self.type(on=False)
                self._services.watch.discard(self)
                self._services.go_on_without(self)
        elif now >= self.deadline:
            self.end(Ending.BUSY if self._waits else Ending.TIMEOUT)
        elif not self.talking and now >= self.started + MOMENT:
            self.flush()
        elif now >= (self._typed + TYPING_AGAIN if self._typed else self.started + TYPING_AFTER):
            self.type(on=True)

    def type(self, *, on: bool) -> None:
        """Show the talker that the bot is at work, or not any more."""
        if on or self._typed:
            self._services.outbox.typing(self.receipt.event.address, on)
        self._typed = self._loop.time() if on else 0.0

    @property
    def repeats(self) -> bool:
        """Whether what is said next was recorded before a crash, so that the talker has it."""
        return len(self._said) < self._recorded

    def grows(self) -> None:
        """The talker sees an answer grow: nothing else shows that the bot is at work."""
        if self._typed < math.inf:
            self.type(on=False)
            self._typed = math.inf

    def end(self, how: Ending) -> bool:
        """Stop the plugin that is running, or about to; False if there is nothing to stop any more.

        An async one is cancelled, a thread is left to itself.
        """
        if self._stage == ENDING or self.ended_by is not None:
            return False
        if self._stage != RUNNING or self.task is None or self._run is None:
            self.cancelled = True
            return True
        self._run.silence()
        self.ended_by, self.ended_at = how, self._loop.time()
        self.task.cancel()
        return True

    def silence(self) -> None:
        """The server cuts it: what its plugin says on its way out must not stand for a reply of the next try."""
        if self._run is not None:
            self._run.silence()

    async def finish_abandoned(self) -> None:
        """End the turn in the place of the task that does not: what was said stays, the state is as before."""
        turn_id.set(self.receipt.seq)
        ending = self.ended_by or Ending.TIMEOUT
        log.error("turn %d does not end although it was cancelled; its lane goes on without it", self.receipt.seq)
        if ending in EXCUSES:
            self._append(EXCUSES[ending])
        run = self._run
        if run is not None and run.dialog is not None:
            self._steps = [*self._steps, Step(run.dialog, ended=True)]
            if run.package is not None:
                self.on_end(run.plugin, run.package.conversation, run.ending or REASONS.get(ending, "done"))
        old = self._state
        self._subject, self._data, self._greeted = old.subject, old.data, True
        await self._commit()

    def _append(self, text: str) -> None:
        self._said.append(self._services.outbox.compose(text))

    def flush(self) -> None:
        """Record and send what was said so far, before the turn has ended."""
        if self._stage == ENDING or self.receipt.failed:
            return  # the commit has it, or it never happened
        self.talking = True
        if len(self._said) > self._recorded:
            replies, said = self._unrecorded()
            done = self._services.store.record(replies, said)
            self._recorded += len(replies)
            if done is not None:
                self._early.append((replies, said, done))
            if self._services.outbox.gathers(self.receipt.event.address.channel):
                self._gathered = [*self._gathered, *replies]
            else:
                self._services.outbox.deliver_soon(self.receipt.lane, replies, done)
            if self._typed and self._typed < math.inf:
                # Clients take a reply for the end of it.
                self._typed = self._loop.time() + TYPING_AFTER - TYPING_AGAIN

    def _unrecorded(self) -> tuple[list[Reply], list[Message]]:
        """Replies that were not recorded yet, and the lines that they add to the history."""
        first, said = self._recorded, self._said[self._recorded :]
        receipt = self.receipt
        event = receipt.event
        number = self._services.store.next_number
        kept = bool(said) and self._services.outbox.keeps(event.address)
        envelope = event.message.envelope or self.envelope
        if envelope is not None:
            for message in said:
                message.envelope = message.envelope or envelope
        replies = [
            Reply(number(), receipt.seq, first + n, receipt.lane, event.address, message, kept=kept)
            for n, message in enumerate(said)
        ]
        # The talker's own line comes before the first answer, once.
        if event.kind == "message" and not receipt.archived:
            receipt.archived = True
            own = self._masked(event.message) if self.secret else event.message
            said = [own, *(other.event.message for other in self.also), *said] if self.also else [own, *said]
        return replies, said

    def _masked(self, message: Message) -> Message:
        masked = Message(MASK, message.author, message.timestamp, message.id)
        # For the plugins that are told what was said lately, too.
        self.messages[:] = [masked if m is message else m for m in self.messages]
        return masked

    async def _commit(self) -> None:
        self._stage = ENDING
        held: list[Reply] = []
        held_lines: list[Message] = []
        for early, said, recorded in self._early:
            try:
                await recorded
            except StoreError:
                # They went nowhere: they go with the rest.
                held, held_lines = held + early, held_lines + said
        # All numbers are given now: somebody may have been told something with a higher one meanwhile.
        _number_anew(self._services.store, held)
        replies, lines = self._unrecorded()
        if self._steps and replies:
            replies[0].message.closes = self._closed()
        replies, lines = held + replies, held_lines + lines
        old, state = self._state, None
        if not self._known or (self._subject, self._data, self._greeted) != (old.subject, old.data, old.greeted):
            state = State(old.uuid, old.talker, self._subject, self._greeted, self._data)
        outcome = Outcome(
            self.receipt, state, lines, replies, self._marked, self._steps, secret=self.secret, also=self.also
        )
        done: Done = self._services.store.commit(outcome)
        if self._gathered:
            replies = [*(reply for reply in self._gathered if reply not in held), *replies]
        if (done is None or await committed(self._services.store, outcome, done)) and replies:
            await self._services.outbox.deliver(self.receipt.lane, replies, None)

    def _closed(self) -> tuple[str, ...]:
        """The ids of the questions that were open before this turn and are not any more."""
        asked = {dialog.id: dialog.question for dialog in self._dialogs}
        for step in self._steps:
            asked[step.dialog.id] = None if step.ended else step.dialog.question
        still = {question.id for question in asked.values() if question is not None}
        before = (dialog.question for dialog in self._dialogs if dialog.question is not None)
        return tuple(question.id for question in before if question.id not in still)

    def report(self, route: Route, ending: Ending) -> None:
        """Tell observers and the log."""
        if not self._services.observers and not log.isEnabledFor(logging.DEBUG):
            return
        seconds = self._loop.time() - self.started
        log.debug("%s: %r by %s, score %.2f, %.3f s", ending, route.alias, route.rule, route.score, seconds)
        for observer in self._services.observers:
            observer(Report(self.receipt, route, ending, seconds))

    # For the rules of waiting.py

    @property
    def gathered(self) -> Sequence[Reply]:
        """Replies that are recorded and have not been handed over yet."""
        return self._gathered

    @property
    def services(self) -> Services:
        """What all turns share."""
        return self._services

    @property
    def dialogs(self) -> tuple[Dialog, ...]:
        """The dialogs of the conversation, oldest question first, without those that this turn has ended."""
        ended = {step.dialog.id for step in self._steps if step.ended}
        return tuple(dialog for dialog in self._dialogs if dialog.id not in ended) if ended else self._dialogs

    def answer(self, text: str) -> None:
        """Say something of the core's own."""
        self._append(text)


def _number_anew(store: Store, replies: list[Reply]) -> None:
    """Replies that nobody has seen come after all that was said meanwhile: ids grow in the order of sending."""
    for reply in replies:
        reply.id = store.next_number()


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
            _number_anew(store, outcome.replies)
            done = store.commit(outcome)
        else:
            break
    return True


def _gives_way(dialog: Dialog, text: str) -> bool:
    """Whether a question of the core's own is over because something else was said."""
    question = dialog.question
    return dialog.plugin == did_you_mean.KEY and question is not None and understand(question, text) is None


def _keeps_floor(route: Route, run: Run, package: Package, complete: bool, wrote: bool) -> bool:
    plugin = run.plugin
    if package.finished:
        return False
    if route.rule is GREETING:
        # Everybody is greeted: only a greeting that began something may hold the talker.
        return wrote and not (plugin.decides and complete) and not run.asked
    if plugin.decides:
        return not complete
    # A consume that asked is complete when it returns.
    return not run.asked and run.dialog is None and (plugin.sticky or wrote)


async def _tell_end(services: Services, plugin: Plugin, conversation: Conversation, reason: str) -> None:
    try:
        async with asyncio.timeout(services.timeout):
            result = await services.workers.run(plugin.name, lambda: plugin.on_end(conversation, reason))
            await maybe(result)
    except Exception:  # the edge: it is the plugin's
        log.exception("on_end of plugin %s failed", plugin.name)
