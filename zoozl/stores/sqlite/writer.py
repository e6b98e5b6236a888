"""One thread that writes: what comes while it is busy becomes its next transaction (group commit)."""

from __future__ import annotations

import asyncio
import logging
import queue
import sqlite3
import threading
from collections.abc import Callable
from typing import Any, Protocol

from zoozl.errors import StoreError, Unstorable
from zoozl.failpoints import hit

log = logging.getLogger(__name__)

# A transaction waits until so many rounds of the loop in a row have brought nothing (what was read in one round is
# submitted two rounds later), for so many operations, and for so many seconds.
QUIET_ROUNDS, MOST_OPERATIONS, LONGEST_WAIT = 3, 256, 0.01


# What a value does that cannot be written, as against a disk that cannot be written to.
BAD_VALUE = (
    Unstorable,
    TypeError,
    ValueError,
    AttributeError,
    OverflowError,
    RecursionError,
    sqlite3.ProgrammingError,
    sqlite3.InterfaceError,
    sqlite3.DataError,
)


class Operation(Protocol):
    """One thing to do in the writer's transaction."""

    early: bool
    """Whether `settle_early` is to be called as soon as `write` has run."""

    def write(self, db: sqlite3.Connection, batch: Any) -> None:
        """In the thread: do it, or put rows into `batch`. May be called again after a rollback."""
        ...

    def refuse(self) -> None:
        """In the thread: it could not be done, and never will be; what builds upon it must not be done either."""
        ...

    def settle_early(self) -> None:
        """On the loop: it has run and is visible to what follows, but is not on disk. May come twice."""
        ...

    def settle(self, error: StoreError | None) -> None:
        """On the loop: it is on disk, or it is not and never will be."""
        ...


class Batch(Protocol):
    """Rows that several operations wrote, put into the database together."""

    def flush(self, db: sqlite3.Connection) -> None:
        """Put them in."""
        ...

    def undo(self) -> None:
        """The transaction was taken back."""
        ...


class Writer:
    """Owns the connection and its thread; all other methods belong to the event loop.

    Operations take effect in the order of `submit`, and are durable in that order.
    """

    def __init__(self, db: sqlite3.Connection, batch: Callable[[], Batch]) -> None:
        self._db = db
        self._batch = batch
        self._loop = asyncio.get_running_loop()
        self._pending: list[Operation] = []
        self._waiting = False
        self._seen, self._quiet, self._latest = 0, 0, 0.0
        self._busy = False
        self._closed = False
        self._work: queue.SimpleQueue[list[Operation] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="zoozl-store", daemon=True)
        self._thread.start()

    def submit(self, operation: Operation) -> None:
        """Do it as soon as possible, after everything that was submitted before."""
        if self._closed:
            # Later, as always: who submits is not ready to be told yet.
            self._loop.call_soon(operation.settle, StoreError("the store is closed"))
            return
        self._pending.append(operation)
        if not self._busy and not self._waiting:
            self._wait()

    def apart(self, operation: Operation) -> None:
        """Do it in a transaction of its own, before what was submitted and is not handed over yet."""
        if self._closed:
            self._loop.call_soon(operation.settle, StoreError("the store is closed"))
            return
        self._busy = True
        self._work.put([operation])

    def _wait(self) -> None:
        self._waiting = True
        self._seen, self._quiet, self._latest = 0, 0, self._loop.time() + LONGEST_WAIT
        self._loop.call_soon(self._hand_over)

    def _hand_over(self) -> None:
        """Not while the rounds of the loop bring more.

        A turn that ends at once is then in the same transaction as its event, and those who talk at the same time share
        one: what a transaction costs beside its rows, the change from thread to thread most of all, is paid once.
        """
        if len(self._pending) > self._seen:
            self._quiet = 0
            self._seen = len(self._pending)
        else:
            self._quiet += 1
        if self._quiet < QUIET_ROUNDS and self._seen < MOST_OPERATIONS and self._loop.time() < self._latest:
            self._loop.call_soon(self._hand_over)
            return
        self._waiting = False
        if self._pending and not self._busy:
            self._busy = True
            batch, self._pending = self._pending, []
            self._work.put(batch)

    def _settled(self, operations: list[Operation], errors: dict[Operation, StoreError]) -> None:
        self._busy = False
        if self._pending and not self._waiting:
            self._wait()
        for operation in operations:
            try:
                operation.settle(errors.get(operation) if errors else None)
            except Exception:  # of whoever wanted to be told: the others must hear of theirs
                log.exception("what was told that it is on disk failed")

    def _settle_early(self, operations: list[Operation]) -> None:
        for operation in operations:
            operation.settle_early()

    def _run(self) -> None:
        while (operations := self._work.get()) is not None:
            errors: dict[Operation, StoreError] = {}
            try:
                try:
                    self._transact(operations)
                except sqlite3.Error as exc:
                    if not self._made_room(exc):
                        raise
                    self._transact(operations)
            except Exception as exc:  # an error of SQLite, or a value that it cannot take: the thread goes on
                errors = self._one_by_one(operations, exc)
            self._call(self._settled, operations, errors)
        self._db.close()

    def _transact(self, operations: list[Operation]) -> None:
        db = self._db
        db.execute("BEGIN IMMEDIATE")
        batch = self._batch()
        try:
            early = []
            for operation in operations:
                operation.write(db, batch)
                if operation.early:
                    early.append(operation)
            batch.flush(db)
            if early:
                self._call(self._settle_early, early)
            hit("before-commit")
            db.execute("COMMIT")
            hit("after-commit")
        except BaseException:
            batch.undo()
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise

    def _made_room(self, exc: sqlite3.Error) -> bool:
        """After an error of a full disk: whether the log could be emptied. Its space on the disk is used again then."""
        if getattr(exc, "sqlite_errorcode", None) != sqlite3.SQLITE_FULL:
            return False
        try:
            _, frames, moved = self._db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        except sqlite3.Error:
            return False  # the file itself would have to grow
        return bool(frames == moved > 0)

    def _one_by_one(self, operations: list[Operation], exc: Exception) -> dict[Operation, StoreError]:
        """After a failure: what one operation did wrong must not be the fault of the others."""
        if len(operations) == 1:
            return {operations[0]: _refused(operations[0], exc)}
        errors: dict[Operation, StoreError] = {}
        for operation in operations:
            try:
                self._transact([operation])
            except Exception as again:  # the same
                errors[operation] = _refused(operation, again)
        return errors

    def _call(self, function: Callable[..., None], *args: Any) -> None:
        try:
            self._loop.call_soon_threadsafe(function, *args)
        except RuntimeError:
            pass  # the loop is closed: nobody waits any more

    async def close(self) -> None:
        """Write what was submitted, close the file and end the thread."""
        if self._closed:
            return
        while self._busy or self._pending:
            done = self._loop.create_future()
            self.submit(_Barrier(done))
            await done
        self._closed = True
        self._work.put(None)
        await asyncio.to_thread(self._thread.join)


def _refused(operation: Operation, exc: Exception) -> StoreError:
    operation.refuse()
    log.error("the store cannot write: %s", exc)
    kind = Unstorable if isinstance(exc, BAD_VALUE) else StoreError
    return kind(f"the store cannot write: {exc}")


class _Barrier:
    """Nothing, in its place."""

    early = False

    def __init__(self, done: asyncio.Future[None]) -> None:
        self._done = done

    def write(self, db: sqlite3.Connection, batch: Any) -> None:
        pass

    def refuse(self) -> None:
        pass

    def settle_early(self) -> None:
        pass

    def settle(self, error: StoreError | None) -> None:
        if not self._done.done():
            self._done.set_result(None)
