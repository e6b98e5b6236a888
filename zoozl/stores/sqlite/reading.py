"""What `zoozl store` reads, beside a running server: figures, dead letters, export, backup, check."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from zoozl.chatbot import vault
from zoozl.chatbot.message import MessagePart
from zoozl.errors import StoreError
from zoozl.stores.sqlite.codec import DIALOG, load_address, load_dialog, load_parts
from zoozl.stores.sqlite.commands import IN_VAULTS, Progress
from zoozl.stores.sqlite.dialogs import entries
from zoozl.stores.sqlite.file import check_schema, migrations, open_readonly

TABLES = ("conversation", "message", "dialog", "journal", "inbox", "outbox", "dead", "dedup", "value")
TIMED = ("conversation", "message", "dialog", "inbox", "outbox", "dead", "dedup")
STEP = 1_000
# So many numbers the original may give after a backup. Clients can count to 9e15.
AHEAD = 10**10


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """The store's file at one moment, however long one reads. Raises StoreError."""
    if not path.exists():
        raise StoreError(f"{path}: there is no store yet; the server makes it when it first starts")
    db = open_readonly(path)
    try:
        version = check_schema(db, path)
        if version < len(migrations()):
            raise StoreError(f"{path}: has the schema of an older zoozl ({version}); start the server once")
        db.execute("BEGIN")
        db.execute("SELECT high FROM counter").fetchone()
        yield db
    except sqlite3.Error as exc:
        raise StoreError(f"{path}: {exc}") from exc
    finally:
        db.close()


def when(at: float) -> str:
    """Seconds since the epoch as people write it, in UTC."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")


def stats(db: sqlite3.Connection, path: Path) -> dict[str, Any]:
    """Figures by name."""
    found: dict[str, Any] = {
        "file": str(path),
        "bytes": path.stat().st_size,
        "log_bytes": _size(path.with_name(path.name + "-wal")),
        "free_bytes": db.execute("PRAGMA freelist_count").fetchone()[0] * db.execute("PRAGMA page_size").fetchone()[0],
        "schema": db.execute("PRAGMA user_version").fetchone()[0],
    }
    for table in TABLES:
        found[table] = {"rows": db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]}  # noqa: S608
        if table in TIMED:
            (oldest,) = db.execute(f"SELECT min(at) FROM {table}").fetchone()  # noqa: S608
            found[table]["oldest"] = None if oldest is None else when(oldest)
    return found


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def dead_letters(db: sqlite3.Connection) -> Iterator[dict[str, Any]]:
    """All of them, oldest first, without their text."""
    for number, kind, at, address, talker, error in db.execute(
        "SELECT id, kind, at, address, talker, error FROM dead ORDER BY id"
    ):
        channel = load_address(address).channel
        yield {"id": number, "kind": kind, "at": when(at), "channel": channel, "talker": talker, "error": error}


def export(db: sqlite3.Connection, talker: str | None, progress: Progress) -> Iterator[dict[str, Any]]:
    """Conversations, dialogs that wait, names of secrets, then messages in the order in which they were kept.

    Of one talker, or of all.
    """
    where, values = ("WHERE talker = ?", (talker,)) if talker is not None else ("", ())
    for lane, uuid, channel, who, subject, greeted, data, at in db.execute(
        f"SELECT lane, uuid, channel, talker, subject, greeted, data, at FROM conversation {where} ORDER BY lane",  # noqa: S608
        values,
    ):
        yield {
            "type": "conversation",
            "lane": lane,
            "uuid": uuid,
            "channel": channel,
            "talker": who,
            "subject": subject,
            "greeted": bool(greeted),
            "data": json.loads(data),
            "last": when(at),
        }
    yield from _dialogs(db, where, values)
    prefix = "" if talker is None else vault.prefix(talker)
    for space, key in db.execute(f"SELECT space, key FROM {IN_VAULTS} ORDER BY space, key", (len(prefix), prefix)):  # noqa: S608
        entry = vault.Entry.of_key(key)
        plugin = space.removeprefix(vault.SPACE)
        yield {"type": "secret", "plugin": plugin, **entry._asdict(), "value": vault.STARS}
    (high,) = db.execute("SELECT coalesce(max(id), 0) FROM message").fetchone()
    where, values = ("m.talker = ?", (talker,)) if talker is not None else ("1", ())
    for low in range(0, high, STEP):
        rows = db.execute(
            "SELECT lane, m.talker, from_bot, author, m.at, platform_id, text, parts FROM message m"  # noqa: S608
            f" JOIN conversation c ON c.id = conversation WHERE m.id > ? AND m.id <= ? AND {where} ORDER BY m.id",
            (low, low + STEP, *values),
        )
        yield from map(_message, rows)
        progress(min(low + STEP, high), high)


def _dialogs(db: sqlite3.Connection, where: str, values: tuple[Any, ...]) -> Iterator[dict[str, Any]]:
    for row in db.execute(f"SELECT {DIALOG} FROM dialog {where} ORDER BY id", values):  # noqa: S608
        dialog = load_dialog(row)
        yield {
            "type": "dialog",
            "lane": dialog.lane,
            "channel": dialog.address.channel,
            "talker": dialog.address.talker,
            "plugin": dialog.plugin,
            "alias": dialog.alias,
            "begun_with": json.loads(dialog.start) if dialog.start else None,
            "data": json.loads(dialog.data),
            "question": dialog.question.prompt if dialog.question is not None else None,
            "deadline": when(dialog.deadline) if dialog.deadline is not None else None,
            "journal": [[entry.kind, _shown(entry.value)] for entry in entries(db, dialog.id)],
        }


def _shown(value: Any) -> Any:
    """What was recorded, without what is sealed."""
    return {"value": vault.STARS} if isinstance(value, dict) and "sealed" in value else value


def _message(row: tuple[Any, ...]) -> dict[str, Any]:
    lane, talker, from_bot, author, at, platform_id, text, parts = row
    found = {
        "type": "message",
        "lane": lane,
        "talker": talker,
        "from_bot": bool(from_bot),
        "author": author,
        "at": datetime.fromtimestamp(at, UTC).isoformat(),
        "id": platform_id,
        "text": text,
    }
    if parts is not None:
        loaded: list[MessagePart] = load_parts(parts)
        found["text"] = " ".join(part.text for part in loaded if part.text)
        found["parts"] = json.loads(parts)
    return found


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """A file to write, for its owner only, that becomes `path` at the end, all at once.

    Raises StoreError if `path` is there. An error inside leaves nothing behind.
    """
    if path.exists() or path.is_symlink():
        raise StoreError(f"{path}: is there already, and is not overwritten")
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.resolve().parent)
    except OSError as exc:
        raise StoreError(f"{path}: cannot be written: {exc.strerror}") from exc
    try:
        os.close(handle)
        yield Path(name)
        with open(name, "rb") as written:
            os.fsync(written.fileno())
        try:
            # Unlike a rename, it never replaces a file that has come up meanwhile.
            os.link(name, path)
        except FileExistsError as exc:
            raise StoreError(f"{path}: is there already, and is not overwritten") from exc
        except OSError:
            os.rename(name, path)  # a file system without links
    finally:
        for end in ("", "-journal", "-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name + end)


def backup(db: sqlite3.Connection, path: Path, progress: Progress) -> int:
    """Copy the store as it is at this moment into a new file; its size in bytes. Raises StoreError."""
    with new_file(path) as part:
        copy = sqlite3.connect(part)
        try:
            # Steps of one read transaction: the server's writing does not make it begin again.
            db.backup(copy, pages=STEP, progress=lambda _, left, total: progress(total - left, total), sleep=0)
            # Who has talked to the original since takes replies with numbers it has seen for those it has had.
            copy.execute("UPDATE counter SET high = high + ?", (AHEAD,))
            copy.commit()
        except sqlite3.Error as exc:
            raise StoreError(f"{path}: {exc}") from exc
        finally:
            copy.close()
    return path.stat().st_size


# What is chained hides everything before a row that is missing.
HOLES = {
    "conversations have lost messages": (
        "SELECT count(*) FROM conversation WHERE last <> 0 AND last NOT IN (SELECT id FROM message)"
    ),
    "messages have lost those before them": (
        "SELECT count(*) FROM message WHERE earlier <> 0 AND earlier NOT IN (SELECT id FROM message)"
    ),
    "dialogs have lost their journal": (
        "SELECT count(*) FROM dialog WHERE last <> 0 AND last NOT IN (SELECT id FROM journal)"
    ),
    "journals have a hole": (
        "SELECT count(*) FROM journal WHERE earlier <> 0 AND earlier NOT IN (SELECT id FROM journal)"
    ),
}


def check(db: sqlite3.Connection, working: Callable[[float], None]) -> tuple[list[str], dict[str, int]]:
    """What is wrong with the file, and how many rows have lost what they belonged to (which hurts nobody).

    `working` is called now and then with the seconds that have passed.
    """
    begun = time.monotonic()
    db.set_progress_handler(lambda: working(time.monotonic() - begun), 1_000_000)
    try:
        wrong = [str(row[0]) for row in db.execute("PRAGMA integrity_check") if row[0] != "ok"]
        wrong += [f"{number} {what}" for what, sql in HOLES.items() if (number := db.execute(sql).fetchone()[0])]
        orphans = {
            "messages without a conversation": (
                "SELECT count(*) FROM message WHERE conversation NOT IN (SELECT id FROM conversation)"
            ),
            "replies without a conversation": (
                "SELECT count(*) FROM outbox WHERE lane NOT IN (SELECT lane FROM conversation)"
            ),
            "dialogs without a conversation": (
                "SELECT count(*) FROM dialog WHERE lane NOT IN (SELECT lane FROM conversation)"
                " AND lane NOT IN (SELECT lane FROM inbox)"
            ),
            "journal entries without a dialog": (
                "SELECT count(*) FROM journal WHERE dialog NOT IN (SELECT id FROM dialog)"
            ),
        }
        return wrong, {name: db.execute(sql).fetchone()[0] for name, sql in orphans.items()}
    finally:
        db.set_progress_handler(None, 0)
