"""One turn: an event is routed, a plugin runs within its limits, and what it leaves behind is committed."""

from __future__ import annotations

import asyncio
import json
import logging
import math
from collections.abc import Sequence
from typing import Any

from zoozl.chatbot import beginning, deciding, waiting
from zoozl.chatbot.answers import MOST, Answers
from zoozl.chatbot.arguments import UsageError
from zoozl.chatbot.conversation import Conversation
from zoozl.chatbot.deciding import CANCELS
from zoozl.chatbot.excuses import APOLOGY, CHANGED, EXCUSES, GO_ON_HERE, IN_PRIVATE, NOT_ALLOWED, REASONS, USAGE
from zoozl.chatbot.identity import may_use
from zoozl.chatbot.interface import Plugin
from zoozl.chatbot.message import Address, Event, Message
from zoozl.chatbot.package import Package
from zoozl.chatbot.ports import Dialog, Receipt, State, Step
from zoozl.chatbot.question import Question
from zoozl.chatbot.router import Route, Rule
from zoozl.chatbot.run import DONE, WAITING, Ending, Run, Unfit, maybe, to_json
from zoozl.chatbot.services import Report, Services
from zoozl.chatbot.trace import turn_id
from zoozl.errors import DataError

log = logging.getLogger(__name__)

MOST_DIALOGS = 100
"""Open at once in one conversation."""
ROUTING, RUNNING, ENDING = range(3)
MOMENT = 0.2
# The talker is shown that the bot is at work after so many seconds, and again: platforms show it for five or so.
TYPING_AFTER, TYPING_AGAIN = 0.3, 4.0
# A plugin that was cancelled has so long to end; then the lane goes on without it.
GRACE = 1.0

# Members of an Enum are looked up at some cost, several for every message.
FALLBACK, GREETING = Rule.FALLBACK, Rule.GREETING


class Abandoned(BaseException):
    """The plugin came back after its lane had gone on without it; nothing of this turn may happen any more."""


class Turn:
    """One event's turn. `run` does it all; the watch and the lanes may end it or flush its replies meanwhile."""

    # What most turns neither change nor look at is a default of the class: one is made for every message.
    ended_at = 0.0
    alias = ""
    deadline = 0.0
    plugin: Plugin | None = None
    """The one that is running."""
    _waits = False
    _stage = ROUTING
    _run: Run | None = None
    route: Route | None = None
    """What was decided about its message."""

    def __init__(
        self,
        services: Services,
        receipt: Receipt,
        state: State | None,
        messages: list[Message],
        dialogs: tuple[Dialog, ...] = (),
    ) -> None:
        event = receipt.event
        self.services = services
        self.receipt = receipt
        self._known = state is not None
        self.state = state = state if state is not None else State(talker=event.address.talker)
        """As it was before."""
        self.subject, self.data, self.greeted = state.subject, state.data, state.greeted
        self.messages = messages
        self.answers = Answers(services, receipt, messages)
        self.open_before = dialogs
        """The dialogs that were open when it began, oldest question first."""
        self._loop = services.loop
        self.task: asyncio.Task[Any] | None = asyncio.current_task(services.loop)
        """The task of the plugin that is running, or about to."""
        self.started = self._loop.time()
        self.talking = False
        """Said things go out while it runs: it has taken longer than a moment."""
        self.ended_by: Ending | None = None
        self.abandoned = False
        self.cancelled = False
        """Cancelled before its plugin was found: it will not run."""
        self.steps: Sequence[Step] = ()
        """Dialogs that began, went on or ended in it."""
        self.marked: Sequence[Message] = ()
        """Messages whose files were consumed in it."""
        self._typed = 0.0
        """When the talker was last shown that it is at work (loop time); 0.0: never."""

    async def run(self) -> None:
        """Route and answer the event, and hand over what it leaves behind to be committed."""
        event = self.receipt.event
        if event.kind == "message":
            self.messages.append(event.message)
            await deciding.answer(self)
        elif event.kind == "connect":
            await deciding.greet(self)
        else:
            await waiting.at_deadline(self, event)
        await self._end()

    def release(self) -> None:
        """Nobody has the floor."""
        self.subject, self.data = "", "{}"

    async def give(self, route: Route, plugin: Plugin, message: Message | None) -> None:
        """Run one plugin and move the floor."""
        if self.cancelled:
            self.report(route, Ending.CANCELLED)
            return
        event, arguments, drawn = self.receipt.event, None, None
        if plugin.guarded:
            admitted = await self._admit(route, plugin, message)
            if admitted is None:
                return
            message, arguments, drawn = admitted
        before = self.data if self.subject and self._holds(plugin) else "{}"
        # The greeting before a first answer is a run of its own.
        number = -self.receipt.seq if route.rule is GREETING and message is None and event.kind != "connect" else 0
        run = self.services.new_run(self.services, plugin, self, number or self.receipt.seq)
        conversation = Conversation(
            self.state.uuid,
            self.state.talker,
            bool(self.subject) or self.receipt.cut or bool(self.open_before and self.dialogs),
            route.alias,
            self.messages,
            json.loads(before) if before != "{}" else {},
        )
        matched = route.rule is not FALLBACK
        run.package = Package(conversation, run.say, event.address, message, matched, event.identity, arguments, run)
        self.route, self.alias = route, route.alias
        if plugin.is_async:
            run.before = before
            run.drawn = drawn
            run.message = message
            if self.receipt.recovered and (dialog := self.find(run.number)) is not None:
                run.replay(dialog, await self.services.store.entries(dialog.id))
        ending, complete = await run.begin()
        self.settle(route, run, ending, complete)
        if run.passes_on is not None and ending is DONE:
            await self._pass_on(*run.passes_on)

    async def _admit(
        self, route: Route, plugin: Plugin, message: Message | None
    ) -> tuple[Message | None, Any, dict[str, Any] | None] | None:
        """What a plugin is given that is not for everybody, or not for every message: None if nothing.

        Else the message, the arguments in it, and what of them was left to chance.
        """
        event = self.receipt.event
        if plugin.roles and not may_use(event.identity, plugin.roles):
            self._refuse(route, plugin, NOT_ALLOWED)
            return None
        if plugin.dm_only and event.address.room:
            self._refuse(route, plugin, IN_PRIVATE)
            await self._offer_private(route, event.address)
            return None
        if plugin.busy == "merge" and message is not None and not self.receipt.recovered:
            message = await self._merge(plugin, message)
            if self.cancelled:
                # While it waited for more.
                self.report(route, Ending.CANCELLED)
                return None
        if route.rule is not Rule.COMMAND or plugin.arguments is None or message is None:
            return message, None, None
        try:
            return message, *beginning.parsed(plugin, message)
        except UsageError as exc:
            self.answer(USAGE.format(exc, plugin.usage(message.text.lstrip()[0])))
            self.report(route, Ending.REFUSED)
        except Exception:  # the edge: validators are the plugin's
            log.exception("the arguments of plugin %s failed", plugin.name)
            self.answer(APOLOGY)
            self.report(route, Ending.FAILED)
        return None

    async def _pass_on(self, alias: str, message: Message | None) -> None:
        """Give the message that a dialog began with to whom it is meant for."""
        if message is not None:
            # As it is in the history: a journal has no files.
            said = (m for m in reversed(self.messages) if not m.from_bot and m.timestamp == message.timestamp)
            message = next((m for m in said if m.text == message.text), message)
        route = self.services.router.meant(alias)
        if route.plugin is not None:
            await self.give(route, route.plugin, message)
        else:
            log.warning("no plugin for a message, and none holds %r", route.alias)
            self.report(route, DONE)

    def find(self, number: int) -> Dialog | None:
        """A dialog of this conversation by its number."""
        return next((dialog for dialog in self.open_before if dialog.id == number), None)

    def _holds(self, plugin: Plugin) -> bool:
        return plugin.context.plugins.table.get(self.subject) is plugin

    async def _merge(self, plugin: Plugin, message: Message) -> Message:
        """One message of all that were sent in a row."""
        if plugin.debounce:
            await asyncio.sleep(plugin.debounce)
        also = self.answers.also = self.services.queued(self)
        if not also:
            return message
        parts = list(message.parts)
        for receipt in also:
            self.messages.append(receipt.event.message)
            parts += receipt.event.message.parts
        return Message(parts, message.author, message.timestamp, message.id)

    async def _offer_private(self, route: Route, address: Address) -> None:
        direct = self.services.outbox.sender_method(address.channel, "direct")
        if direct is not None:
            there: Address = await direct(address)
            self.services.outbox.tell(there, GO_ON_HERE.format(route.alias))

    def plugin_of(self, dialog: Dialog) -> Plugin | None:
        """Whose dialog it is, None if that plugin is no longer loaded."""
        return self.services.router.by_key(dialog.plugin)

    async def go_on(self, dialog: Dialog, event: Event | None, route: Route, *, end: str = "") -> None:
        """Bring an event to a dialog, or its end."""
        if event is not None and event.kind == "message" and dialog.question is not None and dialog.question.secret:
            # Before anything else, whatever becomes of it: refused, too slow, for a plugin that is gone.
            self.answers.secret = True
        if self.cancelled:
            self.report(route, Ending.CANCELLED)
            return
        plugin = self.plugin_of(dialog)
        self.route = route
        run = self.services.dialogs.take(dialog.id)
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
                self.services.dialogs.put_back(run)
            self.answer(NOT_ALLOWED)
            self.report(route, Ending.REFUSED)
            return
        self.alias = dialog.alias
        if run is not None:
            run.ending = end
            ending, complete = await run.resume(self, event)
        else:
            run = self.services.new_run(self.services, plugin, self, dialog.id)
            run.replay(dialog, await self.services.store.entries(dialog.id))
            if self.cancelled:
                # Meanwhile.
                self.report(route, Ending.CANCELLED)
                return
            run.ending_later = end
            try:
                beginning.once_more(self, run, dialog)
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
        self.steps = [*self.steps, Step(dialog, ended=True)]
        self.answer(CHANGED)
        self.report(route, Ending.UNFIT)

    def settle(self, route: Route, run: Run, ending: Ending, complete: bool) -> None:
        """What a run leaves behind in this turn."""
        if self.abandoned:
            log.warning("plugin %s came back at last; its turn was over long ago", run.plugin.name)
            raise Abandoned
        plugin, package = run.plugin, run.package
        assert package is not None
        holds = bool(self.subject) and self._holds(plugin)
        data = run.before
        if ending is DONE or ending is WAITING:
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
                self.data = data
        else:
            if run.dialog is not None:
                self.steps = [*self.steps, run.step(self, data, ended=True)]
            if route.rule in CANCELS and not run.asked:
                self.release()
            elif ending is DONE:
                if _keeps_floor(route, run, package, complete, data != run.before):
                    if not holds:
                        self.subject = route.alias
                    self.data = data
                elif holds or not self.subject:
                    # Else a command was answered aside: the subject that is going on stays as it is.
                    self.release()
            elif run.dialog is not None and holds:
                self.release()
            if run.dialog is not None or (holds and not self.subject):
                self.on_end(plugin, package.conversation, run.ending or REASONS.get(ending, "done"))
        if ending is DONE or ending is WAITING:
            if marked := package.marked():
                self.marked = [*self.marked, *marked]
        else:
            package.unmark()
            if ending in EXCUSES:
                self.answer(EXCUSES[ending])
        if ending is not WAITING:
            # They know each other: taken apart here, they need not wait for the garbage collector.
            run.package = self._run = None
        self.report(route, ending)

    def _wait(self, run: Run, data: str) -> None:
        """The run is a dialog from now on, or goes on being one."""
        plugin = run.plugin
        if run.question is not None:
            limit = plugin.idle_timeout if plugin.idle_timeout is not None else self.services.idle
            if limit < math.inf:
                idle = self.services.clock.time() + limit
                run.deadline = min(run.deadline, idle) if run.deadline is not None else idle
        if not run.start:
            run.start = beginning.dump_start(run)
        step = run.step(self, data)
        self.steps = [*self.steps, step]
        if len(self.open_before) >= MOST_DIALOGS and self.find(run.number) is None:
            self._end_oldest()
        self.services.dialogs.keep(run)
        if step.dialog.deadline is not None:
            self.services.dialogs.due_at(step.dialog.deadline)

    def _end_oldest(self) -> None:
        """Somebody begins dialogs and answers none: the oldest gives way, so that each message stays cheap."""
        oldest = self.open_before[0]
        log.warning("a conversation has %d open dialogs; the oldest ends", len(self.open_before))
        if (kept := self.services.dialogs.take(oldest.id)) is not None:
            kept.detach()
        self.steps = [*self.steps, Step(oldest, ended=True)]

    async def finish_waiting(self) -> None:
        """In another task: the plugin that this turn began with waits, and the turn ends."""
        run, route = self._run, self.route
        assert run is not None
        assert route is not None
        self._run = None
        self.task = asyncio.current_task(self.services.loop)
        turn_id.set(self.receipt.seq)
        self.settle(route, run, WAITING, False)
        event = self.receipt.event
        if route.rule is GREETING and event.kind == "message":
            # It was greeted with a question, and its message has not been answered yet.
            self.greeted = True
            text = event.message.text
            await deciding.follow(self, await self.services.router.choose(text, self.subject, identity=event.identity))
        await self._end()

    def on_end(self, plugin: Plugin, conversation: Conversation, reason: str) -> None:
        """Tell the plugin that its dialog or subject is over, apart from the turn."""
        if plugin.hears_end:
            self.services.dialogs.in_background(_tell_end(self.services, plugin, conversation, reason))

    def _refuse(self, route: Route, plugin: Plugin, why: str) -> None:
        """Tell the talker that the plugin is not for him; it loses the floor, or nothing else could be said."""
        if route.rule is not GREETING:
            self.answer(why)
        if route.rule in CANCELS or (self.subject and self._holds(plugin)):
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
        self.services.watch.add(self)

    def leave(self) -> None:
        """It has come to an end, or waits."""
        self._stage = ROUTING
        self.plugin = None
        self.services.watch.discard(self)
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

    def say(self, message: str | Message, question: Question | None = None) -> None:
        """Take an answer of the plugin that is running; from the loop or from a thread."""
        if len(self.answers) >= MOST:
            raise RuntimeError(f"more than {MOST} answers in one turn")
        self.answers.add(message, question)
        if self.talking:
            self._loop.call_soon_threadsafe(self.flush)

    # Called by the watch and the lanes

    def look(self, now: float) -> None:
        """Called now and then while a plugin runs."""
        if self.ended_by is not None:
            if now >= self.ended_at + GRACE and not self.abandoned:
                self.abandoned = True
                self.type(on=False)
                self.services.watch.discard(self)
                self.services.go_on_without(self)
        elif now >= self.deadline:
            self.end(Ending.BUSY if self._waits else Ending.TIMEOUT)
        elif not self.talking and now >= self.started + MOMENT:
            self.flush()
        elif now >= (self._typed + TYPING_AGAIN if self._typed else self.started + TYPING_AFTER):
            self.type(on=True)

    def type(self, *, on: bool) -> None:
        """Show the talker that the bot is at work, or not any more."""
        if on or self._typed:
            self.services.outbox.typing(self.receipt.event.address, on)
        self._typed = self._loop.time() if on else 0.0

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
            self.answer(EXCUSES[ending])
        run = self._run
        if run is not None and run.dialog is not None:
            self.steps = [*self.steps, Step(run.dialog, ended=True)]
            if run.package is not None:
                self.on_end(run.plugin, run.package.conversation, run.ending or REASONS.get(ending, "done"))
        old = self.state
        self.subject, self.data, self.greeted = old.subject, old.data, True
        await self._end()

    def flush(self) -> None:
        """Record and send what was said so far, before the turn has ended."""
        if self._stage == ENDING or self.receipt.failed:
            return  # the commit has it, or it never happened
        self.talking = True
        if self.answers.flush() and self._typed and self._typed < math.inf:
            # Clients take a reply for the end of it.
            self._typed = self._loop.time() + TYPING_AFTER - TYPING_AGAIN

    async def _end(self) -> None:
        """Hand over what it leaves behind; with most stores it goes on without this task when that is on disk."""
        self._stage = ENDING
        old, state = self.state, None
        if not self._known or (self.subject, self.data, self.greeted) != (old.subject, old.data, old.greeted):
            state = State(old.uuid, old.talker, self.subject, self.greeted, self.data)
        rest = self.answers.commit(state, self.marked, self.steps, self._closed() if self.steps else ())
        if rest is not None:
            await rest

    def _closed(self) -> tuple[str, ...]:
        """The ids of the questions that were open before this turn and are not any more."""
        after = {}
        for step in self.steps:
            after[step.dialog.id] = None if step.ended else step.dialog.question
        closed = []
        for dialog in self.open_before:
            asked = dialog.question
            if asked is not None and dialog.id in after:
                now = after[dialog.id]
                if now is None or now.id != asked.id:
                    closed.append(asked.id)
        return tuple(closed)

    def report(self, route: Route, ending: Ending) -> None:
        """Tell observers and the log."""
        if not self.services.observers and not log.isEnabledFor(logging.DEBUG):
            return
        seconds = self._loop.time() - self.started
        log.debug("%s: %r by %s, score %.2f, %.3f s", ending, route.alias, route.rule, route.score, seconds)
        for observer in self.services.observers:
            observer(Report(self.receipt, route, ending, seconds))

    # For the rules

    @property
    def dialogs(self) -> tuple[Dialog, ...]:
        """The dialogs of the conversation, oldest question first, without those that this turn has ended."""
        if not self.steps:
            return self.open_before
        ended = {step.dialog.id for step in self.steps if step.ended}
        return tuple(dialog for dialog in self.open_before if dialog.id not in ended) if ended else self.open_before

    def answer(self, text: str) -> None:
        """Say something of the core's own."""
        self.answers.add(text)


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
