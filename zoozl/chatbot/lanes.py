"""One FIFO per conversation: a turn at a time, bounded in number and depth, parallel across conversations."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from zoozl.chatbot.ports import Receipt
from zoozl.errors import Overloaded

log = logging.getLogger(__name__)


MOST_BYTES = 16 << 20
CLOSE_TIMEOUT = 2.0


class _Lane:
    task: asyncio.Task[None] | None = None
    under_way: Sequence[Receipt] = ()
    """The events that are at work, whichever task ends that."""
    held = False
    """They are not done when the task comes back: `go_on` follows."""

    def __init__(self, first: Receipt) -> None:
        # Short, and made for nearly every message: a deque is ten times as large.
        self.queue = [first]


class Lanes:
    """Runs `work` on every receipt, in order within a lane. A lane exists only while it has something to do."""

    def __init__(
        self, work: Callable[[Receipt], Coroutine[Any, Any, None]], *, depth: int = 100, number: int = 10_000
    ) -> None:
        self._work = work
        self._depth = depth
        self._number = number
        self._lanes: dict[str, _Lane] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self.is_open = True
        """False when they are closed."""
        self.left: set[asyncio.Task[None]] = set()
        """Tasks that do not end although they were cancelled."""
        self._ends: dict[int, asyncio.Event] = {}
        self._idle = asyncio.Event()
        self._idle.set()

    def __len__(self) -> int:
        return len(self._lanes)

    def __contains__(self, key: str) -> bool:
        return key in self._lanes

    def check(self, key: str) -> None:
        """Raise Overloaded if the lane `key` has no room for another event."""
        lane = self._lanes.get(key)
        if lane is None:
            if len(self._lanes) >= self._number:
                raise Overloaded("too many conversations are busy, try again later")
        elif len(lane.queue) >= self._depth or sum(r.event.message.size() for r in lane.queue) > MOST_BYTES:
            raise Overloaded("too many messages are waiting for an answer, try again later")

    def submit(self, receipt: Receipt) -> None:
        """Put a receipt at the end of its lane, room or not: `check` comes before accepting."""
        lane = self._lanes.get(receipt.lane)
        if lane is None:
            lane = self._lanes[receipt.lane] = _Lane(receipt)
            self._idle.clear()
            if self._loop is None:
                self._loop = asyncio.get_running_loop()
            # With a name: asyncio would put one together for every message.
            lane.task = asyncio.Task(self._run(receipt.lane, lane), loop=self._loop, name="lane")
        else:
            lane.queue.append(receipt)

    def hold(self, key: str) -> None:
        """What is under way ends without its task: until `go_on`, a lane waits without any."""
        self._lanes[key].held = True

    def go_on(self, key: str, rest: Coroutine[Any, Any, None] | None = None) -> None:
        """What a lane was held for has happened. What is under way is done, but for `rest`."""
        lane = self._lanes[key]
        lane.held = False
        if rest is None:
            self._end(lane)
        if rest is not None or lane.queue:
            lane.task = asyncio.Task(self._run(key, lane, rest), loop=self._loop, name="lane")
        else:
            self._remove(key)

    def go_on_without(self, key: str, first: Coroutine[Any, Any, None]) -> None:
        """Leave the task of a lane to itself: another one does `first` and goes on with the queue."""
        task = self.hand_over(key, first)
        self.left.add(task)
        task.add_done_callback(self.left.discard)

    def hand_over(self, key: str, first: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """The same for a task that somebody else looks after from now on; it is given."""
        lane = self._lanes[key]
        assert self._loop is not None
        assert lane.task is not None
        task, lane.task = lane.task, self._loop.create_task(self._run(key, lane, first))
        return task

    def take(self, key: str, which: Callable[[Receipt], bool]) -> list[Receipt]:
        """Let the work that is going on have the next events of its lane, too, as long as they are of a kind."""
        lane, taken = self._lanes.get(key), []
        while lane is not None and lane.queue and which(lane.queue[0]):
            receipt = lane.queue.pop(0)
            taken.append(receipt)
        if lane is not None:
            lane.under_way = [*lane.under_way, *taken]
        return taken

    def find(self, which: Callable[[Receipt], bool]) -> Receipt | None:
        """An event of a kind whose work has not begun."""
        return next((receipt for lane in self._lanes.values() for receipt in lane.queue if which(receipt)), None)

    async def _run(self, key: str, lane: _Lane, first: Coroutine[Any, Any, None] | None = None) -> None:
        me: asyncio.Task[None] | None = None
        try:
            while first is not None or lane.queue:
                if first is not None:
                    work, first = first, None
                else:
                    receipt = lane.queue.pop(0)
                    lane.under_way = (receipt,)
                    work = self._work(receipt)
                me = lane.task
                try:
                    await work
                except asyncio.CancelledError:
                    if me is None or me.cancelling():
                        raise  # the server is stopping
                    log.exception("an event of lane %s awaited something that was cancelled", key)
                except Exception:  # whatever happens to one event, the lane goes on
                    log.exception("an event of lane %s failed", key)
                if lane.task is not me:
                    return  # another task has the lane now, and ends what is under way
                if lane.held:
                    lane.task = None
                    return
                self._end(lane)
        finally:
            if me is None or lane.task is me:
                self._remove(key)

    def _end(self, lane: _Lane) -> None:
        """What is under way is done."""
        if self._ends:
            for receipt in lane.under_way:
                if (end := self._ends.pop(receipt.seq, None)) is not None:
                    end.set()
        lane.under_way = ()

    def _remove(self, key: str) -> None:
        del self._lanes[key]
        if not self._lanes:
            self._idle.set()

    def seqs(self) -> set[int]:
        """The events that are here: waiting, or under way."""
        return {receipt.seq for lane in self._lanes.values() for receipt in (*lane.under_way, *lane.queue)}

    async def ended(self, seq: int) -> None:
        """Wait until an event that is here is done, or has failed."""
        await self._ends.setdefault(seq, asyncio.Event()).wait()

    def times(self) -> list[float]:
        """When the events came that are under way, or next in their lanes."""
        return [receipt.at for lane in self._lanes.values() for receipt in (*lane.under_way, *lane.queue)[:1]]

    async def join(self) -> None:
        """Wait until no lane has anything to do."""
        await self._idle.wait()

    async def close(self) -> None:
        """Cut what is running; events that have not ended stay in the inbox."""
        self.is_open = False
        tasks = {lane.task for lane in self._lanes.values() if lane.task is not None} | self.left
        for task in tasks:
            task.cancel()
        if tasks:
            _, rest = await asyncio.wait(tasks, timeout=CLOSE_TIMEOUT)
            self.left |= rest
