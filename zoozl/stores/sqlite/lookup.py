"""What `zoozl explain` and `zoozl routes` read: what is going on for a talker, one message, kept values."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from zoozl.chatbot.ports import Dialog
from zoozl.stores.sqlite import dialogs
from zoozl.stores.sqlite.codec import load_parts


@dataclass(frozen=True, slots=True)
class Place:
    """A conversation as it is now."""

    lane: str
    channel: str
    talker: str
    subject: str
    at: float
    dialogs: tuple[Dialog, ...]


@dataclass(frozen=True, slots=True)
class Stored:
    """A message as it was said."""

    text: str
    talker: str
    lane: str


def places(db: sqlite3.Connection, talker: str, channel: str | None) -> list[Place]:
    """The conversations of a talker, in one channel or in all, the latest first."""
    rows = db.execute(
        "SELECT lane, channel, talker, subject, at FROM conversation"
        " WHERE talker = ? AND (? IS NULL OR channel = ?) ORDER BY at DESC, id DESC",
        (talker, channel, channel),
    ).fetchall()
    return [Place(lane, where, who, subject, at, dialogs.of_lane(db, lane)) for lane, where, who, subject, at in rows]


def message(db: sqlite3.Connection, name: str) -> Stored | None:
    """What a talker said: by the number that the log calls its turn, or by the platform's id. It takes a whole scan."""
    turn = int(name) if name.isascii() and name.isdigit() and len(name) < 19 else -1
    row = db.execute(
        "SELECT text, parts, m.talker, lane FROM message m JOIN conversation c ON c.id = conversation"
        " WHERE from_bot = 0 AND (m.seq = ? OR (platform_id = ? AND platform_id <> ''))"
        " ORDER BY m.seq = ? DESC, m.id LIMIT 1",
        (turn, name, turn),
    ).fetchone()
    if row is None:
        return None
    text, parts, talker, lane = row
    if parts is not None:
        text = " ".join(part.text for part in load_parts(parts) if part.text)
    return Stored(text, talker, lane)


def values(db: sqlite3.Connection, space: str) -> list[str]:
    """The values of a space, in the order of their keys."""
    return [value for (value,) in db.execute("SELECT value FROM value WHERE space = ? ORDER BY key", (space,))]
