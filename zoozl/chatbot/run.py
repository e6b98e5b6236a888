"""One run of a plugin's `consume`: begun by one turn, and gone on with by later ones when it asks.

What happens in a run that others must find again is its journal. While the process lives, the coroutine of a run that
asked simply waits, in a task that no lane holds. After a restart `consume` runs again from its start and the journal
answers, until the question that is open.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from zoozl.chatbot import failures
from zoozl.chatbot.message import Event, Message
from zoozl.chatbot.ports import Dialog, Entry, Step
from zoozl.chatbot.question import Question
from zoozl.chatbot.workers import Busy
from zoozl.errors import AskTimeout, DataError, DialogEnded, StoreError
from zoozl.failpoints import hit

if TYPE_CHECKING:
    from zoozl.chatbot.interface import Plugin
    from zoozl.chatbot.package import Package
    from zoozl.chatbot.services import Services
    from zoozl.chatbot.turn import Turn

log = logging.getLogger(__name__)


class Ending(StrEnum):
    """How a plugin's part in a turn ended."""

    DONE = "done"
    WAITING = "waiting"
    """It asked, or sleeps."""
    FAILED = "failed"
    TIMEOUT = "timeout"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    """A question was not answered in time, and the plugin did not mind it."""
    ENDED = "ended"
    """Somebody ended the dialog; the plugin knows."""
    REPLACED = "replaced"
    """Another message came, and its plugin does not finish the first one then."""
    BUSY = "busy"
    REFUSED = "refused"
    UNFIT = "unfit"
    """The journal is of another version of the plugin."""


# Members of an Enum are looked up at some cost, for every message.
DONE, WAITING = Ending.DONE, Ending.WAITING


class Unwound(BaseException):
    """Nobody waits for this task any more: the turn that it began with is over."""


class Unfit(BaseException):
    """The code does not do what the journal says it did."""


class Run:
    """One run. Its package calls `say`, and what is async here; turns call `begin` and `resume`."""

    # What most runs neither change nor look at is a default of the class: one is made for every message.
    journal: list[Entry] | None = None
    """What is replayed, and what is not stored yet; None before the first entry."""
    question: Question | None = None
    deadline: float | None = None
    offer: Event | None = None
    """What the present turn brings to the open question."""
    on_thread = False
    judging = False
    """A `validate` of the plugin's looks at an answer."""
    start = ""
    before = "{}"
    """`conversation.data` as it was at the beginning."""
    drawn: dict[str, Any] | None = None
    """Of a command with arguments: what must be the same if it is run again."""
    message: Message | None = None
    """What it was begun with."""
    passes_on: tuple[str, Message | None] | None = None
    """Who is to have a message when it is done: an alias, or "" for the fallback."""
    _misfit_found: Unfit | None = None
    _tries = 0
    """How often it went on after its end."""
    _cursor = 0
    _stored = 0
    """How many entries of `journal` are stored."""
    _gone = 0
    """How many entries are stored and not in `journal` any more: a dialog that lives needs none of them."""
    _wake: asyncio.Future[None] | None = None
    _handed: asyncio.Future[tuple[Ending, bool]] | None = None

    def __init__(self, services: Services, plugin: Plugin, turn: Turn, number: int) -> None:
        """`number` is that of the event which begins it; negative for the greeting that comes before its answer."""
        self._services = services
        self.plugin = plugin
        self.turn: Turn | None = turn
        self.number = number
        # The turn in which the plugin is, while it goes through the past.
        self._at = abs(number)
        self._first: Turn | None = turn
        self.task = turn.task
        self.package: Package | None = None
        self.dialog: Dialog | None = None
        """As it is stored; None if nothing of it is."""
        self.detached = self.asked = self.silenced = False
        self.ending = self.ending_later = ""
        """Why it has to end; later: as soon as the journal has answered all it can."""

    def replay(self, dialog: Dialog, entries: list[Entry]) -> None:
        """Go through `entries` first."""
        self.dialog, self.journal, self._stored = dialog, entries, len(entries)
        self.start, self.asked = dialog.start, True

    # For the plugin

    def say(self, message: str | Message, question: Question | None = None) -> None:
        """Answer with a text or a Message, which may put `question`; from the loop or a thread. Raises TypeError."""
        turn = self.turn
        if turn is None or self.detached or self.silenced:
            log.warning("an answer came after its turn had ended and is dropped; context.tell() can send one")
        elif self._at == turn.receipt.seq:
            turn.say(message, question)
        # Else it was said in an earlier turn, before the process started again.

    def recorded(self, *kinds: str) -> Entry | None:
        """The next entry of the journal, which must be of one of `kinds`; None when the past is over.

        Raises Unfit; RuntimeError in another task than that of the run, and in a `validate`.
        """
        if self.judging:
            # What it does before the answer is recorded would stand before it, and be in the way of a replay.
            raise RuntimeError("ask, step and their kin belong in consume itself, and not in a validate")
        if asyncio.current_task(self._services.loop) is not self.task:
            # With no order in the journal; and the one that begins it would end while this one waits.
            raise RuntimeError(
                "ask, step and their kin belong in consume itself, one after the other, and not in a task of its own "
                "(asyncio.gather, wait_for, create_task)"
            )
        if self.journal is None or self._cursor >= len(self.journal):
            return None
        entry = self.journal[self._cursor]
        if entry.kind not in kinds:
            raise self._unfit(f"entry {self._cursor} is {entry.kind!r}, and the plugin wants {' or '.join(kinds)}")
        self._cursor += 1
        self._at = entry.seq
        return entry

    def misfit(self, what: str) -> Unfit:
        """To be raised: the entry that was just read says something else."""
        return self._unfit(f"entry {self._cursor - 1} {what}")

    def _unfit(self, what: str) -> Unfit:
        # A plugin may swallow it: then it must not act, and its dialog ends all the same.
        self.silenced = True
        self._misfit_found = Unfit(what)
        return self._misfit_found

    def record(self, kind: str, value: Any) -> Entry:
        """Add to the journal. It is stored when the turn ends, or by `note`."""
        self.check()
        turn, journal = self.turn, self.journal
        assert turn is not None
        if journal is None:
            journal = self.journal = []
        self._at = seq = turn.receipt.seq
        entry = Entry(seq, kind, value)
        journal.append(entry)
        self._cursor = len(journal)
        return entry

    async def note(self) -> None:
        """Store the journal now. Raises StoreError."""
        self.check()
        turn = self.turn
        assert turn is not None
        step = self.step(turn, self.data())
        done = self._services.store.note(step)
        try:
            if done is not None:
                await done
        except StoreError:
            self._store_again(step.entries)
            raise

    def check(self) -> None:
        """Raise if the run may not act any more."""
        # Silenced: its turn is being ended, whatever it makes of being cancelled.
        if self.detached or self.silenced or self.turn is None:
            raise asyncio.CancelledError
        if self.ending:
            raise DialogEnded(self.ending)

    @property
    def is_over(self) -> bool:
        """Whether it may not act any more."""
        return bool(self.detached or self.silenced or self.ending)

    async def linger(self) -> None:
        """Take time when the run is over: a plugin that catches everything and tries again must not hold the loop."""
        self._tries += 1
        if self._tries > 1:
            await asyncio.sleep(min(0.001 * 2 ** min(self._tries, 16), 60.0))

    async def wait(self, question: Question | None, deadline: float | None) -> Event:
        """What comes to a question, or at a deadline. Raises DialogEnded."""
        self.check()
        if self.ending_later:
            self.ending = self.ending_later
            self.offer = None
            if self.turn is not None:
                self._at = self.turn.receipt.seq
            self.check()
        if self.offer is None or not self._was_open(question, deadline):
            self.offer = None
            wake = self._park(question, deadline)
            try:
                await wake
            except asyncio.CancelledError:
                self._gave_up()
                raise
            finally:
                self._wake = None
            if self.detached:
                raise asyncio.CancelledError
        offer, self.offer = self.offer, None
        if self.turn is not None:
            # From here on it is the present.
            self._at = self.turn.receipt.seq
        if self.ending:
            raise DialogEnded(self.ending)
        assert offer is not None
        return offer

    def _was_open(self, question: Question | None, deadline: float | None) -> bool:
        """Whether the offer is for this; a crash may have cut its turn after the journal had taken it."""
        dialog = self.dialog
        if dialog is None:
            return True
        if dialog.question is None or question is None:
            return dialog.question is question and dialog.deadline == deadline
        return dialog.question.id == question.id

    def _park(self, question: Question | None, deadline: float | None) -> asyncio.Future[None]:
        """The turn ends without this run; what is given is done when another one goes on with it."""
        turn = self.turn
        assert turn is not None
        if turn.abandoned:
            self.detached = True
            raise asyncio.CancelledError
        if self._wake is not None:
            raise RuntimeError("one question at a time: the last one is still open")
        self.asked = True
        self.silenced = False
        self.question, self.deadline = question, deadline
        wake = self._wake = self._services.loop.create_future()
        turn.leave()
        self.turn = None
        if turn is self._first:
            # The lane goes on with another task, and this one waits.
            self._services.hand_over(turn)
        else:
            self._hand(WAITING, False)
        return wake

    def _gave_up(self) -> None:
        """It was cancelled while it waited; by its own doing, if it has no turn, and then nothing can come of it."""
        if self.turn is None and not self.detached:
            log.warning(
                "plugin %s gave up a question by itself (asyncio.timeout?), which stays open: use timeout= of ask",
                self.plugin.name,
            )
            self.detached = True
            self._services.dialogs.take(self.number)

    def now(self) -> float:
        """Seconds since the epoch, by the clock of the bot."""
        return self._services.clock.time()

    def new_id(self) -> str:
        """A name for a question, never given before."""
        return f"{self._services.store.next_number():x}"

    @property
    def talker(self) -> str:
        """Who is asked."""
        assert self.package is not None
        return self.package.address.talker

    def shows(self, what: str) -> bool:
        """Whether the channel can show "forms", "choices" ..."""
        assert self.package is not None
        return self._services.outbox.shows(self.package.address, what)

    def heard(self, message: Message, talker: str) -> None:
        """An answer came from `talker`: that is what the plugin has before it now."""
        if self.package is not None:
            self.package.heard(message, talker)

    def keep_secret(self) -> None:
        """The text of the present event must stay nowhere."""
        if self.turn is not None:
            self.turn.answers.secret = True

    def need_vault(self) -> None:
        """Raise VaultError if there is no key: before a secret is asked for, not after."""
        self.plugin.context.vault.seal("")

    def seal(self, value: Any) -> dict[str, Any]:
        """A secret answer as it may be stored."""
        return {"sealed": self.plugin.context.vault.seal(json.dumps(value), str(self.number))}

    def unseal(self, packed: dict[str, Any]) -> Any:
        """The reverse of `seal`."""
        return json.loads(self.plugin.context.vault.open(packed["sealed"], str(self.number)))

    async def history(self, limit: int) -> list[Message]:
        """The latest messages of the place: the channel's own, or those that were kept."""
        assert self.package is not None
        address = self.package.address
        own = self._services.outbox.sender_method(address.channel, "history")
        if own is not None:
            found: list[Message] = await own(address, limit)
            return found
        messages, _ = await self._services.store.history(self._services.lane_of(address), 0, limit)
        return messages

    async def show(self, key: str, text: str) -> None:
        """Show how far an answer that grows has come, where the channel can."""
        turn = self.turn
        if turn is None or self.detached or self._at != turn.receipt.seq or self.package is None:
            return
        outbox = self._services.outbox
        stream = outbox.sender_method(self.package.address.channel, "stream")
        if stream is None or turn.answers.repeats:
            return
        # What was said before it stands above it: until that has gone out, there is nothing to be seen.
        turn.flush()
        if not outbox.busy(turn.receipt.lane):
            turn.grows()
            await stream(turn.receipt.event.address, key, text)

    # For turns

    def data(self) -> str:
        """`conversation.data` as JSON. Raises DataError."""
        assert self.package is not None
        return to_json(self.plugin, self.package.conversation.data)

    def step(self, turn: Turn, data: str, *, ended: bool = False) -> Step:
        """What has to be stored, with what has come to the journal since the last time."""
        journal = self.journal if self.journal is not None else []
        new = tuple(journal[self._stored :])
        self._stored = length = len(journal)
        entries = self._gone + length
        if self._cursor == length:
            # All in the past: an endless dialog must not grow.
            self._gone, self._stored, self._cursor = entries, 0, 0
            journal.clear()
        earlier, question, deadline = self.dialog, self.question, self.deadline
        if earlier is None:
            plugin, alias, address = self.plugin.key, turn.alias, turn.receipt.event.address
        else:
            plugin, alias, address = earlier.plugin, earlier.alias, earlier.address
            if question is None and deadline is None:
                # The turn goes on: if a crash cuts it, its event must find the dialog as it did before.
                question, deadline = earlier.question, earlier.deadline
        self.dialog = Dialog(
            self.number, turn.receipt.lane, plugin, alias, address, self.start, data, question, deadline, entries
        )
        return Step(self.dialog, new, ended)

    def _store_again(self, entries: tuple[Entry, ...]) -> None:
        """They could not be stored."""
        assert self.journal is not None
        if self._gone:
            self._gone -= len(entries)
            self.journal[:0] = entries
            self._cursor += len(entries)
        else:
            self._stored -= len(entries)

    async def begin(self, offer: Event | None = None) -> tuple[Ending, bool]:
        """Run the plugin in the task of the turn; how it ended, and whether its subject is complete.

        Comes back with WAITING, or not at all, when it asks: then the lane has gone on with another task.
        """
        first, plugin, package = self.turn, self.plugin, self.package
        assert first is not None
        assert package is not None
        self.offer = offer
        self._enter(first)
        hit("before-consume")
        ending, complete = DONE, True
        try:
            if plugin.is_async:
                await plugin.consume(package)
                if self._misfit_found is not None:
                    raise self._misfit_found
                if self.journal is not None and self._cursor < len(self.journal):
                    raise Unfit(f"the plugin returned before entry {self._cursor}")
                if plugin.decides:
                    complete = await maybe(plugin.is_complete(package))
            else:
                self.on_thread = True
                complete = await self._in_thread(package)
        except KeyboardInterrupt:
            raise
        except BaseException as exc:  # the edge: a plugin's fault, sys.exit() included, ends its turn and nothing else
            ending = self._failed(exc)
        finally:
            # The turn that it belongs to now.
            last, self.turn = self.turn, None
            if last is not None:
                last.leave()
        hit("after-consume")
        if self.detached or last is None:
            raise Unwound
        if last.ended_by is not None:
            ending, complete = last.ended_by, False
            last.ended_by = None
            if self.task is not None:
                self.task.uncancel()
            log.warning("plugin %s was stopped: %s", plugin.name, ending)
        if last is first and self._handed is None:
            return ending, bool(complete)
        self._hand(ending, bool(complete))
        raise Unwound

    def _failed(self, exc: BaseException) -> Ending:
        """How a run ends that ended by an exception. Raises it if the server is stopping."""
        if self.detached:
            return Ending.CANCELLED
        exc = self._misfit_found or exc
        name = self.plugin.name
        if isinstance(exc, asyncio.CancelledError):
            turn = self.turn
            if turn is not None and turn.ended_by is not None:
                return turn.ended_by
            if turn is None or self.task is None or self.task.cancelling():
                raise exc  # the event stays in the inbox
            log.error("plugin %s failed: it awaited something that was cancelled", name, exc_info=exc)
        elif isinstance(exc, AskTimeout):
            return Ending.EXPIRED
        elif isinstance(exc, DialogEnded):
            return Ending.ENDED
        elif isinstance(exc, Unfit):
            log.error("a dialog with plugin %s ends, its code has changed: %s", name, exc)
            return Ending.UNFIT
        elif isinstance(exc, Busy):
            log.error("plugin %s has too many threads that do not come back", name)
            return Ending.BUSY
        else:
            log.error("plugin %s failed", name, exc_info=exc)
        return Ending.FAILED

    async def again(self, offer: Event) -> tuple[Ending, bool]:
        """Begin once more, from the journal; like `resume`, it comes back when the plugin asks."""
        turn = self.turn
        assert turn is not None
        self._first = None
        self._handed = self._services.loop.create_future()
        self.task = self._services.loop.create_task(self._apart(offer))
        return await self._until_handed(turn, self._handed)

    async def _apart(self, offer: Event) -> None:
        with suppress(Unwound):
            await self.begin(offer)

    async def _until_handed(self, turn: Turn, handed: asyncio.Future[tuple[Ending, bool]]) -> tuple[Ending, bool]:
        task = self.task
        # The turn may give its message to another plugin afterwards, in its own task.
        own, turn.task = turn.task, task
        try:
            return await handed
        except asyncio.CancelledError:
            # The server is stopping.
            if task is not None:
                task.cancel()
            raise
        finally:
            turn.task = own

    def resume(self, turn: Turn, offer: Event | None) -> Coroutine[Any, Any, tuple[Ending, bool]]:
        """To be awaited: go on with a run that waits, on behalf of another turn."""
        assert self._wake is not None
        self._handed = self._services.loop.create_future()
        self.turn, self.offer = turn, offer
        self.question = self.deadline = None
        # As a plugin would see it if it ran again: what was said in between.
        if self.package is not None:
            self.package.conversation.messages[:] = turn.messages
        self.silenced = False
        self._enter(turn)
        self._wake.set_result(None)
        return self._until_handed(turn, self._handed)

    def silence(self) -> None:
        """Drop what is said from now on: the turn is being ended."""
        self.silenced = True

    def detach(self) -> None:
        """Let go of the coroutine: from now on it cannot do anything through its package."""
        self.detached = True
        self.turn = None
        if self.task is not None:
            self.task.cancel()

    def _hand(self, ending: Ending, complete: bool) -> None:
        if self._handed is not None and not self._handed.done():
            self._handed.set_result((ending, complete))

    def _enter(self, turn: Turn) -> None:
        turn.enter(self, self._services.timeout if self.plugin.timeout is None else self.plugin.timeout)

    async def _in_thread(self, package: Package) -> Any:
        """Run a `def`; its time begins when it gets a thread, and it may wait for one as long as a turn may take."""
        plugin, turn = self.plugin, self.turn
        assert turn is not None
        limit = turn.deadline - self._services.loop.time()
        turn.wait_for_thread(self._services.timeout)
        result, complete = await self._services.workers.run(
            plugin.name, lambda: _call(plugin, package), lambda: turn.got_thread(limit)
        )
        if inspect.isawaitable(result):
            await result
            complete = plugin.is_complete(package) if plugin.decides else True
        return await maybe(complete)

    async def _failure(self, entry: Entry) -> Exception | Unfit:
        try:
            return await asyncio.to_thread(failures.load, entry.value)
        except LookupError as exc:
            return self.misfit(f"is a failure of the step {entry.value['name']!r}, and {exc}")

    async def once(self, name: str, call: Callable[[str], Any]) -> Any:
        """What `call(key)` gave or raised the first time; a result is durable before this returns.

        Raises DataError if it is not JSON.
        """
        if self.is_over:
            await self.linger()
        entry = self.recorded("step", "failure")
        if entry is not None:
            if entry.value["name"] != name:
                raise self.misfit(f"is the step {entry.value['name']!r}, and the plugin takes {name!r}")
            if entry.kind == "failure":
                raise await self._failure(entry)
            return entry.value["result"]
        self.check()
        try:
            result = await maybe(call(f"{self.number}.{self._gone + len(self.journal or ())}"))
            result = as_kept(result, f"the step {name!r}")
        except Exception as exc:  # the edge: if the plugin goes on after it, it has to do so at a replay as well
            # Not noted: after a crash in this very turn the step is tried again.
            self.record("failure", {"name": name, **failures.dump(exc)})
            raise
        self.record("step", {"name": name, "result": result})
        hit("step-done")
        await self.note()
        hit("step-noted")
        return result


def as_kept(value: Any, what: str) -> Any:
    """`value` as the journal gives it back later: lists for tuples and so on. Raises DataError if it is not JSON."""
    try:
        return json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as exc:
        raise DataError(f"{what} gave what is not JSON: {exc}") from exc


def to_json(plugin: Plugin, data: object) -> str:
    """`conversation.data` as JSON. Raises DataError naming the plugin."""
    if data == {}:
        return "{}"
    if not isinstance(data, dict):
        raise DataError(f"plugin {plugin.name} left in conversation.data what is not a dict")
    try:
        return json.dumps(data, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as exc:
        raise DataError(f"plugin {plugin.name} left in conversation.data what is not JSON: {exc}") from exc


def _call(plugin: Plugin, package: Package) -> tuple[Any, Any]:
    result = plugin.consume(package)
    if inspect.isawaitable(result):
        return result, True
    return result, plugin.is_complete(package) if plugin.decides else True


async def maybe(value: Any) -> Any:
    """`value`, awaited if it is awaitable."""
    awaited: Awaitable[Any] | Any = value
    return await awaited if inspect.isawaitable(awaited) else awaited
