"""The server under torture: a process that is started, killed and started again on the same files."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from zoozl.config import Config
from zoozl.config.sections import ROOT
from zoozl.errors import ConfigError
from zoozl.failpoints import VARIABLE
from zoozl.storage import sqlite_file
from zoozl.torture.plugin import TABLE

BUNDLED = "zoozl.torture.plugin"
START_LIMIT = 60.0
STOP_LIMIT = 30.0
CONFIGURATION_ERROR = 2


class NotUp(Exception):
    """The server does not start, or does not end; the text has its last words."""


class Server:
    """One configuration, one store, one port; a process at a time."""

    def __init__(self, folder: Path, config: Config | None, extensions: list[str]) -> None:
        """Of `config` the extensions' tables and the store's `synchronous` are taken, and its folder for imports."""
        self.folder = folder
        self.store = folder / "zoozl.db"
        self.port = _free_port()
        self.log = folder / "server.log"
        self.effects = folder / "effects.jsonl"
        self._cwd = config.folder if config is not None else folder
        self._toml = folder / "chatbot.toml"
        self._toml.write_text(_toml(config, extensions, self.port, {TABLE: {"effects": str(self.effects)}}), "utf-8")
        self._process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        """Where its websocket is."""
        return f"ws://127.0.0.1:{self.port}/"

    async def start(self, failpoint: str = "") -> bool:
        """Start it and wait until it listens; False if it died at the failpoint before.

        Raises ConfigError if it refuses its configuration, and NotUp.
        """
        # What is set for the bot outside must not lead this one to its files or ports.
        environment = {
            name: text for name, text in os.environ.items() if not name.upper().startswith(("ZOOZL_", "AILINGBOT_"))
        }
        if failpoint:
            environment[VARIABLE] = failpoint
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "zoozl", "--conf", str(self._toml),
                cwd=self._cwd, env=environment, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        try:
            async with asyncio.timeout(START_LIMIT):
                while self._process.returncode is None:
                    try:
                        _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                    except OSError:
                        await asyncio.sleep(0.01)
                    else:
                        writer.close()
                        return True
        except TimeoutError:
            raise NotUp(f"the server did not listen within {START_LIMIT:.0f} s\n{self.last_words()}") from None
        if failpoint and self._process.returncode == -signal.SIGKILL:
            return False
        if self._process.returncode == CONFIGURATION_ERROR:
            raise ConfigError(self.last_words(1).removeprefix("error: "))
        raise NotUp(f"the server ended with {self._process.returncode}\n{self.last_words()}")

    async def kill(self, after: float) -> bool:
        """Kill it in `after` seconds; False if a failpoint was faster. Raises NotUp if it ended otherwise."""
        assert self._process is not None
        try:
            await asyncio.wait_for(self._process.wait(), after)
        except TimeoutError:
            await self.close()
            return True
        if self._process.returncode != -signal.SIGKILL:
            raise NotUp(f"the server ended by itself with {self._process.returncode}\n{self.last_words()}")
        return False

    async def stop(self) -> int:
        """End it as an operator does; its return code. Raises NotUp."""
        assert self._process is not None
        with suppress(ProcessLookupError):
            self._process.terminate()
        try:
            return await asyncio.wait_for(self._process.wait(), STOP_LIMIT)
        except TimeoutError:
            raise NotUp(f"the server did not stop within {STOP_LIMIT:.0f} s\n{self.last_words()}") from None

    async def close(self) -> None:
        """Leave no process behind."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()

    def last_words(self, lines: int = 15) -> str:
        """The end of what it wrote."""
        return "\n".join(self.log.read_text("utf-8", "replace").splitlines()[-lines:])


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _toml(config: Config | None, extensions: list[str], port: int, own: dict[str, Any]) -> str:
    found = sqlite_file(config) if config is not None else None
    synchronous = found[1] if found is not None else "FULL"
    root = {
        "extensions": extensions,
        "websocket_port": port,
        "host": "127.0.0.1",
        "store": f"sqlite:///zoozl.db?synchronous={synchronous}",
        "log_level": "WARNING",
        # A refusal would let the next message overtake the one that has to be sent again.
        "lane_depth": 1_000_000,
    }
    tables = {**_tables(config), **(own if BUNDLED in extensions else {})}
    return "".join(f"{_value(key)} = {_value(value)}\n" for key, value in {**root, **tables}.items())


def _tables(config: Config | None) -> dict[str, Any]:
    """The tables of the extensions: those that are neither ours nor a channel's."""
    if config is None:
        return {}
    known = {*ROOT, *config.layers.sections.names}
    return {
        name: table for name, table in config.layers.values.items() if name not in known and isinstance(table, dict)
    }


def _value(value: Any) -> str:
    """A value as TOML, tables inline."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_value(key)} = {_value(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, bool):
        return str(value).lower()
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
