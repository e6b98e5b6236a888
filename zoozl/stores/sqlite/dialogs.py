"""Dialogs in the file: a row each while they wait, and their journal."""

from __future__ import annotations

import sqlite3
import time

from zoozl.chatbot.ports import Dialog, Entry, Step
from zoozl.stores.sqlite.codec import DIALOG, dump_dialog, dump_entries, load_dialog, load_entries

# The latest question last: that is the one which a plain text answers.
ORDER = "ORDER BY at, id"


def write_step(db: sqlite3.Connection, step: Step) -> None:
    """What a turn changes of a dialog."""
    dialog = step.dialog
    if step.ended:
        db.execute("DELETE FROM journal WHERE dialog = ?", (dialog.id,))
        db.execute("DELETE FROM dialog WHERE id = ?", (dialog.id,))
        return
    db.execute(
        "INSERT INTO dialog VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET"
        " start = excluded.start, data = excluded.data, question = excluded.question, question_id = excluded.question_id,"
        " deadline = excluded.deadline, at = excluded.at",
        dump_dialog(dialog, time.time()),
    )
    if step.entries:
        first = dialog.entries - len(step.entries)
        db.execute("INSERT INTO journal VALUES (?, ?, ?)", (dialog.id, first, dump_entries(step.entries)))


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
