"""What was said in the conversations in which somebody took part, by everybody, for `zoozl record`."""

from __future__ import annotations

import sqlite3
from typing import NamedTuple
from urllib.parse import unquote

from zoozl.stores.sqlite.codec import load_parts

FIELDS = "id, earlier, talker, from_bot, author, at, text, parts"


class Spoken(NamedTuple):
    """One message, and where it was said."""

    id: int
    talker: str
    """Who said it, or to whom the bot said it."""
    from_bot: bool
    author: str
    at: float
    text: str
    files: tuple[str, ...]
    room: str
    thread: str


def place_of(lane: str) -> tuple[str, str]:
    """Room and thread of a lane, "" where it has none."""
    _, _, scope, *rest = map(unquote, lane.split(":"))
    if scope == "room":
        return rest[0], ""
    if scope in ("thread", "user_in_thread"):
        return rest[0], rest[1]
    return "", ""


def spoken(db: sqlite3.Connection, talker: str, channel: str | None, last: int) -> tuple[list[Spoken], bool]:
    """The last messages of all these conversations, oldest first; and whether there were others before them."""
    conversations = db.execute(
        "SELECT lane, last FROM conversation WHERE (talker = ? OR id IN (SELECT conversation FROM message WHERE"
        " talker = ?)) AND (? IS NULL OR channel = ?)",
        (talker, talker, channel, channel),
    )
    found, more = list[Spoken](), False
    for lane, newest in conversations.fetchall():
        room, thread = place_of(lane)
        number, count = newest, 0
        while number and count < last:
            row = db.execute(f"SELECT {FIELDS} FROM message WHERE id = ?", (number,)).fetchone()  # noqa: S608
            if row is None:
                break  # swept
            found.append(_message(row, room, thread))
            number, count = row[1], count + 1
        more = more or bool(number)
    found.sort()
    return found[-last:], more or len(found) > last


def _message(row: tuple[int, int, str, int, str, float, str, str | None], room: str, thread: str) -> Spoken:
    number, _, talker, from_bot, author, at, text, parts = row
    files: tuple[str, ...] = ()
    if parts is not None:
        loaded = load_parts(parts)
        text = " ".join(part.text for part in loaded if part.text)
        files = tuple(part.media_type or "file" for part in loaded if part.binary)
    return Spoken(number, talker, bool(from_bot), author, at, text, files, room, thread)
