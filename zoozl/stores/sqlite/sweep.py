"""Growing old: what has reached its age leaves the store, a little at a time."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from zoozl.errors import StoreError

log = logging.getLogger(__name__)

T = TypeVar("T")

INTERVAL = 60.0
ROWS = 1_000


@dataclass(frozen=True, slots=True)
class Ages:
    """After how many seconds something goes; None is never."""

    conversation: float | None = None
    outbox: float | None = None
    dead: float | None = None
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
        self._lane = ""

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
        counts = {"message": 0, "conversation": 0, "dedup": 0, "outbox": 0, "dead": 0}
        ages = self._ages
        now = self._clock()
        if ages.outbox is not None:
            # Before the dead letters: these are young as such.
            await self._outbox(now - ages.outbox, counts)
        if ages.dead is not None:
            await self._until_none("dead", _dead(now - ages.dead), counts)
        for channel in await self._store.run(_channels):
            age = ages.dedup.get(channel, ages.dedup["default"])
            if age is not None:
                await self._until_none("dedup", _dedup(channel, now - age), counts)
        if ages.conversation is not None:
            await self._conversations(now - ages.conversation, counts)
            await self._strays(now - ages.conversation, counts)
        return counts

    async def _until_none(
        self, table: str, delete: Callable[[sqlite3.Connection], int], counts: dict[str, int]
    ) -> None:
        deleted = ROWS
        while deleted == ROWS:
            deleted = await self._store.run(delete)
            counts[table] += deleted

    async def _outbox(self, before: float, counts: dict[str, int]) -> None:
        after: int | None = 0
        while after is not None:
            after, moved = await self._store.run(_bury(before, after, self._clock()))
            counts["outbox"] += moved

    async def _conversations(self, before: float, counts: dict[str, int]) -> None:
        more = True
        while more:
            messages, lanes, more = await self._store.run(_old_conversations(before))
            self._store.forget_lanes(lanes)
            counts["message"] += messages
            counts["conversation"] += len(lanes)

    async def _strays(self, before: float, counts: dict[str, int]) -> None:
        """Messages without a conversation: what was told to somebody who never spoke, or is left in a room.

        So many lanes are looked at in each sweep, and the next one goes on from there.
        """
        lanes, after = await self._store.run(_stray_lanes(self._lane, before))
        self._lane = after or ""
        for lane in lanes:
            await self._until_none("message", _stray_messages(lane), counts)
        self._store.forget_lanes(lanes)


# No lane with something undone or undelivered; a conversation's state goes after the last of its messages.
_BUSY = "(SELECT lane FROM inbox UNION SELECT lane FROM outbox)"


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


def _old_conversations(before: float) -> Callable[[sqlite3.Connection], tuple[int, list[str], bool]]:
    """Up to `ROWS` rows: messages that are gone, lanes that are gone, and whether more is left."""

    def delete(db: sqlite3.Connection) -> tuple[int, list[str], bool]:
        old = db.execute(
            f"SELECT lane FROM conversation WHERE at < ? AND lane NOT IN {_BUSY} ORDER BY at LIMIT ?",  # noqa: S608
            (before, ROWS),
        ).fetchall()
        messages = 0
        lanes: list[str] = []
        for (lane,) in old:
            room = ROWS - messages - len(lanes)
            if room <= 0:
                return messages, lanes, True
            messages += (gone := _messages(db, lane, room))
            if gone < room:
                db.execute("DELETE FROM conversation WHERE lane = ?", (lane,))
                lanes.append(lane)
        return messages, lanes, len(old) == ROWS or len(lanes) < len(old)

    return delete


def _messages(db: sqlite3.Connection, lane: str, limit: int) -> int:
    sql = "DELETE FROM message WHERE id IN (SELECT id FROM message WHERE lane = ? ORDER BY id LIMIT ?)"
    return db.execute(sql, (lane, limit)).rowcount


def _stray_lanes(after: str, before: float) -> Callable[[sqlite3.Connection], tuple[list[str], str | None]]:
    """The next `ROWS` lanes behind `after`: those that are strays and old, and where to go on (None: at the start)."""

    def look(db: sqlite3.Connection) -> tuple[list[str], str | None]:
        strays: list[str] = []
        lane: str | None = after
        for _ in range(ROWS):
            (lane,) = db.execute("SELECT min(lane) FROM message WHERE lane > ?", (lane,)).fetchone()
            if lane is None:
                break
            if db.execute("SELECT 1 FROM conversation WHERE lane = ?", (lane,)).fetchone():
                continue
            (at,) = db.execute("SELECT at FROM message WHERE lane = ? ORDER BY id DESC LIMIT 1", (lane,)).fetchone()
            if at < before:
                strays.append(lane)
        if not strays:
            return strays, lane
        busy = {row[0] for row in db.execute(_BUSY[1:-1])}
        return [stray for stray in strays if stray not in busy], lane

    return look


def _stray_messages(lane: str) -> Callable[[sqlite3.Connection], int]:
    def delete(db: sqlite3.Connection) -> int:
        begun = f"SELECT 1 WHERE ? IN {_BUSY} OR EXISTS (SELECT 1 FROM conversation WHERE lane = ?)"  # noqa: S608
        if db.execute(begun, (lane, lane)).fetchone():
            return 0
        return _messages(db, lane, ROWS)

    return delete
