"""The store: operations of the core as rows, and what was read lately kept at hand."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar

from zoozl.chatbot.message import Event, Message
from zoozl.chatbot.ports import Done, Outcome, Receipt, Reply, State
from zoozl.errors import StoreError
from zoozl.stores.sqlite import codec
from zoozl.stores.sqlite.file import Lock, connect, refuse_network
from zoozl.stores.sqlite.writer import Writer

T = TypeVar("T")

WINDOW = 50
KEPT = 5_000
KEPT_BYTES = 64 << 20
# `conversation.at` is for retention, which counts in days: it need not be right to the minute.
TOUCH = 3600.0
# Numbers are reserved in the file by so many, so that none is given twice after a crash.
BLOCK = 100_000


class Store:
    """One file, one process. Made by `await Store.open(path)`."""

    def __init__(self, path: Path, lock: Lock, db: sqlite3.Connection, high: int) -> None:
        self.path = path
        self._lock = lock
        self._number = self._reserved = high
        self._writer = Writer(db, Batch)
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

        def prepare() -> tuple[Lock, sqlite3.Connection, int]:
            refuse_network(path)
            lock = Lock(path)
            try:
                db = connect(path, synchronous)
                # What is there counts too: a reservation may have failed on a full disk.
                (high,) = db.execute(
                    "SELECT max((SELECT high FROM counter), (SELECT coalesce(max(seq), 0) FROM inbox),"
                    " (SELECT coalesce(max(id), 0) FROM outbox), (SELECT coalesce(max(seq), 0) FROM outbox))"
                ).fetchone()
            except BaseException:
                lock.close()
                raise
            return lock, db, high

        return cls(path, *await asyncio.to_thread(prepare))

    def next_number(self) -> int:
        """See OutboxStore."""
        self._number += 1
        if self._number > self._reserved:
            # Durable before any of the numbers is: the writer does it first.
            self._reserved += BLOCK
            self._writer.submit(Reserve(self._reserved))
        return self._number

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
        receipt = outcome.receipt
        done = self._loop.create_future()
        kept = self._kept.get(receipt.lane)
        state = outcome.state
        if state is None and kept is not None and time.time() - kept.at > TOUCH:
            state = kept.state
        self._order += 1
        self._writer.submit(Commit(self, self._order, outcome, state, done))
        return done

    def saved(self, order: int, lane: str, state: State | None, messages: Sequence[Message]) -> None:
        """Something is on disk: what is kept at hand follows, unless it was read later than that."""
        for since, missed in self._loading.get(lane, ()):
            if order > since:
                missed.extend(messages)
        if (kept := self._kept.get(lane)) is not None and order > kept.order:
            if state is not None:
                kept.state, kept.at = state, time.time()
            self._remember(kept, messages)

    async def unfinished(self) -> list[Receipt]:
        """See Inbox."""
        rows = await self._read("SELECT seq, lane, event, attempts, replied, archived FROM inbox ORDER BY seq")
        receipts = []
        for seq, lane, event, attempts, replied, archived in rows:
            receipt = Receipt(seq, lane, codec.load_event(event))
            receipt.attempts, receipt.replied, receipt.archived = attempts, replied, bool(archived)
            receipt.recovered = True
            receipts.append(receipt)
        return receipts

    async def begin(self, receipt: Receipt) -> None:
        """See Inbox."""
        receipt.attempts += 1
        await self._write("UPDATE inbox SET attempts = ? WHERE seq = ?", (receipt.attempts, receipt.seq))

    async def bury(self, receipt: Receipt, error: str, replies: Sequence[Reply]) -> None:
        """See Inbox."""
        done = self._loop.create_future()
        self._writer.submit(Bury(receipt, error, list(replies), done))
        await done

    def record(self, replies: Sequence[Reply], messages: Sequence[Message]) -> Done:
        """See OutboxStore."""
        done = self._loop.create_future()
        if replies:
            self._order += 1
            self._writer.submit(Record(self, self._order, list(replies), list(messages), done))
        else:
            done.set_result(None)
        return done

    async def undelivered(self, lane: str | None = None) -> list[Reply]:
        """See OutboxStore."""
        where, values = ("WHERE lane = ?", (lane,)) if lane is not None else ("", ())
        rows = await self._read(
            f"SELECT id, seq, n, lane, address, message, attempts FROM outbox {where} ORDER BY id",  # noqa: S608
            values,
            # Who asks is going to send them: not before they are on disk.
            durable=True,
        )
        return [
            Reply(i, seq, n, lane, codec.load_address(address), codec.load_message(message), attempts)
            for i, seq, n, lane, address, message, attempts in rows
        ]

    def delivered(self, reply: Reply) -> None:
        """See OutboxStore."""
        self._writer.submit(Delivered(reply))

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

    async def load(self, lane: str) -> tuple[State | None, list[Message]]:
        """See Archive."""
        kept = self._kept.get(lane)
        if kept is None:
            kept = await self._load(lane)
        else:
            self._kept.move_to_end(lane)
        return kept.state, list(kept.messages)

    async def _load(self, lane: str) -> _Kept:
        self._order += 1
        order = self._order
        missed: list[Message] = []
        loading = self._loading.setdefault(lane, [])
        loading.append((order, missed))
        read = Read(lambda db: _read_conversation(db, lane), self._loop.create_future())
        try:
            self._writer.submit(read)
            state, at, messages = await read.result
        finally:
            loading.remove((order, missed))
            if not loading:
                del self._loading[lane]
        if lane in self._kept:
            # Somebody else has read it meanwhile.
            return self._kept[lane]
        kept = self._kept[lane] = _Kept(order, state, at)
        self._remember(kept, [*messages, *missed])
        while len(self._kept) > KEPT or (self._kept_bytes > KEPT_BYTES and len(self._kept) > 1):
            _, oldest = self._kept.popitem(last=False)
            self._kept_bytes -= sum(message.size for message in oldest.messages)
        return kept

    def _remember(self, kept: _Kept, messages: Sequence[Message]) -> None:
        for message in messages:
            kept.messages.append(message)
            self._kept_bytes += message.size
            if len(kept.messages) > WINDOW:
                self._kept_bytes -= kept.messages.popleft().size

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
        rows = await self._read(
            "SELECT key FROM value WHERE space = ? AND substr(key, 1, ?) = ? ORDER BY key", (space, len(prefix), prefix)
        )
        return [key for (key,) in rows]

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
                self._kept_bytes -= sum(message.size for message in kept.messages)

    async def apart(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """What `function(connection)` returns, run by the writer outside of a transaction. Raises StoreError."""
        read: Apart[T] = Apart(function, self._loop.create_future(), durable=True)
        self._writer.apart(read)
        return await read.result

    async def close(self) -> None:
        """See Store."""
        if not self._closed:
            self._closed = True
            await self._writer.close()
            self._lock.close()


class _Kept:
    """A conversation at hand."""

    __slots__ = ("at", "messages", "order", "state")

    def __init__(self, order: int, state: State | None, at: float) -> None:
        self.order = order
        self.state = state
        self.at = at
        self.messages: deque[Message] = deque()


def _read_conversation(db: sqlite3.Connection, lane: str) -> tuple[State | None, float, list[Message]]:
    row = db.execute(
        "SELECT uuid, talker, subject, greeted, data, at FROM conversation WHERE lane = ?", (lane,)
    ).fetchone()
    rows = db.execute(
        "SELECT id, from_bot, author, at, platform_id, text, parts FROM message WHERE lane = ?"
        " ORDER BY id DESC LIMIT ?",
        (lane, WINDOW),
    ).fetchall()
    messages = []
    for number, from_bot, author, sent, platform_id, text, parts in reversed(rows):
        message = Message(codec.load_parts(parts) if parts else text, author, sent, platform_id, bool(from_bot))
        message.row = number
        messages.append(message)
    if row is None:
        return None, 0.0, messages
    uuid, talker, subject, greeted, data, at = row
    return State(uuid, talker, subject, bool(greeted), data), at, messages


INSERT_MESSAGE = (
    "INSERT INTO message (lane, seq, talker, from_bot, author, at, platform_id, text, parts)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


class Batch:
    """Rows of all operations of a transaction, table by table."""

    __slots__ = ("conversations", "delivered", "done", "inbox", "messages", "outbox", "with_files")

    def __init__(self) -> None:
        self.inbox: dict[int, Receipt] = {}
        self.messages: list[tuple[Any, ...]] = []
        self.with_files: dict[int, Message] = {}
        self.conversations: dict[str, tuple[Any, ...]] = {}
        self.outbox: list[tuple[Any, ...]] = []
        self.done: list[tuple[int]] = []
        self.delivered: list[tuple[int]] = []

    def flush(self, db: sqlite3.Connection) -> None:
        """Put all rows in, and begin anew."""
        if self.inbox:
            now = time.time()
            db.executemany(
                "INSERT INTO inbox (seq, lane, talker, event, at) VALUES (?, ?, ?, ?, ?)",
                [(r.seq, r.lane, r.event.address.talker, codec.dump_event(r.event), now) for r in self.inbox.values()],
            )
            self.inbox = {}
        if self.with_files:
            # One by one: the row of a file must be known, for the marks that plugins set on it.
            for index, row in enumerate(self.messages):
                number = db.execute(INSERT_MESSAGE, row).lastrowid
                if index in self.with_files:
                    self.with_files[index].row = number or 0
            self.messages, self.with_files = [], {}
        elif self.messages:
            db.executemany(INSERT_MESSAGE, self.messages)
            self.messages = []
        if self.conversations:
            db.executemany(
                "INSERT OR REPLACE INTO conversation (lane, uuid, channel, talker, subject, greeted, data, at)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                self.conversations.values(),
            )
            self.conversations = {}
        if self.outbox:
            db.executemany(
                "INSERT INTO outbox (id, seq, n, lane, talker, address, message, at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                self.outbox,
            )
            self.outbox = []
        if self.done:
            db.executemany("DELETE FROM inbox WHERE seq = ?", self.done)
            self.done = []
        if self.delivered:
            db.executemany("DELETE FROM outbox WHERE id = ?", self.delivered)
            self.delivered = []

    def finish(self, seq: int) -> None:
        """An event is done; one of this very transaction never gets a row."""
        if self.inbox.pop(seq, None) is None:
            self.done.append((seq,))

    def say(self, lane: str, seq: int, talker: str, messages: Sequence[Message]) -> None:
        """Lines of the history."""
        for m in messages:
            text = codec.plain_text(m)
            parts = None if text is not None else codec.dump_parts(m.parts)
            if parts is not None:
                self.with_files[len(self.messages)] = m
            self.messages.append(
                (lane, seq, talker, m.from_bot, m.author, m.timestamp, m.id, text if text is not None else "", parts)
            )

    def send(self, replies: Sequence[Reply]) -> None:
        """Replies to be delivered."""
        now = time.time()
        for r in replies:
            if not r.kept:
                continue
            self.outbox.append(
                (
                    r.id,
                    r.seq,
                    r.n,
                    r.lane,
                    r.address.talker,
                    codec.dump_address(r.address),
                    codec.dump_message(r.message),
                    now,
                )
            )


class _Operation:
    """An operation without surprises: a future that tells when it is on disk."""

    early = False
    done: asyncio.Future[None] | None = None

    def refuse(self) -> None:
        pass

    def settle_early(self) -> None:
        pass

    def settle(self, error: StoreError | None) -> None:
        _settle(self.done, error)


def _settle(done: asyncio.Future[None] | None, error: StoreError | None) -> None:
    if done is None or done.done():
        return
    if error is None:
        done.set_result(None)
    else:
        done.set_exception(error)
        # It was logged; a sender that does not wait must not add a warning of its own.
        done.exception()


class Accept(_Operation):
    """An event comes in."""

    def __init__(self, receipt: Receipt) -> None:
        self.receipt = receipt
        self.early = bool(receipt.event.keys)

    def write(self, db: sqlite3.Connection, batch: Batch) -> None:
        """Keys and row."""
        receipt = self.receipt
        event = receipt.event
        if event.keys:
            now = time.time()
            channel = event.address.channel
            new = [
                db.execute("INSERT OR IGNORE INTO dedup VALUES (?, ?, ?)", (channel, key, now)).rowcount
                for key in event.keys
            ]
            told, receipt.duplicate = receipt.duplicate, not all(new)
            if receipt.duplicate:
                return
            if told:
                # After a rollback: the first one could not be accepted, and this one's turn will not run, because
                # it was told to be a duplicate. Its sender has to send it again.
                raise sqlite3.IntegrityError("the event that it repeats could not be accepted")
        batch.inbox[receipt.seq] = receipt

    def refuse(self) -> None:
        """Its turn may be running."""
        self.receipt.failed = True

    def settle_early(self) -> None:
        """Whether it is a duplicate is known."""
        _settle(self.receipt.known, None)

    def settle(self, error: StoreError | None) -> None:
        """It is durable."""
        _settle(self.receipt.known, error)
        self.receipt.settle(error)


class Commit(_Operation):
    """A turn ends."""

    def __init__(
        self, store: Store, order: int, outcome: Outcome, state: State | None, done: asyncio.Future[None]
    ) -> None:
        self.store = store
        self.order = order
        self.outcome = outcome
        self.state = state
        self.done = done

    def write(self, db: sqlite3.Connection, batch: Batch) -> None:
        """State, messages, replies, and the end of the event."""
        outcome = self.outcome
        receipt = outcome.receipt
        if receipt.failed:
            raise sqlite3.IntegrityError("its event could not be accepted")
        address = receipt.event.address
        state = self.state
        if state is not None:
            batch.conversations[receipt.lane] = (
                receipt.lane,
                state.uuid,
                address.channel,
                state.talker,
                state.subject,
                state.greeted,
                state.data,
                time.time(),
            )
        batch.say(receipt.lane, receipt.seq, address.talker, outcome.messages)
        for message in outcome.marked:
            if message.row:
                # With its lane: the number may be another message's by now, if this one was forgotten.
                db.execute(
                    "UPDATE message SET parts = ? WHERE id = ? AND lane = ?",
                    (codec.dump_parts(message.parts), message.row, receipt.lane),
                )
        batch.send(outcome.replies)
        batch.finish(receipt.seq)

    def settle(self, error: StoreError | None) -> None:
        """It is on disk."""
        if error is None:
            self.store.saved(self.order, self.outcome.receipt.lane, self.state, self.outcome.messages)
        super().settle(error)


class Record(_Operation):
    """Replies before the end of their turn, or without a turn."""

    def __init__(
        self, store: Store, order: int, replies: list[Reply], messages: list[Message], done: asyncio.Future[None]
    ) -> None:
        self.store = store
        self.order = order
        self.replies = replies
        self.messages = messages
        self.done = done

    def write(self, db: sqlite3.Connection, batch: Batch) -> None:
        """Replies, their lines, and how many their event has had."""
        last = self.replies[-1]
        batch.say(last.lane, last.seq, last.address.talker, self.messages)
        batch.send(self.replies)
        batch.flush(db)
        db.execute("UPDATE inbox SET replied = ?, archived = 1 WHERE seq = ?", (last.n + 1, last.seq))

    def settle(self, error: StoreError | None) -> None:
        """It is on disk."""
        if error is None:
            self.store.saved(self.order, self.replies[0].lane, None, self.messages)
        super().settle(error)


class Delivered(_Operation):
    """A channel has a reply."""

    def __init__(self, reply: Reply) -> None:
        self.reply = reply

    def write(self, db: sqlite3.Connection, batch: Batch) -> None:
        """It leaves the outbox."""
        batch.delivered.append((self.reply.id,))


class Dead(_Operation):
    """A reply is given up."""

    def __init__(self, reply: Reply, error: str) -> None:
        self.reply = reply
        self.error = error

    def write(self, db: sqlite3.Connection, batch: Batch) -> None:
        """From the outbox to the dead letters."""
        batch.flush(db)
        db.execute(
            "INSERT INTO dead (kind, seq, n, lane, talker, address, payload, error, at)"
            " SELECT 'reply', seq, n, lane, talker, address, message, ?, ? FROM outbox WHERE id = ?",
            (self.error, time.time(), self.reply.id),
        )
        db.execute("DELETE FROM outbox WHERE id = ?", (self.reply.id,))


class Bury(_Operation):
    """An event is given up."""

    def __init__(self, receipt: Receipt, error: str, replies: list[Reply], done: asyncio.Future[None]) -> None:
        self.receipt = receipt
        self.error = error
        self.replies = replies
        self.done = done

    def write(self, db: sqlite3.Connection, batch: Batch) -> None:
        """From the inbox to the dead letters, and a word to the talker."""
        batch.flush(db)
        db.execute(
            "INSERT INTO dead (kind, seq, n, lane, talker, address, payload, error, at)"
            " SELECT 'event', seq, 0, lane, talker, ?, event, ?, ? FROM inbox WHERE seq = ?",
            (codec.dump_address(self.receipt.event.address), self.error, time.time(), self.receipt.seq),
        )
        batch.send(self.replies)
        batch.finish(self.receipt.seq)


class Reserve(_Operation):
    """Numbers up to one will be given. Until that is on disk, nothing else gets there."""

    def __init__(self, high: int) -> None:
        self.high = high

    def write(self, db: sqlite3.Connection, batch: Batch) -> None:
        """Note it, before what came before: that may have such a number already."""
        db.execute("UPDATE counter SET high = max(high, ?)", (self.high,))


class Write(_Operation):
    """One statement."""

    def __init__(self, sql: str, values: tuple[Any, ...], done: asyncio.Future[None] | None = None) -> None:
        self.sql = sql
        self.values = values
        self.done = done

    def write(self, db: sqlite3.Connection, batch: Batch) -> None:
        """Run it, after what came before."""
        batch.flush(db)
        db.execute(self.sql, self.values)


class Read(_Operation, Generic[T]):
    """A question, answered in its place; with `durable` not before everything until here is on disk."""

    def __init__(
        self, function: Callable[[sqlite3.Connection], T], result: asyncio.Future[T], *, durable: bool = False
    ) -> None:
        self.function = function
        self.result = result
        self.early = not durable
        self._value: Any = None

    def write(self, db: sqlite3.Connection, batch: Batch) -> None:
        """Ask, after what came before."""
        batch.flush(db)
        self._value = self.function(db)

    def settle_early(self) -> None:
        """Answer."""
        if not self.result.done():
            self.result.set_result(self._value)

    def settle(self, error: StoreError | None) -> None:
        """Answer, at the latest."""
        if not self.result.done():
            if error is None:
                self.result.set_result(self._value)
            else:
                self.result.set_exception(error)
                self.result.exception()


class Apart(Read[T]):
    """A question that a transaction does not allow."""

    def write(self, db: sqlite3.Connection, batch: Batch) -> None:
        """Ask between two transactions; nothing else is in this one."""
        db.execute("COMMIT")
        self._value = self.function(db)
        db.execute("BEGIN IMMEDIATE")
