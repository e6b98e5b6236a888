"""Dialogs in the file: a row each while they wait, and their journal."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Sequence
from itertools import chain
from typing import Any

from zoozl.chatbot.ports import Dialog, Entry, Step
from zoozl.stores.jsontext import dump_entries, load_entries
from zoozl.stores.sqlite.bulk import delete, insert, update
from zoozl.stores.sqlite.codec import DIALOG, dump_change, dump_dialog, load_dialog
from zoozl.stores.sqlite.heads import Heads

# The latest question last: that is the one which a plain text answers.
ORDER = "ORDER BY at, id"
REPLACES = (
    "ON CONFLICT (id) DO UPDATE SET start = excluded.start, data = excluded.data, question = excluded.question,"
    " question_id = excluded.question_id, deadline = excluded.deadline, at = excluded.at, last = excluded.last"
)
# What most turns change.
CHANGED = ("data", "question", "question_id", "deadline", "at", "last")
# The rows of the journals of the dialogs in a JSON array, and the dialogs that they are of.
CHAIN = (
    "WITH RECURSIVE chain (id, dialog, earlier) AS ("
    "SELECT journal.id, dialog, earlier FROM journal WHERE id IN"
    " (SELECT last FROM dialog WHERE id IN (SELECT value FROM json_each(?)))"
    " UNION ALL"
    " SELECT journal.id, journal.dialog, journal.earlier FROM chain, journal WHERE journal.id = chain.earlier)"
)


class Steps:
    """What the turns of one transaction change of dialogs, put in together."""

    __slots__ = ("_changed", "_ended", "_heads", "_journal", "_now", "_rows")

    def __init__(self, heads: Heads, now: float) -> None:
        self._heads, self._now = heads, now
        self._rows: dict[int, tuple[Any, ...]] = {}
        # Of dialogs whose row is there already.
        self._changed: dict[int, tuple[Any, ...]] = {}
        self._journal: dict[int, list[tuple[Any, ...]]] = {}
        self._ended: list[int] = []

    def add(self, db: sqlite3.Connection, step: Step) -> None:
        """What a turn changes of a dialog; one whose talker was forgotten meanwhile is left out."""
        dialog, heads = step.dialog, self._heads
        number = dialog.id
        if step.ended:
            self._rows.pop(number, None)
            self._changed.pop(number, None)
            self._journal.pop(number, None)
            self._ended.append(number)
            heads.end(number)
            return
        # First: it may be refused, and then nothing has changed.
        packed = dump_entries(step.entries)
        entries, start = step.entries, dialog.start
        first = dialog.entries - len(entries)
        stored = heads.dialog(db, number)
        whole = stored is None or stored.start != start or number in self._rows
        if stored is None:
            if first > 0:
                return
            stored = heads.begin(number, start)
        if entries:
            earlier, stored.last = stored.last, heads.next_entry()
            self._journal.setdefault(number, []).append((stored.last, number, earlier, first, packed))
        if whole:
            stored.start = start
            self._changed.pop(number, None)
            self._rows[number] = dump_dialog(dialog, self._now, stored.last)
        else:
            self._changed[number] = dump_change(dialog, self._now, stored.last)

    def flush(self, db: sqlite3.Connection) -> None:
        """Put it in, and begin anew."""
        if self._rows:
            insert(db, "dialog", list(self._rows.values()), REPLACES)
            self._rows = {}
        if self._changed:
            update(db, "dialog", CHANGED, list(self._changed.values()))
            self._changed = {}
        if self._journal:
            insert(db, "journal", list(chain.from_iterable(self._journal.values())))
            self._journal = {}
        if self._ended:
            erase_dialogs(db, self._ended)
            self._ended = []


def erase_dialogs(db: sqlite3.Connection, numbers: Sequence[int]) -> None:
    """Delete dialogs with their journals."""
    db.execute(f"{CHAIN} DELETE FROM journal WHERE id IN (SELECT id FROM chain)", (json.dumps(list(numbers)),))  # noqa: S608
    delete(db, "dialog", "id", numbers)


def bury(db: sqlite3.Connection, lane: str, seq: int) -> None:
    """An event is given up: so are the dialogs that it has begun or gone on with, which nobody else would end."""
    erase_dialogs(db, touched(db, lane, {seq}))


def touched(db: sqlite3.Connection, lane: str, turns: Collection[int]) -> list[int]:
    """The dialogs of a conversation in whose journals something of these turns is."""
    there = [number for (number,) in db.execute("SELECT id FROM dialog WHERE lane = ?", (lane,))]
    rows = db.execute(
        f"{CHAIN} SELECT chain.dialog, entries FROM chain JOIN journal ON journal.id = chain.id",  # noqa: S608
        (json.dumps(there),),
    )
    return sorted({number for number, packed in rows if any(entry.seq in turns for entry in load_entries(packed))})


def of_lane(db: sqlite3.Connection, lane: str) -> tuple[Dialog, ...]:
    """The dialogs of a conversation, oldest question first."""
    rows = db.execute(f"SELECT {DIALOG} FROM dialog WHERE lane = ? {ORDER}", (lane,))  # noqa: S608
    return tuple(map(load_dialog, rows))


def entries(db: sqlite3.Connection, dialog: int) -> list[Entry]:
    """A dialog's journal."""
    rows = db.execute(
        f"{CHAIN} SELECT entries FROM chain JOIN journal ON journal.id = chain.id ORDER BY journal.id",  # noqa: S608
        (json.dumps([dialog]),),
    )
    return [entry for (packed,) in rows for entry in load_entries(packed)]


def due(db: sqlite3.Connection, limit: int) -> list[Dialog]:
    """Those with the earliest deadlines."""
    sql = f"SELECT {DIALOG} FROM dialog WHERE deadline IS NOT NULL ORDER BY deadline LIMIT ?"  # noqa: S608
    return list(map(load_dialog, db.execute(sql, (limit,))))


def of_question(db: sqlite3.Connection, question: str) -> Dialog | None:
    """The dialog in which a question is open."""
    row = db.execute(f"SELECT {DIALOG} FROM dialog WHERE question_id = ?", (question,)).fetchone()  # noqa: S608
    return load_dialog(row) if row is not None else None


def of_talker(db: sqlite3.Connection, channel: str, talker: str) -> list[Dialog]:
    """All dialogs that somebody began."""
    rows = db.execute(f"SELECT {DIALOG} FROM dialog WHERE talker = ? {ORDER}", (talker,))  # noqa: S608
    return [dialog for dialog in map(load_dialog, rows) if dialog.address.channel == channel]
