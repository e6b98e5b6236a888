"""Threads for plugins that may block: bounded, shared fairly, replaced when one is stuck."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import queue
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

log = logging.getLogger(__name__)


class Busy(Exception):
    """Too many threads of this plugin are stuck; it gets no more until some come back."""


QUEUED, RUNNING, FINISHED, DETACHED = range(4)


class _Job:
    __slots__ = ("call", "context", "done", "owner", "stage")

    def __init__(self, owner: str, call: Callable[[], Any], done: asyncio.Future[Any]) -> None:
        self.owner = owner
        self.call = call
        self.done = done
        self.context = contextvars.copy_context()
        self.stage = QUEUED


class Workers:
    """At most `size` threads at work, half of them for one owner.

    A job whose caller is cancelled is *detached*: its thread runs on to the end of the call, nobody hears of
    the result, and another thread takes its place. An owner with as many stuck threads as its share gets Busy.
    """

    def __init__(self, size: int = 8) -> None:
        self.size = size
        self.share = max(1, size // 2)
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._turnstiles: dict[str, asyncio.Semaphore] = {}
        self._stuck: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._threads = 0
        self._idle = 0

    async def run(self, owner: str, call: Callable[[], Any]) -> Any:
        """What `call()` returns or raises, run in a thread. Raises Busy; waits while the owner's share is taken."""
        if self._stuck[owner] >= self.share:
            raise Busy
        turnstile = self._turnstiles.get(owner)
        if turnstile is None:
            turnstile = self._turnstiles[owner] = asyncio.Semaphore(self.share)
        async with turnstile:
            job = _Job(owner, call, asyncio.get_running_loop().create_future())
            self._ensure_thread()
            self._jobs.put(job)
            try:
                return await job.done
            except asyncio.CancelledError:
                self._detach(job)
                raise

    def stuck(self, owner: str) -> int:
        """How many detached calls of `owner` have not come back."""
        return self._stuck[owner]

    def _ensure_thread(self) -> None:
        with self._lock:
            if self._idle > self._jobs.qsize() or self._threads >= self.size:
                return
            self._threads += 1
        threading.Thread(target=self._work, name="zoozl-plugin", daemon=True).start()

    def _detach(self, job: _Job) -> None:
        with self._lock:
            if job.stage == RUNNING:
                self._stuck[job.owner] += 1
                # A stuck thread no longer counts: the next job may have another one.
                self._threads -= 1
            job.stage = DETACHED

    def _work(self) -> None:
        while True:
            with self._lock:
                self._idle += 1
            job = self._jobs.get()
            with self._lock:
                self._idle -= 1
                if job is not None:
                    if job.stage == DETACHED:
                        continue
                    job.stage = RUNNING
            if job is None:
                return
            result: Any = None
            error: BaseException | None = None
            try:
                result = job.context.run(job.call)
            except BaseException as exc:  # handed to the turn, which is the edge
                error = exc
            with self._lock:
                if job.stage == DETACHED:
                    self._stuck[job.owner] -= 1
                    return
                job.stage = FINISHED
            try:
                job.done.get_loop().call_soon_threadsafe(_finish, job.done, result, error)
            except RuntimeError:
                return  # the loop is closed: nobody waits any more
            del job, result, error

    def close(self) -> None:
        """Let idle threads end; a stuck one dies with the process."""
        for _ in range(self._threads):
            self._jobs.put(None)


def _finish(done: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if done.done():
        return
    if error is None:
        done.set_result(result)
    elif isinstance(error, StopIteration):
        done.set_exception(RuntimeError("plugin raised StopIteration"))
    else:
        done.set_exception(error)
