"""One thread that runs functions in their order, and holds up the end of the process for a few seconds at most."""

from __future__ import annotations

import asyncio
import atexit
import queue
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")

# Seconds. A model that is computing must be waited for: C++ that the interpreter's end takes by surprise ends the
# process with an abort. What takes longer than this waits for the network, and may be left.
END_WITHIN = 5.0

_running: set[OneThread] = set()


class OneThread:
    """`await thread.run(function, *args)` from an event loop; what it runs cannot be cancelled, only left alone."""

    def __init__(self, name: str, *, computes: bool = True) -> None:
        """`computes` is False if it only ever waits for the network: the end of the process need not wait for it."""
        self.computes = computes
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        # An executor's would be waited for without a limit.
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._closed = False

    async def run(self, function: Callable[..., T], *args: Any) -> T:
        """What the function returns or raises; a job whose caller has gone before its turn is not done at all."""
        if self._closed:
            raise RuntimeError("the thread is closed")
        if self._thread.ident is None:
            _running.add(self)
            self._thread.start()
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._jobs.put((loop, future, function, args))
        return await future

    def close(self) -> None:
        """End the thread after the job it is at; whoever waits for another one is cancelled."""
        self._closed = True
        while not self._jobs.empty():
            if (job := self._jobs.get()) is not None and not job[0].is_closed():
                job[0].call_soon_threadsafe(job[1].cancel)
        self._jobs.put(None)

    def join(self, deadline: float) -> None:
        """Wait for the end of a closed one, until `deadline` (of the monotonic clock)."""
        self._thread.join(max(0.0, deadline - time.monotonic()))

    def _work(self) -> None:
        try:
            while (job := self._jobs.get()) is not None and not self._closed:
                loop, future, function, args = job
                if future.cancelled():
                    continue
                result: Any = None
                error: BaseException | None = None
                try:
                    result = function(*args)
                except BaseException as exc:  # to be raised where it is awaited
                    error = exc
                try:
                    loop.call_soon_threadsafe(_settle, future, result, error)
                except RuntimeError:  # the loop is closed: nobody waits any more
                    return
                # Not held until the next job comes.
                del job, future, result, error
        finally:
            _running.discard(self)


_Job = tuple[asyncio.AbstractEventLoop, "asyncio.Future[Any]", Callable[..., Any], tuple[Any, ...]]


def _settle(future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if future.cancelled():
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(result)


@atexit.register
def _end() -> None:
    deadline = time.monotonic() + END_WITHIN
    running = [thread for thread in _running if thread.computes]
    for thread in running:
        thread.close()
    for thread in running:
        thread.join(deadline)
