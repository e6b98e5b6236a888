"""Where conversations and journals end: known to the writer, so that it need not ask the file at every message."""

from __future__ import annotations

import itertools
import sqlite3
import time

MOST = 10_000


class Head:
    """A conversation's number, its newest message, and how many it has had."""

    __slots__ = ("at", "conversation", "known", "last", "n")

    def __init__(self, conversation: int, last: int, n: int, at: float, known: bool) -> None:
        self.conversation = conversation
        self.last = last
        self.n = n
        self.at = at
        """What the file has for its last use, in seconds since the epoch."""
        self.known = known
        """False if the file does not have it yet."""


class Stored:
    """What the file has of a dialog."""

    __slots__ = ("last", "start")

    def __init__(self, last: int, start: str) -> None:
        self.last = last
        """The end of its journal; 0: it has none yet."""
        self.start = start
        """What it begins with."""


class Heads:
    """Conversations by lane, and dialogs, as they are in the transaction. All methods belong to the writer's thread."""

    def __init__(self, db: sqlite3.Connection) -> None:
        message: int
        conversation: int
        (message,) = db.execute("SELECT coalesce(max(id), 0) FROM message").fetchone()
        (conversation,) = db.execute(
            "SELECT max((SELECT coalesce(max(id), 0) FROM conversation),"
            " (SELECT coalesce(max(conversation), 0) FROM gone))"
        ).fetchone()
        self.next_message = itertools.count(message + 1).__next__
        """A number greater than those of all messages."""
        self._conversations = itertools.count(conversation + 1)
        (entry,) = db.execute("SELECT coalesce(max(id), 0) FROM journal").fetchone()
        self.next_entry = itertools.count(entry + 1).__next__
        """The same for the rows of journals."""
        self._heads: dict[str, Head] = {}
        self._dialogs: dict[int, Stored] = {}

    def find(self, db: sqlite3.Connection, lane: str) -> Head:
        """The head of a lane. Rows that were written before must be in the database if it was cleared meanwhile."""
        head = self._heads.get(lane)
        if head is None:
            row = db.execute(
                "SELECT c.id, c.last, coalesce(m.n, 0), c.at FROM conversation c LEFT JOIN message m ON m.id = c.last"
                " WHERE c.lane = ?",
                (lane,),
            ).fetchone()
            if row is not None:
                conversation, last, n, at = row
                head = Head(conversation, last, n, at, True)
            else:
                head = Head(next(self._conversations), 0, 0, time.time(), False)
            self._heads[lane] = head
        return head

    def dialog(self, db: sqlite3.Connection, number: int) -> Stored | None:
        """What the file has of a dialog; None if there is no such dialog."""
        stored = self._dialogs.get(number)
        if stored is None:
            row = db.execute("SELECT last, start FROM dialog WHERE id = ?", (number,)).fetchone()
            if row is not None:
                stored = self._dialogs[number] = Stored(*row)
        return stored

    def begin(self, number: int, start: str) -> Stored:
        """A dialog that the file has from now on."""
        stored = self._dialogs[number] = Stored(0, start)
        return stored

    def end(self, number: int) -> None:
        """A dialog is over."""
        self._dialogs.pop(number, None)

    def trim(self) -> None:
        """Between two transactions: keep within bounds."""
        if len(self._heads) > MOST:
            self._heads.clear()
        if len(self._dialogs) > MOST:
            self._dialogs.clear()

    def clear(self) -> None:
        """Something else has changed conversations or dialogs, or a transaction was taken back."""
        self._heads.clear()
        self._dialogs.clear()
