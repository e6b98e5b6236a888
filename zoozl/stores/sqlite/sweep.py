"""Growing old: what has reached its age leaves the store, a little at a time."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from zoozl.chatbot.unrouted import SPACE, key_at
from zoozl.errors import StoreError
from zoozl.stores.sqlite.history import ROWS, drop, drop_messages

log = logging.getLogger(__name__)

T = TypeVar("T")

INTERVAL = 60.0


@dataclass(frozen=True, slots=True)
class Ages:
    """After how many seconds something goes; None is never."""

    conversation: float | None = None
    outbox: float | None = None
    dead: float | None = None
    unrouted: float | None = None
    dedup: Mapping[str, float | None] = field(default_factory=lambda: {"default": None})
    """By channel; "default" is for the others."""


class Swept(Protocol):
    """A store that is swept."""

    async def run(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """What `function(connection)` returns, in a transaction. Raises StoreError."""
        ...

    def forget_lanes(self, lanes: list[str]) -> None:
        """What was read of these conversations is not valid any more."""
        ...


class Sweep:
    """`run` sweeps every minute, `once` does it now. One transaction deletes at most `ROWS` rows."""

    def __init__(self, store: Swept, ages: Ages, clock: Callable[[], float] = time.time) -> None:
        """`clock` tells the seconds since the epoch."""
        self._store = store
        self._ages = ages
        self._clock = clock

    async def run(self) -> None:
        """Sweep every minute, until it is cancelled."""
        while True:
            await asyncio.sleep(INTERVAL)
            try:
                counts = await self.once()
            except StoreError as exc:
                log.error("old rows stay for now: %s", exc)
                continue
            if any(counts.values()):
                log.info("aged out: %s", ", ".join(f"{n} {table}" for table, n in counts.items() if n))

    async def once(self) -> dict[str, int]:
        """Delete all that has reached its age; how many rows of each table."""
        counts = {"message": 0, "conversation": 0, "dedup": 0, "outbox": 0, "dead": 0, "unrouted": 0}
        ages = self._ages
        now = self._clock()
        if ages.outbox is not None:
            # Before the dead letters: these are young as such.
            await self._outbox(now - ages.outbox, counts)
        if ages.dead is not None:
            await self._until_none("dead", _dead(now - ages.dead), counts)
        if ages.unrouted is not None:
            await self._until_none("unrouted", _unrouted(now - ages.unrouted), counts)
        for channel in await self._store.run(_channels):
            age = ages.dedup.get(channel, ages.dedup["default"])
            if age is not None:
                await self._until_none("dedup", _dedup(channel, now - age), counts)
        if ages.conversation is not None:
            await self._conversations(now - ages.conversation, counts)
        await self._until_none("message", drop_messages, counts)
        return counts

    async def _until_none(
        self, table: str, delete: Callable[[sqlite3.Connection], int], counts: dict[str, int]
    ) -> None:
        deleted = 1
        while deleted:
            deleted = await self._store.run(delete)
            counts[table] += deleted

    async def _outbox(self, before: float, counts: dict[str, int]) -> None:
        after: int | None = 0
        while after is not None:
            after, moved = await self._store.run(_bury(before, after, self._clock()))
            counts["outbox"] += moved

    async def _conversations(self, before: float, counts: dict[str, int]) -> None:
        lanes: list[str] | None = None
        while lanes is None or len(lanes) == ROWS:
            lanes = await self._store.run(_old_conversations(before))
            self._store.forget_lanes(lanes)
            counts["conversation"] += len(lanes)


# No lane with something undone or undelivered, or with a dialog, which has a deadline of its own.
_BUSY = "(SELECT lane FROM inbox UNION SELECT lane FROM outbox UNION SELECT lane FROM dialog)"


def _channels(db: sqlite3.Connection) -> list[str]:
    # One look per channel: there are few channels and many keys.
    found: list[str] = []
    while True:
        after = found[-1] if found else ""
        (channel,) = db.execute("SELECT min(channel) FROM dedup WHERE channel > ?", (after,)).fetchone()
        if channel is None:
            return found
        found.append(channel)


def _dead(before: float) -> Callable[[sqlite3.Connection], int]:
    sql = "DELETE FROM dead WHERE id IN (SELECT id FROM dead WHERE at < ? ORDER BY at LIMIT ?)"
    return lambda db: db.execute(sql, (before, ROWS)).rowcount


def _unrouted(before: float) -> Callable[[sqlite3.Connection], int]:
    sql = "DELETE FROM value WHERE space = ? AND key IN (SELECT key FROM value WHERE space = ? AND key < ? LIMIT ?)"
    return lambda db: db.execute(sql, (SPACE, SPACE, key_at(before), ROWS)).rowcount


def _dedup(channel: str, before: float) -> Callable[[sqlite3.Connection], int]:
    sql = (
        "DELETE FROM dedup WHERE channel = ? AND key IN"
        " (SELECT key FROM dedup WHERE channel = ? AND at < ? ORDER BY at LIMIT ?)"
    )
    return lambda db: db.execute(sql, (channel, channel, before, ROWS)).rowcount


def _bury(before: float, after: int, now: float) -> Callable[[sqlite3.Connection], tuple[int | None, int]]:
    """One page of the outbox: where the next begins (None: nothing older follows), and how many replies are dead."""

    def bury(db: sqlite3.Connection) -> tuple[int | None, int]:
        page = db.execute(
            "SELECT id, at, lane, seq IN (SELECT seq FROM inbox) FROM outbox WHERE id > ? ORDER BY id LIMIT ?",
            (after, ROWS),
        ).fetchall()
        moved = 0
        for number, at, lane, undone in page:
            if at >= before or undone:
                continue
            # Its talker is there: the channel delivers, or gives up by itself.
            alive = db.execute("SELECT 1 FROM conversation WHERE lane = ? AND at >= ?", (lane, before)).fetchone()
            if alive is None:
                db.execute(
                    "INSERT INTO dead (kind, seq, n, lane, talker, address, payload, error, at)"
                    " SELECT 'reply', seq, n, lane, talker, address, message,"
                    " rtrim('the talker did not come back in time; ' || error, '; '), ? FROM outbox WHERE id = ?",
                    (now, number),
                )
                db.execute("DELETE FROM outbox WHERE id = ?", (number,))
                moved += 1
        # Ids grow with time: the page that ends young is the last one.
        return (page[-1][0] if len(page) == ROWS and page[-1][1] < before else None), moved

    return bury


def _old_conversations(before: float) -> Callable[[sqlite3.Connection], list[str]]:
    """Up to `ROWS` conversations go; their lanes."""

    def delete(db: sqlite3.Connection) -> list[str]:
        old = db.execute(
            f"SELECT lane FROM conversation WHERE at < ? AND lane NOT IN {_BUSY} ORDER BY at LIMIT ?",  # noqa: S608
            (before, ROWS),
        ).fetchall()
        for (lane,) in old:
            drop(db, lane)
        return [lane for (lane,) in old]

    return delete
