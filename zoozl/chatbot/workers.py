"""Threads for plugins that may block: bounded, shared fairly, replaced when one is stuck."""

from __future__ import annotations

import asyncio
import contextvars
import queue
import threading
from collections import deque
from collections.abc import Callable
from typing import Any


class Busy(Exception):
    """Too many threads of this plugin are stuck; it gets no more until some come back."""


QUEUED, RUNNING, FINISHED, DETACHED = range(4)


class _Job:
    __slots__ = ("call", "context", "done", "error", "owner", "result", "stage", "started")

    def __init__(
        self, owner: _Owner, call: Callable[[], Any], started: Callable[[], None], done: asyncio.Future[Any]
    ) -> None:
        self.owner = owner
        self.call = call
        self.started = started
        self.done = done
        self.context = contextvars.copy_context()
        self.stage = QUEUED
        self.result: Any = None
        self.error: BaseException | None = None


class _Owner:
    """What one plugin has in the pool."""

    __slots__ = ("running", "stuck", "waiting")

    def __init__(self) -> None:
        self.running = 0
        self.stuck = 0
        self.waiting: deque[_Job] = deque()


class Workers:
    """At most `size` threads at work, half of them for one owner.

    A job whose caller is cancelled is *detached*: its thread runs on to the end of the call, nobody hears of the
    result, and another thread takes its place. An owner with as many stuck threads as its share gets Busy.
    """

    def __init__(self, size: int = 8) -> None:
        self.size = size
        self.share = max(1, size // 2)
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._owners: dict[str, _Owner] = {}
        self._finished: deque[_Job] = deque()
        self._woken = False
        self._lock = threading.Lock()
        self._threads = 0
        self._idle = 0
        # Not qsize(): a thread that has taken a job but not the lock yet would count as idle.
        self._pending = 0
        self._loop: asyncio.AbstractEventLoop | None = None

    async def run(self, name: str, call: Callable[[], Any], started: Callable[[], None] = lambda: None) -> Any:
        """What `call()` returns or raises, run in a thread of the owner `name`; `started()` is called before, there.

        Raises Busy; waits while the owner's share is taken.
        """
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        owner = self._owners.get(name)
        if owner is None:
            owner = self._owners[name] = _Owner()
        if owner.stuck >= self.share:
            raise Busy
        job = _Job(owner, call, started, self._loop.create_future())
        with self._lock:
            if owner.running < self.share:
                self._begin(job)
            else:
                owner.waiting.append(job)
        try:
            return await job.done
        except asyncio.CancelledError:
            self._detach(job)
            raise

    def stuck(self, name: str) -> int:
        """How many detached calls of an owner have not come back."""
        return self._owners[name].stuck if name in self._owners else 0

    def _begin(self, job: _Job) -> None:
        """Give a job to the threads. The lock is held."""
        job.owner.running += 1
        self._pending += 1
        self._jobs.put(job)
        self._spawn()

    def _spawn(self) -> None:
        """As many threads as there are jobs for, within the limit. The lock is held."""
        while self._idle < self._pending and self._threads < self.size:
            self._threads += 1
            # Counted as idle from now on, or the next job would start another one for the same.
            self._idle += 1
            threading.Thread(target=self._work, name="zoozl-plugin", daemon=True).start()

    def _detach(self, job: _Job) -> None:
        with self._lock:
            if job.stage == RUNNING:
                job.owner.stuck += 1
                # A stuck thread no longer counts: the next job may have another one.
                self._threads -= 1
                job.owner.running -= 1
                if (following := self._next(job.owner)) is not None:
                    self._begin(following)
                self._spawn()
            job.stage = DETACHED

    def _next(self, owner: _Owner) -> _Job | None:
        """The owner's next job that somebody still waits for. The lock is held."""
        while owner.waiting:
            job = owner.waiting.popleft()
            if job.stage == QUEUED:
                return job
        return None

    def _work(self) -> None:
        while True:
            job = self._jobs.get()
            with self._lock:
                self._idle -= 1
                if job is None:
                    self._threads -= 1
                    return
                self._pending -= 1
            while job is not None:
                if not self._run(job):
                    return
                # The same owner's next one at once: through the loop it would cost two wake-ups. It gets no
                # more than its share by that, but others come first where they wait for a thread.
                with self._lock:
                    job.owner.running -= 1
                    following = self._next(job.owner)
                    if following is None or self._pending:
                        self._idle += 1
                        if following is not None:
                            self._begin(following)
                            following = None
                    else:
                        following.owner.running += 1
                job = following

    def _run(self, job: _Job) -> bool:
        """Do a job; False if its caller has gone meanwhile, and with it this thread's place."""
        with self._lock:
            if job.stage == DETACHED:
                return True
            job.stage = RUNNING
        job.started()
        try:
            job.result = job.context.run(job.call)
        except BaseException as exc:  # handed to the turn, which is the edge
            job.error = exc
        with self._lock:
            if job.stage == DETACHED:
                job.owner.stuck -= 1
                return False
            job.stage = FINISHED
        self._hand_back(job)
        return True

    def _hand_back(self, job: _Job) -> None:
        """Wake the loop once for all that finish before it looks: each wake-up is a system call."""
        assert self._loop is not None
        self._finished.append(job)
        if not self._woken:
            self._woken = True
            try:
                self._loop.call_soon_threadsafe(self._collect)
            except RuntimeError:
                pass  # the loop is closed: nobody waits any more

    def _collect(self) -> None:
        # First, so that what is handed back from here on wakes the loop again.
        self._woken = False
        while self._finished:
            job = self._finished.popleft()
            if job.done.done():
                continue
            if job.error is None:
                job.done.set_result(job.result)
            elif isinstance(job.error, StopIteration):
                job.done.set_exception(RuntimeError("plugin raised StopIteration"))
            else:
                job.done.set_exception(job.error)

    def close(self) -> None:
        """Let idle threads end; a stuck one dies with the process."""
        for _ in range(self._threads):
            self._jobs.put(None)
