"""What `zoozl store` changes: dead letters and forgetting, in a running server's store or in a file nobody serves."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

from zoozl.chatbot import vault
from zoozl.chatbot.unrouted import SPACE as UNROUTED
from zoozl.errors import StoreError
from zoozl.stores.sqlite.dialogs import erase_dialogs, touched
from zoozl.stores.sqlite.file import Lock, connect, highest_number, refuse_network
from zoozl.stores.sqlite.history import drop_messages, erase

T = TypeVar("T")
Progress = Callable[[int, int], None]
"""Called with how much is done, and of how much."""

# Tables that hold something of a person, by the column `talker`.
PERSONAL = ("conversation", "message", "dialog", "inbox", "outbox", "dead")
# What is sealed of a talker in the vaults of all plugins, by the beginning of its keys.
IN_VAULTS = f"value WHERE space >= '{vault.SPACE}' AND space < '{vault.SPACE[:-1]};' AND substr(key, 1, ?) = ?"
# Rows that are looked at or moved in one transaction: a few milliseconds, between which others write.
SLICE = 20_000
ROWS = 1_000
# Pages of 4 kB that are overwritten in one transaction.
PAGES = 500
SCRUB = "zoozl:scrub"


class Held(Protocol):
    """A store that is held for writing."""

    async def run(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """What `function(connection)` returns, in a transaction. Raises StoreError."""
        ...

    async def apart(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """The same outside of a transaction."""
        ...

    def next_number(self) -> int:
        """A number greater than all that were given."""
        ...

    def forget_kept(self) -> None:
        """What was read before is not valid any more."""
        ...


class Direct:
    """A store's file that no server has: `Held`, without a thread. For the command line."""

    def __init__(self, path: Path, synchronous: str) -> None:
        """Raises StoreError, also if a server has it."""
        refuse_network(path)
        self._path = path
        self._lock = Lock(path)
        try:
            self._db = connect(path, synchronous)
            self._number = highest_number(self._db)
        except BaseException:
            self._lock.close()
            raise

    async def run(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """See Held."""
        try:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                result = function(self._db)
                self._db.execute("COMMIT")
            finally:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
        except sqlite3.Error as exc:
            raise StoreError(f"{self._path}: {exc}") from exc
        return result

    async def apart(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """See Held."""
        try:
            return function(self._db)
        except sqlite3.Error as exc:
            raise StoreError(f"{self._path}: {exc}") from exc

    def next_number(self) -> int:
        """See Held."""
        self._number += 1
        return self._number

    def forget_kept(self) -> None:
        """See Held."""

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()
        self._lock.close()


async def retry(store: Held, ids: Sequence[int] | None, progress: Progress) -> dict[str, Any]:
    """Put dead letters back, all if `ids` is None: events into the inbox, replies into the outbox.

    They come after everything that waits already. An event is done anew, from its start.
    """

    def move(db: sqlite3.Connection, numbers: dict[int, int]) -> int:
        moved, now = 0, time.time()
        for dead, number in numbers.items():
            row = db.execute("SELECT kind FROM dead WHERE id = ?", (dead,)).fetchone()
            if row is not None:
                db.execute(_RETRY[row[0]], {"id": dead, "number": number, "now": now})
                db.execute("DELETE FROM dead WHERE id = ?", (dead,))
                moved += 1
        db.execute("UPDATE counter SET high = max(high, ?)", (max(numbers.values()),))
        return moved

    return await _by_slices(
        store, ids, progress, lambda some: _bound(move, {dead: store.next_number() for dead in some})
    )


_RETRY = {
    # `replied` begins anew, and so does `seq`: what a channel has had of the first run must not be taken for this one.
    "event": (
        "INSERT INTO inbox (seq, lane, talker, event, at, archived)"
        " SELECT :number, lane, talker, payload, :now, archived FROM dead WHERE id = :id"
    ),
    "reply": (
        "INSERT INTO outbox (id, seq, n, lane, talker, address, message, at)"
        " SELECT :number, seq, n, lane, talker, address, payload, :now FROM dead WHERE id = :id"
    ),
}


async def drop(store: Held, ids: Sequence[int] | None, progress: Progress) -> dict[str, Any]:
    """Delete dead letters, all if `ids` is None."""

    def delete(db: sqlite3.Connection, some: Sequence[int]) -> int:
        return sum(db.execute("DELETE FROM dead WHERE id = ?", (dead,)).rowcount for dead in some)

    return await _by_slices(store, ids, progress, lambda some: _bound(delete, some))


def _bound(function: Callable[[sqlite3.Connection, T], int], value: T) -> Callable[[sqlite3.Connection], int]:
    return lambda db: function(db, value)


async def _by_slices(
    store: Held,
    ids: Sequence[int] | None,
    progress: Progress,
    change: Callable[[Sequence[int]], Callable[[sqlite3.Connection], int]],
) -> dict[str, Any]:
    known = await store.run(lambda db: [dead for (dead,) in db.execute("SELECT id FROM dead ORDER BY id")])
    found = known if ids is None else sorted(set(ids) & set(known))
    changed = 0
    for first in range(0, len(found), ROWS):
        changed += await store.run(change(found[first : first + ROWS]))
        progress(min(first + ROWS, len(found)), len(found))
    return {"changed": changed, "missing": [] if ids is None else sorted(set(ids) - set(known))}


async def forget(store: Held, talker: str, channel: str | None, progress: Progress) -> dict[str, Any]:
    """Erase everything that is held on a talker, in one transaction; how many rows of each table.

    What is erased is overwritten, in the file and in its write-ahead log. `log_emptied` is False if somebody read the
    file all the time, so that the log could not be emptied.
    """
    while await store.run(drop_messages):
        pass  # of conversations that have aged out: they are nobody's any more
    ids, high = await find_messages(store.run, talker, channel, progress)
    counts = await store.run(lambda db: _erase(db, talker, channel, ids, high))
    store.forget_kept()
    if any(counts.values()):
        await scrub(store)
    return {"counts": counts, "log_emptied": await empty_log(store)}


async def find_messages(
    run: Callable[[Callable[[sqlite3.Connection], Any]], Any], talker: str, channel: str | None, progress: Progress
) -> tuple[list[int], int]:
    """The ids of a talker's messages, and up to which id they were looked for; the table has no index for it."""
    (high,) = await run(lambda db: db.execute("SELECT coalesce(max(id), 0) FROM message").fetchone())
    where, values = _said_by(talker, channel)
    sql = f"SELECT id FROM message WHERE id > ? AND id <= ? AND {where}"  # noqa: S608 - text of our own
    found: list[int] = []
    for low in range(0, high, SLICE):
        found += await run(_asking(sql, (low, min(low + SLICE, high), *values)))
        progress(min(low + SLICE, high), high)
    return found, high


def _asking(sql: str, values: tuple[Any, ...]) -> Callable[[sqlite3.Connection], list[int]]:
    return lambda db: [number for (number,) in db.execute(sql, values)]


def count(db: sqlite3.Connection, talker: str, channel: str | None) -> dict[str, int]:
    """How many rows of each table but `message` are about a talker."""
    where, values = _whose(talker, channel)
    found = {
        table: db.execute(f"SELECT count(*) FROM {table} WHERE {where}", values).fetchone()[0]  # noqa: S608
        for table in PERSONAL
        if table != "message"
    }
    found["unrouted"] = db.execute("SELECT count(*) FROM value WHERE space = ?", (UNROUTED,)).fetchone()[0]
    found["vault"] = db.execute(f"SELECT count(*) FROM {IN_VAULTS}", _in_vaults(talker, channel)).fetchone()[0]  # noqa: S608
    return found


def _in_vaults(talker: str, channel: str | None) -> tuple[int, str]:
    prefix = vault.prefix(talker, channel)
    return len(prefix), prefix


def _whose(talker: str, channel: str | None) -> tuple[str, tuple[Any, ...]]:
    if channel is None:
        return "talker = ?", (talker,)
    # A lane begins with its channel.
    return "talker = ? AND substr(lane, 1, ?) = ?", (talker, len(channel) + 1, f"{channel}:")


def _said_by(talker: str, channel: str | None) -> tuple[str, tuple[Any, ...]]:
    if channel is None:
        return "talker = ?", (talker,)
    return "talker = ? AND conversation IN (SELECT id FROM conversation WHERE channel = ?)", (talker, channel)


def _erase(db: sqlite3.Connection, talker: str, channel: str | None, ids: Sequence[int], high: int) -> dict[str, int]:
    where, values = _whose(talker, channel)
    db.execute("PRAGMA secure_delete = ON")
    try:
        while drop_messages(db):
            pass  # of conversations that have aged out since then
        messages = _find_again(db, talker, channel, ids, high)
        joined = _joined(db, messages)
        erased = {"message": _erase_messages(db, messages)}
        # What others said in a conversation that this one began stays theirs.
        erased["conversation"] = db.execute(
            "UPDATE conversation SET talker = '', subject = '', data = '{}'"  # noqa: S608
            f" WHERE {where} AND last > 0",
            values,
        ).rowcount
        dialogs = [number for (number,) in db.execute(f"SELECT id FROM dialog WHERE {where}", values)]  # noqa: S608
        erase_dialogs(db, [*dialogs, *joined])
        erased["dialog"] = len({*dialogs, *joined})
        for table in PERSONAL:
            if table not in ("message", "dialog"):
                deleted = db.execute(f"DELETE FROM {table} WHERE {where}", values).rowcount  # noqa: S608
                erased[table] = erased.get(table, 0) + deleted
        # Whose they are is not kept: any of them may be.
        erased["unrouted"] = db.execute("DELETE FROM value WHERE space = ?", (UNROUTED,)).rowcount
        erased["vault"] = db.execute(f"DELETE FROM {IN_VAULTS}", _in_vaults(talker, channel)).rowcount  # noqa: S608
        return erased
    finally:
        db.execute("PRAGMA secure_delete = FAST")


Said = dict[int, dict[int, int]]
"""By conversation: the ids of messages, with the numbers of their turns."""


def _find_again(db: sqlite3.Connection, talker: str, channel: str | None, ids: Sequence[int], high: int) -> Said:
    where, values = _said_by(talker, channel)
    sql = f"SELECT conversation, id, seq FROM message WHERE id = ? AND {where}"  # noqa: S608
    # And what was said since they were looked for.
    since = f"SELECT conversation, id, seq FROM message WHERE id > ? AND {where}"  # noqa: S608
    found = db.execute(since, (high, *values)).fetchall()
    for number in ids:
        found += db.execute(sql, (number, *values)).fetchall()
    by_conversation: Said = {}
    for conversation, number, seq in found:
        by_conversation.setdefault(conversation, {})[number] = seq
    return by_conversation


def _joined(db: sqlite3.Connection, messages: Said) -> list[int]:
    """Dialogs in whose journals something of these turns is, whoever began them.

    They cannot go on without it: what a plugin did next depends upon it.
    """
    found: list[int] = []
    for conversation, turns in messages.items():
        for (lane,) in db.execute("SELECT lane FROM conversation WHERE id = ?", (conversation,)).fetchall():
            found += touched(db, lane, set(turns.values()))
    return found


def _erase_messages(db: sqlite3.Connection, messages: Said) -> int:
    for conversation, numbers in messages.items():
        erase(db, conversation, set(numbers))
    return sum(map(len, messages.values()))


async def scrub(store: Held) -> None:
    """Overwrite the free pages of the file: they hold events and replies that were done with long ago.

    All of them are taken, some in each transaction, and given back with secure_delete on, which fills them with zeros.
    """

    def free(db: sqlite3.Connection) -> int:
        return int(db.execute("PRAGMA freelist_count").fetchone()[0])

    def take(db: sqlite3.Connection, key: str) -> int:
        pages = min(free(db), PAGES)
        if pages:
            (size,) = db.execute("PRAGMA page_size").fetchone()
            # A page of a long value carries 4 bytes less; one page stays for the row itself and for the tree.
            db.execute("INSERT INTO value VALUES (?, ?, zeroblob(?))", (SCRUB, key, max(pages - 1, 1) * (size - 4)))
        return free(db)

    def give(db: sqlite3.Connection) -> int:
        db.execute("PRAGMA secure_delete = ON")
        try:
            return db.execute(
                "DELETE FROM value WHERE space = ? AND key = (SELECT min(key) FROM value WHERE space = ?)",
                (SCRUB, SCRUB),
            ).rowcount
        finally:
            db.execute("PRAGMA secure_delete = FAST")

    try:
        while await store.run(give):
            pass  # what a crash has left of the last time
        rounds = 2 + 2 * await store.run(free) // PAGES
        for number in range(rounds):
            # The last of several free pages may stay free: rows and trees of others come and go meanwhile.
            if await store.run(_bound(take, f"{number:09}")) == 0:
                break
    finally:
        while await store.run(give):
            pass


async def empty_log(store: Held) -> bool:
    """Move the write-ahead log into the file and cut it, so that nothing erased is left in it."""

    def checkpoint(db: sqlite3.Connection) -> bool:
        db.execute("PRAGMA busy_timeout = 100")
        try:
            (busy, _, _) = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        finally:
            db.execute("PRAGMA busy_timeout = 5000")
        return not busy

    for _ in range(10):
        if await store.apart(checkpoint):
            return True
        await asyncio.sleep(0.2)
    return False
