"""Dialogs that wait: the coroutines that are kept in memory, and the deadlines of all."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Iterable
from typing import TYPE_CHECKING, Any

from zoozl.chatbot.clock import Clock
from zoozl.chatbot.message import Event, Message
from zoozl.chatbot.ports import Dialog, Step, Store
from zoozl.chatbot.question import Answer
from zoozl.errors import Overloaded, StoreError

if TYPE_CHECKING:
    from zoozl.chatbot.run import Run

log = logging.getLogger(__name__)

MOST_KEPT = 1_000
AT_ONCE = 100
FAR = 365 * 86400.0
RETRY = 1.0
CLOSE_TIMEOUT = 2.0


class Dialogs:
    """Keeps the runs that wait, the latest ones; an older one begins again from its journal when its answer comes."""

    def __init__(self, store: Store, clock: Clock, receive: Callable[[Event], Any], most: int = MOST_KEPT) -> None:
        self._store = store
        self._clock = clock
        self._receive = receive
        self._most = most
        self._runs: OrderedDict[int, Run] = OrderedDict()
        # Those whose turn has not been committed: their journals are not whole yet, so that they cannot begin again.
        self._held: set[int] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._sooner = asyncio.Event()
        self._next = 0.0
        # Deadlines whose event is on its way: the store has them until that was handled.
        self._rung: dict[int, float] = {}
        self._ringing: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._runs)

    def start(self) -> None:
        """Begin to look at the deadlines."""
        self._ringing = asyncio.create_task(self._ring())

    def keep(self, run: Run) -> None:
        """A run waits, and is kept in any case until `release`; not if it was let go of already."""
        if not run.detached:
            self._runs[run.number] = run
            self._held.add(run.number)

    def put_back(self, run: Run) -> None:
        """A run that was taken waits on: nothing has come of it."""
        self._runs[run.number] = run

    def release(self, steps: Iterable[Step]) -> None:
        """The turn that these are of is over: its dialogs are stored, or never will be."""
        for step in steps:
            self._held.discard(step.dialog.id)
        while len(self._runs) > self._most:
            oldest = next((number for number in self._runs if number not in self._held), None)
            if oldest is None:
                break
            self._let_go(self._runs.pop(oldest))

    def take(self, number: int) -> Run | None:
        """The run of a dialog, which goes on now; None if only its journal is there."""
        return self._runs.pop(number, None)

    def detach(self, which: Callable[[Run], bool] = lambda _: True) -> None:
        """Let go of runs: they begin again from their journals."""
        for run in [run for run in self._runs.values() if which(run)]:
            del self._runs[run.number]
            self._let_go(run)

    def _let_go(self, run: Run) -> None:
        run.detach()
        if run.task is not None and not run.task.done():
            self._tasks.add(run.task)
            run.task.add_done_callback(self._tasks.discard)

    def in_background(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something that no turn waits for."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def due_at(self, when: float) -> None:
        """A dialog has a deadline."""
        if when < self._next:
            self._sooner.set()

    async def _ring(self) -> None:
        while True:
            self._sooner.clear()
            try:
                await self.look()
            except (StoreError, Overloaded) as exc:
                log.error("deadlines wait: %s", exc)
                self._next = self._clock.time() + RETRY
            await self._clock.until(self._next, self._sooner)

    async def look(self) -> None:
        """Turn the deadlines that have come into events in their lanes. Raises StoreError, Overloaded."""
        now = self._clock.time()
        # Before the question is asked: what is stored meanwhile is told by `due_at`.
        self._next = now + FAR
        waiting = await self._store.due(AT_ONCE + len(self._rung))
        ready = [d for d in waiting if d.deadline is not None and d.deadline <= now]
        known = {d.id: d.deadline for d in waiting}
        self._rung = {number: at for number, at in self._rung.items() if known.get(number) == at}
        for dialog in ready:
            self._event(dialog)
        later = [d.deadline for d in waiting if d.deadline is not None and d.deadline > now]
        self._next = min([self._next, *later])
        if len(ready) >= AT_ONCE:
            self._next = now + RETRY

    def _event(self, dialog: Dialog) -> None:
        assert dialog.deadline is not None
        if self._rung.get(dialog.id) == dialog.deadline:
            return
        # The key makes it one event, also if the process dies between this and its turn.
        key = f"deadline:{dialog.id}:{dialog.deadline!r}"
        answer = Answer(dialog.question.id if dialog.question is not None else "", str(dialog.id))
        self._receive(Event(dialog.address, Message(), (key,), "deadline", answer=answer))
        self._rung[dialog.id] = dialog.deadline

    async def stop(self) -> None:
        """Begin nothing by itself any more."""
        if self._ringing is not None:
            self._ringing.cancel()
            await asyncio.wait([self._ringing])

    async def close(self) -> None:
        """Let go of everything; what waits is in the journal."""
        self.detach()
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=CLOSE_TIMEOUT)
