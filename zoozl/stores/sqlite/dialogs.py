"""Dialogs in the file: a row each while they wait, and their journal."""

from __future__ import annotations

import json
import sqlite3
import time
from itertools import chain
from typing import Any

from zoozl.chatbot.ports import Dialog, Entry, Step
from zoozl.stores.sqlite.bulk import delete, insert
from zoozl.stores.sqlite.codec import DIALOG, dump_dialog, dump_entries, load_dialog, load_entries

# The latest question last: that is the one which a plain text answers.
ORDER = "ORDER BY at, id"
REPLACES = (
    "ON CONFLICT (id) DO UPDATE SET start = excluded.start, data = excluded.data, question = excluded.question,"
    " question_id = excluded.question_id, deadline = excluded.deadline, at = excluded.at"
)


class Steps:
    """What the turns of one transaction change of dialogs, put in together."""

    __slots__ = ("_begun", "_ended", "_journal", "_rows")

    def __init__(self) -> None:
        self._rows: dict[int, tuple[Any, ...]] = {}
        self._journal: dict[int, list[tuple[Any, ...]]] = {}
        self._begun: set[int] = set()
        self._ended: list[int] = []

    def add(self, step: Step) -> None:
        """What a turn changes of a dialog."""
        dialog = step.dialog
        number = dialog.id
        if step.ended:
            self._rows.pop(number, None)
            self._journal.pop(number, None)
            self._ended.append(number)
            return
        first = dialog.entries - len(step.entries)
        if first == 0:
            self._begun.add(number)
        self._rows[number] = dump_dialog(dialog, time.time())
        if step.entries:
            self._journal.setdefault(number, []).append((number, first, dump_entries(step.entries)))

    def flush(self, db: sqlite3.Connection) -> None:
        """Put it in, and begin anew."""
        if self._rows:
            self._forget(db, self._rows.keys() - self._begun)
            insert(db, "dialog", list(self._rows.values()), REPLACES)
            insert(db, "journal", list(chain.from_iterable(self._journal.values())))
            self._rows, self._journal, self._begun = {}, {}, set()
        if self._ended:
            delete(db, "journal", "dialog", self._ended)
            delete(db, "dialog", "id", self._ended)
            self._ended = []

    def _forget(self, db: sqlite3.Connection, going_on: frozenset[int] | set[int]) -> None:
        """Leave out dialogs whose talkers were forgotten while their turns were under way."""
        if not going_on:
            return
        known = db.execute(
            "SELECT id FROM dialog WHERE id IN (SELECT value FROM json_each(?))", (json.dumps(list(going_on)),)
        )
        for number in going_on.difference(number for (number,) in known):
            del self._rows[number]
            self._journal.pop(number, None)


def bury(db: sqlite3.Connection, lane: str, seq: int) -> None:
    """An event is given up: so are the dialogs that it has begun or gone on with, which nobody else would end."""
    for (number,) in db.execute(
        "SELECT DISTINCT d.id FROM dialog d JOIN journal j ON j.dialog = d.id, json_each(j.entries) entry"
        " WHERE d.lane = ? AND json_extract(entry.value, '$[0]') = ?",
        (lane, seq),
    ).fetchall():
        db.execute("DELETE FROM journal WHERE dialog = ?", (number,))
        db.execute("DELETE FROM dialog WHERE id = ?", (number,))


def of_lane(db: sqlite3.Connection, lane: str) -> tuple[Dialog, ...]:
    """The dialogs of a conversation, oldest question first."""
    rows = db.execute(f"SELECT {DIALOG} FROM dialog WHERE lane = ? {ORDER}", (lane,))  # noqa: S608
    return tuple(map(load_dialog, rows))


def entries(db: sqlite3.Connection, dialog: int) -> list[Entry]:
    """A dialog's journal."""
    rows = db.execute("SELECT entries FROM journal WHERE dialog = ? ORDER BY n", (dialog,))
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
