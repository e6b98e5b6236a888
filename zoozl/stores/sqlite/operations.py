"""What the core asks of the store, as operations for the writer: rows of one transaction, put in together."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from zoozl.chatbot.message import Address, Message
from zoozl.chatbot.ports import Outcome, Receipt, Reply, State, Step
from zoozl.errors import StoreError
from zoozl.stores.sqlite import codec
from zoozl.stores.sqlite.bulk import delete, insert, update
from zoozl.stores.sqlite.dialogs import Steps, bury
from zoozl.stores.sqlite.heads import Head, Heads

if TYPE_CHECKING:
    from zoozl.stores.sqlite.store import Store

T = TypeVar("T")

# `conversation.at` is for retention, which counts in days: it need not be right to the minute.
TOUCH = 3600.0

CONVERSATION = "conversation (id, lane, uuid, channel, talker, subject, greeted, data, at)"
TEXT = "message (id, conversation, earlier, n, seq, talker, from_bot, author, at, platform_id, text)"
REPLACES = (
    "ON CONFLICT (lane) DO UPDATE SET uuid = excluded.uuid, talker = excluded.talker, subject = excluded.subject,"
    " greeted = excluded.greeted, data = excluded.data, at = excluded.at"
)


class Batch:
    """Rows of all operations of a transaction, table by table."""

    __slots__ = (
        "conversations",
        "delivered",
        "done",
        "heads",
        "inbox",
        "messages",
        "moved",
        "now",
        "outbox",
        "steps",
        "texts",
    )

    def __init__(self, heads: Heads) -> None:
        heads.trim()
        self.heads = heads
        self.now = time.time()
        self.inbox: dict[int, Receipt] = {}
        self.texts: list[tuple[Any, ...]] = []
        """Messages that are nothing but a text."""
        self.messages: list[tuple[Any, ...]] = []
        self.moved: dict[str, Head] = {}
        self.conversations: dict[str, tuple[Any, ...]] = {}
        self.outbox: list[tuple[Any, ...]] = []
        self.done: list[int] = []
        self.delivered: list[int] = []
        self.steps = Steps(heads, self.now)

    def flush(self, db: sqlite3.Connection) -> None:
        """Put all rows in, and begin anew."""
        if self.inbox:
            rows = [
                (r.seq, r.lane, r.event.address.talker, codec.dump_event(r.event), r.at or self.now)
                for r in self.inbox.values()
            ]
            insert(db, "inbox (seq, lane, talker, event, at)", rows)
            self.inbox = {}
        if self.conversations:
            insert(db, CONVERSATION, list(self.conversations.values()), REPLACES)
            self.conversations = {}
        if self.moved:
            insert(db, TEXT, self.texts)
            insert(db, "message", self.messages)
            update(db, "conversation", ("last",), [(head.conversation, head.last) for head in self.moved.values()])
            self.texts, self.messages, self.moved = [], [], {}
        if self.outbox:
            insert(db, "outbox (id, seq, n, lane, talker, address, message, at)", self.outbox)
            self.outbox = []
        if self.done:
            delete(db, "inbox", "seq", self.done)
            self.done = []
        if self.delivered:
            delete(db, "outbox", "id", self.delivered)
            self.delivered = []
        self.steps.flush(db)

    def finish(self, seq: int) -> None:
        """An event is done; one of this very transaction never gets a row."""
        if self.inbox.pop(seq, None) is None:
            self.done.append(seq)

    def save(self, db: sqlite3.Connection, lane: str, address: Address, state: State | None) -> Head:
        """A conversation's state, None if it is as it was. A conversation that is new is made in any case."""
        head = self.heads.find(db, lane)
        now = self.now
        if state is None and not head.known:
            state = State(talker=address.talker)
        if state is not None:
            row = (state.uuid, address.channel, state.talker, state.subject, state.greeted, state.data, now)
            self.conversations[lane] = (head.conversation, lane, *row)
        elif now - head.at > TOUCH:
            db.execute("UPDATE conversation SET at = ? WHERE id = ?", (now, head.conversation))
        else:
            return head
        head.at, head.known = now, True
        return head

    def say(self, head: Head, lane: str, seq: int, talker: str, messages: Sequence[Message]) -> None:
        """Lines of the history."""
        conversation, last, n = head.conversation, head.last, head.n
        for m in messages:
            text = codec.plain_text(m)
            row, n = self.heads.next_message(), n + 1
            # Neither a bool nor None: for these sqlite3 looks for an adapter each time, which takes longer than the
            # whole of their row.
            fields = (row, conversation, last, n, seq, talker, 1 if m.from_bot else 0, m.author, m.timestamp, m.id)
            if text is not None:
                self.texts.append((*fields, text))
            else:
                self.messages.append((*fields, "", codec.dump_parts(m.parts)))
            m.row = last = row
        if messages:
            head.last, head.n = last, n
            self.moved[lane] = head

    def undo(self) -> None:
        """The transaction was taken back."""
        self.heads.clear()

    def send(self, replies: Sequence[Reply]) -> None:
        """Replies to be delivered."""
        now = self.now
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


def erase_event(db: sqlite3.Connection, batch: Batch, seq: int) -> None:
    """Overwrite what the inbox has of an event, if its row is there already; deleting alone leaves it in the page."""
    if seq not in batch.inbox:
        db.execute("UPDATE inbox SET event = zeroblob(length(event)) WHERE seq = ?", (seq,))


class _Operation:
    """An operation without surprises: a future that tells when it is on disk."""

    early = False
    done: asyncio.Future[None] | None = None

    def refuse(self) -> None:
        pass

    def settle_early(self) -> None:
        pass

    def settle(self, error: StoreError | None) -> None:
        settle(self.done, error)


def settle(done: asyncio.Future[None] | None, error: StoreError | None) -> None:
    """Tell who waits, if anybody does, that something is on disk, or why not."""
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
        settle(self.receipt.known, None)

    def settle(self, error: StoreError | None) -> None:
        """It is durable."""
        receipt = self.receipt
        if receipt.known is not None:
            settle(receipt.known, error)
        receipt.settle(error)


class Edit(_Operation):
    """An event whose turn has not begun has another message."""

    def __init__(self, receipt: Receipt, done: asyncio.Future[None]) -> None:
        self.receipt = receipt
        self.done = done

    def write(self, db: sqlite3.Connection, batch: Batch) -> None:
        """Into its row, if that is there already: else it is written with it."""
        if self.receipt.seq not in batch.inbox:
            row = codec.dump_event(self.receipt.event), self.receipt.seq
            db.execute("UPDATE inbox SET event = ? WHERE seq = ?", row)


class Commit(_Operation):
    """A turn ends."""

    def __init__(
        self,
        store: Store,
        order: int,
        outcome: Outcome,
        tell: Callable[[StoreError | None], None],
    ) -> None:
        self.store = store
        self.order = order
        self.outcome = outcome
        self.tell = tell

    def write(self, db: sqlite3.Connection, batch: Batch) -> None:
        """State, messages, replies, and the end of the event."""
        outcome = self.outcome
        receipt = outcome.receipt
        if receipt.failed:
            raise sqlite3.IntegrityError("its event could not be accepted")
        address = receipt.event.address
        head = batch.save(db, receipt.lane, address, outcome.state)
        batch.say(head, receipt.lane, receipt.seq, address.talker, outcome.messages)
        for message in outcome.marked:
            if message.row:
                # With its conversation: the number may be another message's by now, if this one was forgotten.
                db.execute(
                    "UPDATE message SET parts = ? WHERE id = ? AND conversation = ?",
                    (codec.dump_parts(message.parts), message.row, head.conversation),
                )
        batch.send(outcome.replies)
        if outcome.secret:
            erase_event(db, batch, receipt.seq)
        batch.finish(receipt.seq)
        for other in outcome.also:
            batch.finish(other.seq)
        for step in outcome.steps:
            batch.steps.add(db, step)

    def settle(self, error: StoreError | None) -> None:
        """It is on disk."""
        outcome = self.outcome
        try:
            if error is None:
                self.store.saved(self.order, outcome.receipt.lane, outcome.state, outcome.messages, outcome.steps)
        finally:
            self.tell(error)


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
        first, last = self.replies[0], self.replies[-1]
        head = batch.save(db, last.lane, last.address, None)
        batch.say(head, last.lane, last.seq, last.address.talker, self.messages)
        batch.send(self.replies)
        batch.flush(db)
        known = db.execute(
            "UPDATE inbox SET replied = ?, archived = 1 WHERE seq = ? AND replied = ?", (last.n + 1, last.seq, first.n)
        ).rowcount
        if not known and first.seq != first.id:
            # They would overtake those before them, or answer what was never accepted; the commit brings all of them.
            raise sqlite3.IntegrityError("what comes before these replies could not be recorded")

    def settle(self, error: StoreError | None) -> None:
        """It is on disk."""
        if error is None:
            self.store.saved(self.order, self.replies[0].lane, None, self.messages, ())
        super().settle(error)


class Note(_Operation):
    """Entries of a dialog whose turn goes on."""

    def __init__(self, store: Store, order: int, step: Step, done: asyncio.Future[None]) -> None:
        self.store = store
        self.order = order
        self.step = step
        self.done = done

    def write(self, db: sqlite3.Connection, batch: Batch) -> None:
        """The dialog and its entries."""
        batch.steps.add(db, self.step)

    def settle(self, error: StoreError | None) -> None:
        """It is on disk."""
        if error is None:
            self.store.saved(self.order, self.step.dialog.lane, None, (), (self.step,))
        super().settle(error)


class Delivered(_Operation):
    """A channel has a reply."""

    def __init__(self, store: Store, numbers: Sequence[int]) -> None:
        self.store = store
        self.numbers = numbers

    def write(self, db: sqlite3.Connection, batch: Batch) -> None:
        """It leaves the outbox."""
        batch.delivered += self.numbers

    def settle(self, error: StoreError | None) -> None:
        """A mark that could not be made is made with the next one, or the reply would be sent again."""
        if error is not None:
            self.store.unmarked.update(self.numbers)
        elif self.store.unmarked:
            self.store.unmarked.difference_update(self.numbers)


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
            "INSERT INTO dead (kind, seq, n, lane, talker, address, payload, error, at, archived)"
            " SELECT 'event', seq, 0, lane, talker, ?, event, ?, ?, archived FROM inbox WHERE seq = ?",
            (codec.dump_address(self.receipt.event.address), self.error, time.time(), self.receipt.seq),
        )
        bury(db, self.receipt.lane, self.receipt.seq)
        batch.heads.clear()
        batch.send(self.replies)
        batch.finish(self.receipt.seq)


class Reserve(_Operation):
    """Numbers up to one will be given. Until that is on disk, nothing else gets there."""

    def __init__(self, store: Store, high: int) -> None:
        self.store = store
        self.high = high

    def write(self, db: sqlite3.Connection, batch: Batch) -> None:
        """Note it, before what came before: that may have such a number already."""
        db.execute("UPDATE counter SET high = max(high, ?)", (self.high,))

    def settle(self, error: StoreError | None) -> None:
        """If it could not be noted, the next number tries again."""
        if error is not None:
            self.store.not_reserved()


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
        before = db.total_changes
        self._value = self.function(db)
        if db.total_changes != before:
            batch.heads.clear()

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
