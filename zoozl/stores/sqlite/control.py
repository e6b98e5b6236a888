"""The socket beside the file, through which `zoozl store` asks the running server to change something.

One JSON object in a line goes in, and out come `{"progress": [done, all]}`, and at last `{"result": ...}` or
`{"error": ...}`. Only the owner of the file may connect.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import socket
import stat
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from zoozl.chatbot.vault import Cipher
from zoozl.errors import StoreError
from zoozl.stores.sqlite.commands import Held, Progress, drop, forget, retry
from zoozl.stores.sqlite.rotation import rotate

log = logging.getLogger(__name__)

LONGEST_LINE = 1 << 20
MOST_CLIENTS = 8
# Seconds: for a request to arrive, for a line of the answer, for a running command when the server stops.
REQUEST = 10.0
ANSWER = 120.0
STOP = 2.0
# Bytes that the kernel takes for the name of a socket.
LONGEST_NAME = 103


def socket_path(store: Path) -> Path:
    """Where the server of this store listens. Raises StoreError if no socket can have that name."""
    # In the folder of the lock, which says that nobody else can be listening there.
    path = store.parent.resolve() / f"{store.name}.sock"
    if not hasattr(socket, "AF_UNIX"):
        raise StoreError("this system has no Unix sockets")
    if len(os.fsencode(path)) > LONGEST_NAME:
        raise StoreError(f"{path}: is longer than {LONGEST_NAME} bytes, which is too long for a Unix socket")
    return path


class Control:
    """The server's side: `async with Control(store, path, on_retry, cipher)` listens."""

    def __init__(
        self,
        store: Held,
        path: Path,
        on_retry: Callable[[], Awaitable[None]] | None = None,
        cipher: Cipher | None = None,
        on_forget: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """`path` is that of the store's file; `on_retry` is called when dead letters were put back.

        `on_forget` is called when somebody was forgotten: what is in memory of him must go, too.
        """
        self._store = store
        self._path = path
        self._on_retry = on_retry
        self._cipher = cipher
        self._on_forget = on_forget
        self._server: asyncio.Server | None = None
        self._socket: Path | None = None
        self._clients: set[asyncio.Task[None]] = set()
        # One after the other: each goes over all of the file.
        self._turn = asyncio.Lock()

    async def __aenter__(self) -> Control:
        """Listen. If that is not possible, the log says why, and the bot works all the same."""
        try:
            self._socket, listener = await asyncio.to_thread(_bind, self._path)
        except (StoreError, OSError) as exc:
            log.warning("`zoozl store` can only read while this server runs: %s", exc)
            return self
        self._server = await asyncio.start_unix_server(self._connected, sock=listener, limit=LONGEST_LINE)
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Stop listening; a command that runs has a moment to come to its end."""
        if self._server is None:
            return
        self._server.close()
        if self._clients:
            await asyncio.wait(self._clients, timeout=STOP)
        for task in self._clients:
            task.cancel()
        if self._clients:
            await asyncio.wait(self._clients)
        assert self._socket is not None
        # The store is still locked: nobody else can have put a socket there.
        await asyncio.to_thread(self._socket.unlink, missing_ok=True)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._clients) >= MOST_CLIENTS:
            writer.close()
            return
        task = asyncio.create_task(self._serve(reader, writer), name="zoozl-control")
        self._clients.add(task)
        task.add_done_callback(self._clients.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        def send(what: str, value: Any) -> None:
            if not writer.is_closing():
                writer.write(json.dumps({what: value}).encode() + b"\n")

        try:
            async with asyncio.timeout(REQUEST):
                line = await reader.readline()
            request = _decode(line)
            async with self._turn:
                send("result", await self._do(request, lambda done, total: send("progress", [done, total])))
        except TimeoutError:
            send("error", "no request came")
        except (ValueError, StoreError) as exc:
            send("error", str(exc))
        except ConnectionError:
            pass  # it went away
        except Exception:  # a fault of our own: the client hears of it, and the bot goes on
            log.exception("a command of `zoozl store` failed")
            send("error", "the command failed; the server's log tells why")
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _do(self, request: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
        log.info("zoozl store: %s", request["do"])
        if request["do"] == "forget":
            erased = await forget(self._store, request["talker"], request["channel"], progress)
            if self._on_forget is not None:
                await self._on_forget()
            return erased
        if request["do"] == "drop":
            return await drop(self._store, request["ids"], progress)
        if request["do"] == "rotate":
            return await rotate(self._store, self._cipher, request["key"], progress)
        done = await retry(self._store, request["ids"], progress)
        if done["changed"] and self._on_retry is not None:
            await self._on_retry()
        return {**done, "taken_up": self._on_retry is not None}


def _decode(line: bytes) -> dict[str, Any]:
    """The request in a line. Raises ValueError."""
    request = json.loads(line)
    if not isinstance(request, dict):
        raise ValueError("a request must be a JSON object")
    what = request.get("do")
    if what == "forget":
        talker, channel = request.get("talker"), request.get("channel")
        if not isinstance(talker, str) or not isinstance(channel, str | None):
            raise ValueError("`talker` must be a string, and `channel` a string or null")
        # Half a surrogate pair is no Unicode, and no database takes it.
        (talker + (channel or "")).encode()
        return {"do": what, "talker": talker, "channel": channel}
    if what in ("retry", "drop"):
        ids = request.get("ids")
        if ids is not None and not (isinstance(ids, list) and all(type(number) is int for number in ids)):
            raise ValueError("`ids` must be a list of whole numbers, or null for all")
        return {"do": what, "ids": ids}
    if what == "rotate":
        key = request.get("key")
        if not isinstance(key, str):
            raise ValueError("`key` must be a string")
        return {"do": what, "key": key}
    raise ValueError(f"there is no command {what!r}: the server is of another version than `zoozl store`")


def _bind(store: Path) -> tuple[Path, socket.socket]:
    """A listening socket that only the owner may use, in place of one that a crash left.

    Raises StoreError or OSError.
    """
    path = socket_path(store)
    try:
        left = path.lstat()
    except FileNotFoundError:
        pass
    else:
        if not stat.S_ISSOCK(left.st_mode):
            raise FileExistsError(f"{path} is not a socket")
        path.unlink()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(0o177)
    try:
        listener.bind(str(path))
        listener.listen()
    except BaseException:
        listener.close()
        raise
    finally:
        os.umask(mask)
    listener.setblocking(False)
    return path, listener


def ask(store: Path, request: Mapping[str, Any], progress: Progress) -> dict[str, Any] | None:
    """The client's side, blocking: what the server of this store answers, None if none listens. Raises StoreError."""
    path = socket_path(store)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(ANSWER)
        try:
            connection.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            return None
        except OSError as exc:
            raise StoreError(f"{path}: {exc.strerror or exc}") from exc
        try:
            line = json.dumps(request).encode() + b"\n"
            if len(line) > LONGEST_LINE:
                raise StoreError("that is too much for one command; use --all, or several commands")
            connection.sendall(line)
            for answer in connection.makefile("rb"):
                packet = json.loads(answer)
                if "progress" in packet:
                    progress(*packet["progress"])
                elif "error" in packet:
                    raise StoreError(packet["error"])
                else:
                    result: dict[str, Any] = packet["result"]
                    return result
        except TimeoutError as exc:
            raise StoreError("the server does not answer; look what became of it with `zoozl store stats`") from exc
        except (OSError, ValueError) as exc:
            raise StoreError(f"{path}: {exc}") from exc
    raise StoreError("the server went away before it was done; look what became of it with `zoozl store stats`")
