"""Opening a store's file: nobody else has it, it is on a local disk, it is ours, and its schema is this version's."""

from __future__ import annotations

import os
import sqlite3
from importlib import resources
from pathlib import Path

from zoozl.errors import StoreError

try:
    import fcntl
except ImportError:  # no flock on Windows: SQLite's own lock in exclusive mode has to do
    fcntl = None  # type: ignore[assignment]

APPLICATION = 0x7A6F6F7A  # "zooz"

PAGE = 4096
LOG_PAGES = 4000

# Their locks or their memory mapping do not do what write-ahead logging needs.
NETWORK = {"nfs", "nfs4", "cifs", "smb", "smb2", "smb3", "smbfs", "ncpfs", "afs", "ceph", "glusterfs", "fuse.sshfs",
           "fuse.glusterfs", "fuse.s3fs", "fuse.rclone", "davfs", "lustre", "9p"}  # fmt: skip


def migrations() -> list[str]:
    """The SQL of every version, the first is version 1."""
    folder = resources.files(__package__)
    names = sorted(item.name for item in folder.iterdir() if item.name.endswith(".sql"))
    return [(folder / name).read_text("utf-8") for name in names]


class Lock:
    """Held by the one process that may write the file; released by `close` or by the end of the process."""

    def __init__(self, path: Path) -> None:
        """Raises StoreError if another process has it."""
        self._path = path.with_name(path.name + ".lock")
        try:
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as exc:
            raise StoreError(f"{path}: cannot be opened for writing: {exc.strerror}") from exc
        if fcntl is None:
            return
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            os.close(self._file)
            raise StoreError(
                f"{path}: another server is using this store; every server needs a file of its own"
            ) from exc

    def close(self) -> None:
        """Let go."""
        os.close(self._file)


def refuse_network(path: Path, mounts: str | None = None) -> None:
    """Raise StoreError if `path` is on a network file system, by Linux's table of mounts (elsewhere: no check)."""
    if mounts is None:
        try:
            mounts = Path("/proc/self/mounts").read_text("utf-8", "replace")
        except OSError:
            return
    folder = str(path.resolve().parent)
    best, kind = "", ""
    for line in mounts.splitlines():
        fields = line.split()
        if len(fields) < 3:
            continue
        point = fields[1].replace("\\040", " ")
        inside = folder == point or folder.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):
            best, kind = point, fields[2]
    if kind in NETWORK:
        raise StoreError(f"{path}: is on a network file system ({kind}), where SQLite loses data; use a local disk")


def connect(path: Path, synchronous: str = "FULL") -> sqlite3.Connection:
    """The writer's connection, with the schema of this version.

    Raises StoreError for a file that is not a store of zoozl, or of a newer version, or cannot be written.
    """
    try:
        # Only its owner's business; the files that SQLite puts beside it get the same mode.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        # The writer thread is the only user; it is opened by another one.
        db = sqlite3.connect(path, timeout=5.0, isolation_level=None, check_same_thread=False)
        try:
            _migrate(db, path)
            db.execute("PRAGMA journal_mode = WAL")
            db.execute(f"PRAGMA synchronous = {synchronous}")
            db.execute("PRAGMA secure_delete = FAST")
            db.execute(f"PRAGMA wal_autocheckpoint = {_log_pages(path)}")
            db.execute("PRAGMA cache_size = -16000")
        except BaseException:
            db.close()
            raise
    except OSError as exc:
        raise StoreError(f"{path}: cannot be opened for writing: {exc.strerror}") from exc
    except sqlite3.Error as exc:
        raise StoreError(f"{path}: {exc}") from exc
    return db


def _log_pages(path: Path) -> int:
    """How long the write-ahead log may get: on a small disk it must leave room for the file it is to go into."""
    try:
        room = os.statvfs(path)
    except (AttributeError, OSError):  # Windows
        return LOG_PAGES
    return max(100, min(LOG_PAGES, room.f_bavail * room.f_frsize // PAGE // 4))


def check_schema(db: sqlite3.Connection, path: Path) -> int:
    """The version of the schema, 0 for an empty file. Raises StoreError for a foreign or newer one."""
    (version,) = db.execute("PRAGMA user_version").fetchone()
    (application,) = db.execute("PRAGMA application_id").fetchone()
    (tables,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application != APPLICATION and (tables or version):
        raise StoreError(f"{path}: is another program's database; choose another file")
    latest = len(migrations())
    if version > latest:
        raise StoreError(f"{path}: was written by a newer zoozl (schema {version}, this one knows {latest}); upgrade")
    return int(version)


def _migrate(db: sqlite3.Connection, path: Path) -> None:
    check_schema(db, path)
    # Looked at again under the lock: two that start at once must not both migrate.
    db.execute("BEGIN IMMEDIATE")
    try:
        version = check_schema(db, path)
        for number, script in enumerate(migrations()[version:], version + 1):
            for statement in _statements(script):
                db.execute(statement)
            db.execute(f"PRAGMA user_version = {number}")
        db.execute(f"PRAGMA application_id = {APPLICATION}")
        db.execute("COMMIT")
    except BaseException:
        db.execute("ROLLBACK")
        raise


def _statements(script: str) -> list[str]:
    """The statements of a script: `executescript` would end the transaction."""
    found, current = [], ""
    for line in script.splitlines(keepends=True):
        current += line
        if sqlite3.complete_statement(current):
            found.append(current)
            current = ""
    return found


def highest_number(db: sqlite3.Connection) -> int:
    """The highest number that may have been given."""
    # What is there counts too: a reservation may have failed on a full disk.
    (high,) = db.execute(
        "SELECT max((SELECT high FROM counter), (SELECT coalesce(max(seq), 0) FROM inbox),"
        " (SELECT coalesce(max(id), 0) FROM outbox), (SELECT coalesce(max(seq), 0) FROM outbox))"
    ).fetchone()
    return int(high)


def open_readonly(path: Path) -> sqlite3.Connection:
    """A connection that only reads, beside a running server. Raises StoreError."""
    try:
        db = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=5.0, isolation_level=None)
        check_schema(db, path)
    except sqlite3.Error as exc:
        raise StoreError(f"{path}: {exc}") from exc
    return db
