"""A conversation's messages, from its newest one backwards: each row names the one before it."""

from __future__ import annotations

import sqlite3
from itertools import pairwise

from zoozl.chatbot.message import Message
from zoozl.stores.sqlite import codec

# Rows that one transaction deletes: a few milliseconds, in which nobody else is served.
ROWS = 1_000

# The conversation is compared at each step: a number that has become free may be another one's by now.
CHAIN = (
    "WITH RECURSIVE chain (id, conversation, step) AS ("
    " SELECT last, id, 1 FROM conversation WHERE lane = ?"
    " UNION ALL"
    " SELECT m.earlier, m.conversation, step + 1 FROM chain JOIN message m"
    " ON m.id = chain.id AND m.conversation = chain.conversation WHERE step < ?)"
)


def latest(db: sqlite3.Connection, lane: str, skip: int, limit: int) -> list[Message]:
    """Up to `limit` messages of a lane before its `skip` newest ones, oldest first."""
    rows = db.execute(
        CHAIN + " SELECT m.id, from_bot, author, at, platform_id, text, parts FROM chain"  # noqa: S608
        " JOIN message m ON m.id = chain.id AND m.conversation = chain.conversation WHERE step > ? ORDER BY m.id",
        (lane, skip + limit, skip),
    )
    messages = []
    for number, from_bot, author, sent, platform_id, text, parts in rows:
        message = Message(codec.load_parts(parts) if parts else text, author, sent, platform_id, bool(from_bot))
        message.row = number
        messages.append(message)
    return messages


def count(db: sqlite3.Connection, lane: str) -> int:
    """How many messages a lane has."""
    row = db.execute(
        "SELECT m.n FROM conversation c JOIN message m ON m.id = c.last AND m.conversation = c.id WHERE c.lane = ?",
        (lane,),
    ).fetchone()
    return row[0] if row else 0


def erase(db: sqlite3.Connection, conversation: int, gone: set[int]) -> int:
    """Take messages out of a conversation and join what is left; how many are left."""
    found = db.execute("SELECT lane FROM conversation WHERE id = ?", (conversation,)).fetchone()
    # Of messages that have lost their conversation there is nothing to join.
    whole = CHAIN + " SELECT id FROM chain WHERE id > 0 ORDER BY id"  # noqa: S608
    chain = db.execute(whole, (found[0], 1 << 62)).fetchall() if found is not None else []
    kept = [number for (number,) in chain if number not in gone]
    db.executemany(
        "UPDATE message SET earlier = ?, n = ? WHERE id = ?",
        [(earlier, n, number) for n, (earlier, number) in enumerate(pairwise([0, *kept]), 1)],
    )
    db.execute("UPDATE conversation SET last = ? WHERE id = ?", (kept[-1] if kept else 0, conversation))
    db.executemany("DELETE FROM message WHERE id = ?", [(number,) for number in gone])
    return len(kept)


def drop(db: sqlite3.Connection, lane: str) -> None:
    """A conversation is gone; `drop_messages` takes its messages."""
    db.execute("INSERT INTO gone SELECT id, last FROM conversation WHERE lane = ?", (lane,))
    db.execute("DELETE FROM conversation WHERE lane = ?", (lane,))


def drop_messages(db: sqlite3.Connection) -> int:
    """Delete messages of conversations that are gone, at most `ROWS`; how many."""
    deleted = 0
    for conversation, last in db.execute("SELECT conversation, last FROM gone LIMIT ?", (ROWS,)).fetchall():
        while last and deleted < ROWS:
            row = db.execute(
                "DELETE FROM message WHERE id = ? AND conversation = ? RETURNING earlier", (last, conversation)
            ).fetchone()
            last = row[0] if row else 0
            deleted += 1
        if last:
            db.execute("UPDATE gone SET last = ? WHERE conversation = ?", (last, conversation))
            break
        db.execute("DELETE FROM gone WHERE conversation = ?", (conversation,))
    return deleted
