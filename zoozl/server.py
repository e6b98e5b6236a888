"""The composition root: open everything, run, drain on SIGTERM."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Self

from zoozl import config as configuration
from zoozl import registry
from zoozl.channels.http import Listeners, PortInUse
from zoozl.chatbot import InterfaceRoot
from zoozl.chatbot.core import Chatbot
from zoozl.chatbot.ports import Store
from zoozl.chatbot.turn import turn_id
from zoozl.config import Config
from zoozl.errors import ConfigError, ExtensionError
from zoozl.storage import open_store

log = logging.getLogger(__name__)


def compose(config: Config, store: Store) -> Chatbot:
    """The bot that a configuration describes, not started. Raises ConfigError."""
    settings = config.settings
    try:
        if isinstance(settings.embedder, str):
            embedder = registry.find("embedders", settings.embedder)()
        else:
            embedder = settings.embedder
    except ConfigError as exc:
        raise config.error("embedder", str(exc)) from exc
    root = InterfaceRoot(config.conf, embedder=embedder, store=store)
    try:
        root.load()
    except ExtensionError as exc:
        raise config.error("extensions", str(exc)) from exc
    try:
        for warning in config.check_tables(root.plugins.names()):
            log.warning("%s", warning)
        return _chatbot(config, root)
    except BaseException:
        root.close()
        raise


def _chatbot(config: Config, root: InterfaceRoot) -> Chatbot:
    settings = config.settings
    try:
        return Chatbot(
            root,
            fallback=settings.fallback,
            threshold=settings.threshold,
            turn_timeout=settings.turn_timeout,
            worker_threads=settings.worker_threads,
            lane_depth=settings.lane_depth,
        )
    except ConfigError as exc:
        raise config.error("fallback", str(exc)) from exc


class Server:
    """A bot and its channels: `async with serving(config) as server` has everything open."""

    def __init__(self, config: Config, store: Store) -> None:
        """Import the extensions and make the channels; nothing is opened. Raises ConfigError."""
        if config.settings.auth_required:
            raise config.error("auth_required", "tokens are not built in yet, so nobody could be let in")
        self.config = config
        self.bot = compose(config, store)
        self.channels: dict[str, Any] = {}
        self._listeners = Listeners(force_bind=config.settings.force_bind)
        for name, options in config.channels.items():
            channel = registry.find("channels", options.type or name)(options, self.bot, name)
            self.channels[name] = channel
            if options.port is not None:
                self._listeners.add(self._host(name), options.port, channel.routes())
        self.bot.connect(self.channels)
        self._running: list[asyncio.Task[None]] = []

    def _host(self, name: str) -> str:
        return self.config.channels[name].host or self.config.settings.host

    async def __aenter__(self) -> Self:
        """Open the ports and begin to answer. Raises ConfigError if a port cannot be had."""
        await self.bot.start()
        try:
            await self._listeners.open()
        except PortInUse as exc:
            await self.bot.drain(0)
            name = next(n for n, o in self.config.channels.items() if o.port == exc.port)
            raise self.config.error(f"{name}.port", f"{exc}; stop the other program or choose another port") from exc
        for name, channel in self.channels.items():
            if hasattr(channel, "run"):
                self._running.append(asyncio.create_task(channel.run(), name=f"zoozl-{name}"))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop taking messages, let running turns end within `shutdown_timeout`, close."""
        clean = await self.bot.drain(self.config.settings.shutdown_timeout)
        for task in self._running:
            task.cancel()
        for result in await asyncio.gather(*self._running, return_exceptions=True):
            if isinstance(result, Exception):
                log.error("a channel had stopped running", exc_info=result)
        for channel in self.channels.values():
            await channel.close()
        await self._listeners.close()
        log.info("stopped%s", "" if clean else ", not everything had come to an end")

    def port(self, name: str) -> int:
        """The port that channel `name` really listens on."""
        options = self.config.channels[name]
        assert options.port is not None
        return self._listeners.port(self._host(name), options.port)

    def summary(self) -> list[str]:
        """What is up, a line each, for the person who started it."""
        plugins = ", ".join(plugin.name for plugin in self.bot.root.plugins.all)
        lines = [f"plugins   {plugins or 'none'}"]
        for name, channel in self.channels.items():
            host = self._host(name)
            shown = f"[{host}]" if ":" in host else host
            lines.append(f"channel   {name} on {channel.scheme}://{shown}:{self.port(name)}{channel.options.path}")
            if getattr(channel.options, "page", False):
                reached = "localhost" if host in ("0.0.0.0", "::") else shown  # noqa: S104 - compared, not bound
                lines.append(f"open      http://{reached}:{self.port(name)}{channel.options.path} in a browser")
        return lines


@asynccontextmanager
async def serving(config: Config) -> AsyncIterator[Server]:
    """A server with everything open; leaving it drains and closes. Raises ConfigError."""
    store = await open_store(config)
    try:
        server = Server(config, store)
    except BaseException:
        await store.close()
        raise
    async with server:
        yield server


async def run(config: Config, announce: Callable[[list[str]], None]) -> None:
    """Serve until SIGTERM or SIGINT; a second one ends at once. Raises ConfigError before anything is served."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()

    def signalled() -> None:
        if stop.is_set():
            os._exit(1)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, signalled)
    async with serving(config) as server:
        _tune()
        announce(server.summary())
        await stop.wait()


def _tune() -> None:
    """Settings of the interpreter for a server, measured by tests/benchmarks."""
    # What is loaded now stays: the collector need not walk through it again and again, and looks less often.
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)
    gc.enable()
    # A plugin that computes in a thread gives the interpreter back to the loop this often (seconds).
    sys.setswitchinterval(0.0005)


def start(conf: Mapping[str, Any]) -> None:
    """Serve until a signal, as `conf` says: the keys of the configuration file, objects allowed for `embedder`.

    Raises ConfigError if it cannot be used.
    """
    config = configuration.from_dict(conf)
    configure_logging(config.settings.log_level)
    asyncio.run(run(config, lambda lines: log.info("up: %s", "; ".join(lines))))


def configure_logging(level: str | int) -> None:
    """Log lines to standard error, each with the turn that it belongs to."""
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_with_turn)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(name)s [%(turn)s] %(message)s"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper() if isinstance(level, str) else level)


def _with_turn(record: logging.LogRecord) -> bool:
    record.turn = turn_id.get() or "-"
    return True
