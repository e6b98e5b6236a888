"""Which process listens on a port, or at the other end of a Unix socket, where Linux tells; elsewhere nobody knows."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
LISTEN = "0A"
# Seconds to wait for a Unix socket, whose owner may have stopped short.
PATIENCE = 1.0


@dataclass(frozen=True, slots=True)
class Process:
    """A running program."""

    pid: int
    arguments: tuple[str, ...]

    @property
    def is_zoozl(self) -> bool:
        """Whether it was started as `zoozl` or `python -m zoozl`."""
        names = [Path(argument).name for argument in self.arguments[:2]]
        return "zoozl" in names or ("-m", "zoozl") in zip(self.arguments[1:], self.arguments[2:], strict=False)

    def __str__(self) -> str:
        name = "zoozl" if self.is_zoozl else "".join(Path(argument).name for argument in self.arguments[:1])
        return f"process {self.pid} ({name})" if name else f"process {self.pid}"


def process(pid: int) -> Process:
    """The process of that number, without arguments if it cannot be looked at."""
    try:
        line = (PROC / str(pid) / "cmdline").read_bytes()
    except OSError:
        line = b""
    return Process(pid, tuple(part.decode("utf-8", "replace") for part in line.rstrip(b"\0").split(b"\0") if part))


def listeners(port: int) -> list[Process]:
    """Those who listen on a TCP port, at any address, as far as this user may know."""
    wanted = {f"socket:[{inode}]" for inode in _inodes(port)}
    if not wanted:
        return []
    return [process(pid) for pid in _pids() if not wanted.isdisjoint(_open_files(pid))]


def peer(path: Path) -> Process | None:
    """Who listens at a Unix socket; None if nobody does, or nobody can tell."""
    if not hasattr(socket, "SO_PEERCRED"):
        return None
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(PATIENCE)
        try:
            connection.connect(str(path))
            pid, _, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        except OSError:
            return None
    # 0: it is in another container.
    return process(pid) if pid else None


def _inodes(port: int) -> Iterator[str]:
    for table in ("tcp", "tcp6"):
        try:
            lines = (PROC / "net" / table).read_text("ascii").splitlines()[1:]
        except OSError:
            continue
        for fields in map(str.split, lines):
            if fields[3] == LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
                yield fields[9]


def _pids() -> Iterator[int]:
    with contextlib.suppress(OSError):
        yield from (int(name) for name in os.listdir(PROC) if name.isdigit())


def _open_files(pid: int) -> Iterator[str]:
    # Processes end, files are closed, and other people's are none of our business.
    with contextlib.suppress(OSError):
        folder = PROC / str(pid) / "fd"
        for name in os.listdir(folder):
            with contextlib.suppress(OSError):
                yield os.readlink(folder / name)
