"""The store: operations of the core as rows, and what was read lately kept at hand."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Sequence
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import Any, TypeVar

from zoozl.chatbot.message import Event, Message
from zoozl.chatbot.ports import Dialog, Done, Entry, Loaded, Outcome, Receipt, Reply, Settled, State, Step
from zoozl.stores.sqlite import codec, dialogs
from zoozl.stores.sqlite.file import Lock, connect, highest_number, refuse_network
from zoozl.stores.sqlite.heads import Heads
from zoozl.stores.sqlite.history import count, latest
from zoozl.stores.sqlite.operations import (
    Accept,
    Apart,
    Batch,
    Bury,
    Commit,
    Dead,
    Delivered,
    Edit,
    Note,
    Read,
    Record,
    Reserve,
    Write,
    settle,
)
from zoozl.stores.sqlite.writer import Writer

T = TypeVar("T")

WINDOW = 50
KEPT = 5_000
# Messages that are longer are counted; the others are bounded by their number.
LARGE = 256
KEPT_BYTES = 64 << 20
# Numbers are reserved in the file by so many, so that none is given twice after a crash.
BLOCK = 100_000


class Store:
    """One file, one process. Made by `await Store.open(path)`."""

    durable = True  # see KeyValue

    def __init__(self, path: Path, lock: Lock, db: sqlite3.Connection, heads: Heads, high: int) -> None:
        self.path = path
        self._lock = lock
        self._number = self._reserved = high
        self.unmarked: set[int] = set()
        """Replies that have arrived, which could not be noted at the first try."""
        self._writer = Writer(db, lambda: Batch(heads))
        self._loop = asyncio.get_running_loop()
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._kept_bytes = 0
        self._loading: dict[str, list[tuple[int, list[Message]]]] = {}
        self._order = 0
        self._closed = False

    @classmethod
    async def open(cls, path: Path, *, synchronous: str = "FULL") -> Store:
        """The store in the file at `path`, which is made if need be.

        `synchronous` is FULL (nothing acknowledged is lost by a power failure) or NORMAL (a power failure may take
        the last moments; a crash of the process takes nothing). Raises StoreError.
        """

        def prepare() -> tuple[Lock, sqlite3.Connection, Heads, int]:
            refuse_network(path)
            lock = Lock(path)
            try:
                db = connect(path, synchronous)
                high, heads = highest_number(db), Heads(db)
            except BaseException:
                lock.close()
                raise
            return lock, db, heads, high

        return cls(path, *await asyncio.to_thread(prepare))

    def next_number(self) -> int:
        """See OutboxStore."""
        self._number += 1
        if self._number > self._reserved:
            # Durable before any of the numbers is: the writer does it first.
            self._reserved += BLOCK
            self._writer.submit(Reserve(self, self._reserved))
        return self._number

    def not_reserved(self) -> None:
        """The numbers that were reserved last may not be."""
        self._reserved = self._number

    def accept(self, event: Event, lane: str) -> Receipt:
        """See Inbox."""
        receipt = Receipt(self.next_number(), lane, event)
        receipt.pending = True
        if event.keys:
            receipt.known = self._loop.create_future()
        self._writer.submit(Accept(receipt))
        return receipt

    def commit(self, outcome: Outcome) -> Done:
        """See Inbox."""
        done = self._loop.create_future()
        self._order += 1
        self._writer.submit(Commit(self, self._order, outcome, partial(settle, done)))
        return done

    def commit_soon(self, outcome: Outcome, settled: Settled) -> bool:
        """See Inbox."""
        self._order += 1
        self._writer.submit(Commit(self, self._order, outcome, partial(settled, outcome)))
        return False

    def edit(self, receipt: Receipt) -> Done:
        """See Inbox."""
        done = self._loop.create_future()
        self._writer.submit(Edit(receipt, done))
        return done

    def note(self, step: Step) -> Done:
        """See Journal."""
        done = self._loop.create_future()
        self._order += 1
        self._writer.submit(Note(self, self._order, step, done))
        return done

    async def entries(self, dialog: int) -> list[Entry]:
        """See Journal."""
        return await self._ask(lambda db: dialogs.entries(db, dialog))

    async def due(self, limit: int) -> list[Dialog]:
        """See Journal."""
        return await self._ask(lambda db: dialogs.due(db, limit))

    async def dialog_of(self, question: str) -> Dialog | None:
        """See Journal."""
        return await self._ask(lambda db: dialogs.of_question(db, question))

    async def dialogs_of(self, channel: str, talker: str) -> list[Dialog]:
        """See Journal."""
        return await self._ask(lambda db: dialogs.of_talker(db, channel, talker))

    async def knows(self, lane: str) -> bool:
        """See Journal."""
        if lane in self._kept:
            return self._kept[lane].state is not None
        return bool(await self._read("SELECT 1 FROM conversation WHERE lane = ?", (lane,)))

    def saved(
        self, order: int, lane: str, state: State | None, messages: Sequence[Message], steps: Sequence[Step]
    ) -> None:
        """Something is on disk: what is kept at hand follows, unless it was read later than that."""
        for since, missed in self._loading.get(lane, ()):
            if order > since:
                missed.extend(messages)
        if (kept := self._kept.get(lane)) is not None and order > kept.order:
            if state is not None:
                kept.state = state
            for step in steps:
                others = [dialog for dialog in kept.dialogs if dialog.id != step.dialog.id]
                kept.dialogs = tuple(others) if step.ended else (*others, step.dialog)
            self._remember(kept, messages)

    async def unfinished(self) -> list[Receipt]:
        """See Inbox."""
        rows = await self._read("SELECT seq, lane, event, attempts, replied, archived, at FROM inbox ORDER BY seq")
        receipts = []
        for seq, lane, event, attempts, replied, archived, at in rows:
            receipt = Receipt(seq, lane, codec.load_event(event))
            receipt.at = at
            receipt.attempts, receipt.replied, receipt.archived = attempts, replied, bool(archived)
            receipt.recovered = True
            receipts.append(receipt)
        return receipts

    async def begin(self, receipt: Receipt) -> None:
        """See Inbox."""
        await self._write("UPDATE inbox SET attempts = ? WHERE seq = ?", (receipt.attempts + 1, receipt.seq))
        receipt.attempts += 1

    async def bury(self, receipt: Receipt, error: str, replies: Sequence[Reply]) -> None:
        """See Inbox."""
        done = self._loop.create_future()
        self._writer.submit(Bury(receipt, error, list(replies), done))
        await done
        self.forget_lanes([receipt.lane])

    def record(self, replies: Sequence[Reply], messages: Sequence[Message]) -> Done:
        """See OutboxStore."""
        done = self._loop.create_future()
        if replies:
            self._order += 1
            self._writer.submit(Record(self, self._order, list(replies), list(messages), done))
        else:
            done.set_result(None)
        return done

    async def undelivered(self, lane: str | None = None, without: Collection[str] = ()) -> list[Reply]:
        """See OutboxStore."""
        where, values = ("lane = ?", [lane]) if lane is not None else ("TRUE", [])
        if without:
            # A lane begins with its channel.
            where += f" AND substr(lane, 1, instr(lane, ':') - 1) NOT IN ({', '.join('?' * len(without))})"
            values += without
        rows = await self._read(
            f"SELECT id, seq, n, lane, address, message, attempts FROM outbox WHERE {where} ORDER BY id",  # noqa: S608
            tuple(values),
            # Who asks is going to send them: not before they are on disk.
            durable=True,
        )
        return [
            Reply(i, seq, n, lane, codec.load_address(address), codec.load_message(message), attempts)
            for i, seq, n, lane, address, message, attempts in rows
            if i not in self.unmarked
        ]

    def delivered(self, lane: str, number: int) -> None:
        """See OutboxStore."""
        self._writer.submit(Delivered(self, [number, *self.unmarked]))

    def failed(self, reply: Reply, error: str, retry_at: float) -> None:
        """See OutboxStore."""
        self._writer.submit(
            Write(
                "UPDATE outbox SET attempts = ?, error = ?, next_at = ? WHERE id = ?",
                (reply.attempts, error, retry_at, reply.id),
            )
        )

    def dead(self, reply: Reply, error: str) -> None:
        """See OutboxStore."""
        self._writer.submit(Dead(reply, error))

    async def load(self, lane: str) -> Loaded:
        """See Archive."""
        kept = self._kept.get(lane)
        if kept is None:
            kept = await self._load(lane)
        else:
            self._kept.move_to_end(lane)
        return Loaded(kept.state, list(kept.messages), kept.dialogs)

    async def history(self, lane: str, skip: int, limit: int) -> tuple[list[Message], int]:
        """See Archive."""

        def read(db: sqlite3.Connection) -> tuple[list[Message], int]:
            return latest(db, lane, skip, limit), count(db, lane)

        return await self._ask(read)

    async def _load(self, lane: str) -> _Kept:
        self._order += 1
        order = self._order
        missed: list[Message] = []
        loading = self._loading.setdefault(lane, [])
        loading.append((order, missed))
        read = Read(lambda db: _read_conversation(db, lane), self._loop.create_future())
        try:
            self._writer.submit(read)
            state, messages, waiting = await read.result
        finally:
            loading.remove((order, missed))
            if not loading:
                del self._loading[lane]
        if lane in self._kept:
            # Somebody else has read it meanwhile.
            return self._kept[lane]
        kept = self._kept[lane] = _Kept(order, state, waiting)
        self._remember(kept, [*messages, *missed])
        while len(self._kept) > KEPT or (self._kept_bytes > KEPT_BYTES and len(self._kept) > 1):
            _, oldest = self._kept.popitem(last=False)
            self._kept_bytes -= oldest.large
        return kept

    def _remember(self, kept: _Kept, messages: Sequence[Message]) -> None:
        kept.messages.extend(messages)
        for message in messages:
            if (size := message.size()) > LARGE:
                kept.large += size
                self._kept_bytes += size

    async def get(self, space: str, key: str) -> str | None:
        """See KeyValue."""
        rows = await self._read("SELECT value FROM value WHERE space = ? AND key = ?", (space, key))
        return rows[0][0] if rows else None

    async def put(self, space: str, key: str, value: str | None) -> None:
        """See KeyValue."""
        if value is None:
            await self._write("DELETE FROM value WHERE space = ? AND key = ?", (space, key))
        else:
            await self._write("INSERT OR REPLACE INTO value VALUES (?, ?, ?)", (space, key, value))

    async def keys(self, space: str, prefix: str) -> list[str]:
        """See KeyValue."""

        # They stand together. SQLite's own functions for text end at a NUL.
        def read(db: sqlite3.Connection) -> list[str]:
            rows = db.execute("SELECT key FROM value WHERE space = ? AND key >= ? ORDER BY key", (space, prefix))
            return [key for (key,) in takewhile(lambda row: row[0].startswith(prefix), rows)]

        return await self._ask(read)

    async def _ask(self, function: Callable[[sqlite3.Connection], T]) -> T:
        result: asyncio.Future[T] = self._loop.create_future()
        self._writer.submit(Read(function, result))
        return await result

    async def run(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """What `function(connection)` returns, run in the writer's transaction. Raises StoreError."""
        read: Read[T] = Read(function, self._loop.create_future(), durable=True)
        self._writer.submit(read)
        return await read.result

    async def _read(self, sql: str, values: tuple[Any, ...] = (), *, durable: bool = False) -> list[Any]:
        result = self._loop.create_future()
        read: Read[list[Any]] = Read(lambda db: db.execute(sql, values).fetchall(), result, durable=durable)
        self._writer.submit(read)
        return await read.result

    async def _write(self, sql: str, values: tuple[Any, ...]) -> None:
        done = self._loop.create_future()
        self._writer.submit(Write(sql, values, done))
        await done

    def forget_kept(self) -> None:
        """Read conversations anew: something else has changed them in the file."""
        self._kept.clear()
        self._kept_bytes = 0

    def forget_lanes(self, lanes: Sequence[str]) -> None:
        """The same for some of them."""
        for lane in lanes:
            if (kept := self._kept.pop(lane, None)) is not None:
                self._kept_bytes -= kept.large

    async def apart(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """What `function(connection)` returns, run by the writer outside of a transaction. Raises StoreError."""
        read: Apart[T] = Apart(function, self._loop.create_future(), durable=True)
        self._writer.apart(read)
        return await read.result

    async def close(self) -> None:
        """See Store."""
        if not self._closed:
            self._closed = True
            if self.unmarked:
                self._writer.submit(Delivered(self, list(self.unmarked)))
            await self._writer.close()
            self._lock.close()


class _Kept:
    """A conversation at hand."""

    __slots__ = ("dialogs", "large", "messages", "order", "state")

    def __init__(self, order: int, state: State | None, dialogs: tuple[Dialog, ...]) -> None:
        self.order = order
        self.dialogs = dialogs
        self.state = state
        self.messages: deque[Message] = deque(maxlen=WINDOW)
        self.large = 0
        """What it ever had of large messages: not reduced as they leave its window, only as it is let go of."""


def _read_conversation(db: sqlite3.Connection, lane: str) -> Loaded:
    row = db.execute("SELECT uuid, talker, subject, greeted, data FROM conversation WHERE lane = ?", (lane,)).fetchone()
    if row is None:
        # A first message may have been cut after its dialog had been noted.
        return Loaded(None, [], dialogs.of_lane(db, lane))
    uuid, talker, subject, greeted, data = row
    state = State(uuid, talker, subject, bool(greeted), data)
    return Loaded(state, latest(db, lane, 0, WINDOW), dialogs.of_lane(db, lane))
