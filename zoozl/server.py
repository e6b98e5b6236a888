"""The composition root: open everything, run, drain on SIGTERM."""

from __future__ import annotations

import asyncio
import gc
import logging
import math
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from zoozl import config as configuration
from zoozl import logs, redaction, registry
from zoozl.backoff import Backoff
from zoozl.channels.http import CannotListen, Listeners, TLSFault
from zoozl.chatbot import InterfaceRoot, background
from zoozl.chatbot.core import Chatbot
from zoozl.chatbot.message import Address
from zoozl.chatbot.ports import Embedder, Store
from zoozl.config import Config
from zoozl.config.environment import read_dotenv
from zoozl.errors import ConfigError, ExtensionError, describe
from zoozl.settings import Dialogs, HealthOptions, RoomOptions
from zoozl.storage import open_store, sqlite_file

log = logging.getLogger(__name__)

# Seconds after which a channel that fails counts as one that worked.
LONG_ENOUGH = 300.0


def compose(config: Config, store: Store, *, embedder: Embedder | None = None, **options: Any) -> Chatbot:
    """The bot that a configuration describes, not started. Raises ConfigError.

    `embedder` takes the place of the configured one; `options` are further ones of Chatbot.
    """
    settings = config.settings
    cipher = None
    if "vault" in config.tables:
        from zoozl.cipher import of_config

        cipher = of_config(config)
    try:
        tables = {name: table.model_dump(exclude_unset=True) for name, table in config.tables.items()}
        environ = {**read_dotenv(config.folder / ".env")[0], **os.environ}
        if embedder is None:
            embedder = registry.embedder(settings.embedder, tables, config.folder, environ)
        redaction.remember(getattr(embedder, "secrets", ()))
    except ConfigError as exc:
        raise config.error("embedder", str(exc)) from exc
    # The vault's keys are none of the plugins' business.
    conf = {name: value for name, value in config.conf.items() if name != "vault"}
    root = InterfaceRoot(conf, embedder=embedder, store=store, cipher=cipher)
    try:
        root.load()
    except ExtensionError as exc:
        raise config.error("extensions", str(exc)) from exc
    try:
        for warning in config.check_tables(root.plugins.names()):
            log.warning("%s", warning)
        return _chatbot(config, root, options)
    except BaseException:
        root.close()
        raise


def _chatbot(config: Config, root: InterfaceRoot, options: Mapping[str, Any]) -> Chatbot:
    settings = config.settings
    dialogs = config.tables.get("conversation", Dialogs())
    assert isinstance(dialogs, Dialogs)
    strangers = _background(config)
    try:
        bot = Chatbot(
            root,
            fallback=settings.fallback,
            threshold=settings.threshold,
            did_you_mean=settings.did_you_mean,
            background=strangers,
            turn_timeout=settings.turn_timeout,
            worker_threads=settings.worker_threads,
            lane_depth=settings.lane_depth,
            dialog_ttl=math.inf if dialogs.ttl is None else dialogs.ttl,
            kept_dialogs=dialogs.kept,
            scope_of=_scopes(config),
            **options,
        )
    except ConfigError as exc:
        raise config.error("fallback", str(exc)) from exc
    # For plugins that look at the bot itself, like zoozl.plugins.explain.
    root.companions["bot"] = bot
    return bot


def _background(config: Config) -> Path:
    """The file of sentences that mean no plugin, which can be read. Raises ConfigError."""
    named = config.settings.background
    file = config.folder / named if named is not None else background.FILE
    if named is not None:
        try:
            background.sentences(file)
        except ConfigError as exc:
            raise config.error("background", str(exc)) from exc
    return file


def _scopes(config: Config) -> Callable[[Address], str] | None:
    """Whose conversation a message in a room is, by the settings of its channel; None if all is as usual."""
    channels = {
        name: (options.scope or "", options.scopes)
        for name, options in config.channels.items()
        if isinstance(options, RoomOptions) and (options.scope or options.scopes)
    }
    if not channels:
        return None

    direct = {name for name, options in config.channels.items() if getattr(options, "direct_scope", False)}

    def scope_of(address: Address) -> str:
        default, rooms = channels.get(address.channel, ("", {}))
        return rooms.get(address.room, default) if address.room or address.channel in direct else ""

    return scope_of


async def _keep_running(name: str, channel: Any) -> None:
    """Run a channel for as long as the server does: one that fails begins again, later each time."""
    backoff = Backoff()
    while True:
        begun = asyncio.get_running_loop().time()
        try:
            await channel.run()
        except Exception:  # the edge: the class may be anybody's, and the other channels go on
            if asyncio.get_running_loop().time() - begun > LONG_ENOUGH:
                backoff.reset()
            delay = backoff.next()
            log.exception("channel %s has stopped running, next try in %.1f s", name, delay)
        else:
            return
        await asyncio.sleep(delay)


class Server:
    """A bot and its channels: `async with serving(config) as server` has everything open."""

    def __init__(self, config: Config, store: Store) -> None:
        """Import the extensions and make the channels; nothing is opened. Raises ConfigError."""
        self.config = config
        self.bot = compose(config, store)
        self.channels: dict[str, Any] = {}
        self._listeners = Listeners(force_bind=config.settings.force_bind)
        try:
            # Before the channels: a websocket at "/" answers every path that nobody else has.
            self._serve_health()
            for name in config.channels:
                self._make(name)
            if config.settings.auth_required:
                self._require_identity()
        except BaseException:
            self.bot.root.close()
            raise
        self.bot.connect(self.channels)
        self._running: list[asyncio.Task[None]] = []

    def _serve_health(self) -> None:
        options = self.config.tables.get("health")
        if isinstance(options, HealthOptions) and options.port is not None:
            from zoozl.health import Health

            self._listeners.add(options.host, options.port, Health(self.bot, self.channels).routes())

    def _make(self, name: str) -> None:
        options = self.config.channels[name].beside(self.config.folder)
        try:
            cls = registry.find("channels", options.type or name)
        except ConfigError as exc:
            raise self.config.error(f"{name}.type", str(exc)) from exc
        try:
            self.channels[name] = channel = cls(options, self.bot, name)
            # A channel that listens by itself speaks something else than HTTP.
            by_http = options.port is not None and not hasattr(channel, "listen")
            routes = list(channel.routes()) if by_http else []
        except ConfigError as exc:
            # It may begin with the option to blame, and that has a line of its own.
            about, _, why = str(exc).partition(": ")
            if about in type(options).model_fields:
                raise self.config.error(f"{name}.{about}", why) from exc
            raise self.config.error(name, str(exc)) from exc
        except (Exception, SystemExit) as exc:  # the edge: the class may be anybody's
            raise self.config.error(name, f"the channel cannot be made: {describe(exc)}") from exc
        if options.port is not None and by_http:
            try:
                certificate, key = getattr(options, "tls_certificate", None), getattr(options, "tls_key", None)
                self._listeners.add(self._host(name), options.port, routes, certificate, key)
            except TLSFault as exc:
                raise self.config.error(f"{name}.{exc.about}", str(exc)) from exc
            except ValueError as exc:
                raise self.config.error(f"{name}.path", f"another channel has it already: {exc}") from exc

    def _require_identity(self) -> None:
        """Have channels that let strangers in ask for a proof. What comes by a platform has its proof from there."""
        for name, channel in self.channels.items():
            if (require := getattr(channel, "require_identity", None)) is not None:
                try:
                    require()
                except ConfigError as exc:
                    raise self.config.error("auth_required", f"[{name}] {exc}") from exc

    def _host(self, name: str) -> str:
        return self.config.channels[name].host or self.config.settings.host

    async def __aenter__(self) -> Self:
        """Open the ports and begin to answer. Raises ConfigError if a port cannot be had."""
        try:
            await self.bot.start()
            await self._listeners.open()
            for name, channel in self.channels.items():
                if hasattr(channel, "listen"):
                    await channel.listen(self._host(name))
                if hasattr(channel, "run"):
                    self._running.append(asyncio.create_task(_keep_running(name, channel), name=f"zoozl-{name}"))
        except CannotListen as exc:
            await self._stop(0)
            raise self.config.error(self._blamed(exc), str(exc)) from exc
        except BaseException:
            await self._stop(0)
            raise
        return self

    def _blamed(self, exc: CannotListen) -> str:
        """The key that a listener could not be opened for."""
        wanted = (exc.host, exc.port)
        name = next((n for n, o in self.config.channels.items() if (self._host(n), o.port) == wanted), None)
        if name is None:
            return f"health.{exc.about}"
        if exc.about == "host" and self.config.channels[name].host is None:
            return "host"
        return f"{name}.{exc.about}"

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop taking messages, let running turns end within `shutdown_timeout`, close."""
        clean = await self._stop(self.config.settings.shutdown_timeout)
        log.info("stopped%s", "" if clean else ", not everything had come to an end")

    async def _stop(self, timeout: float) -> bool:  # noqa: ASYNC109 - see Chatbot.drain
        clean = await self.bot.drain(timeout)
        for task in self._running:
            task.cancel()
        for result in await asyncio.gather(*self._running, return_exceptions=True):
            if isinstance(result, Exception):
                log.error("a channel had stopped running", exc_info=result)
        for channel in self.channels.values():
            await channel.close()
        await self._listeners.close()
        return clean

    def port(self, name: str) -> int:
        """The port that channel `name` really listens on."""
        options = self.config.channels[name]
        assert options.port is not None
        if hasattr(self.channels[name], "listen"):
            return int(self.channels[name].port)
        return self._listeners.port(self._host(name), options.port)

    def summary(self) -> list[str]:
        """What is up, a line each, for the person who started it."""
        plugins = ", ".join(plugin.name for plugin in self.bot.root.plugins.all)
        lines = [f"plugins   {plugins or 'none'}", f"embedder  {self.bot.root.embedding.about}"]
        health = self.config.tables.get("health")
        if isinstance(health, HealthOptions) and health.port is not None:
            port = self._listeners.port(health.host, health.port)
            lines.append(f"health    http://{health.host}:{port}/readyz")
        for name, channel in self.channels.items():
            host = self._host(name)
            shown = f"[{host}]" if ":" in host else host
            options = self.config.channels[name]
            if options.port is None:
                lines.append(f"channel   {name}")
                continue
            scheme, path = getattr(channel, "scheme", "http"), getattr(options, "path", None) or ""
            secure = "s" if self._listeners.secure(host, options.port) else ""
            lines.append(f"channel   {name} on {scheme}{secure}://{shown}:{self.port(name)}{path}")
            if getattr(options, "page", False):
                reached = "localhost" if host in ("0.0.0.0", "::") else shown  # noqa: S104 - compared, not bound
                lines.append(f"open      http{secure}://{reached}:{self.port(name)}{path} in a browser")
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
    async with server, _upkeep(config, store, server.bot):
        yield server


@asynccontextmanager
async def _upkeep(config: Config, store: Store, bot: Chatbot) -> AsyncIterator[None]:
    """What a store in a file needs while the server runs: a sweep of what is old, and a way in for `zoozl store`."""
    found = sqlite_file(config)
    if found is None:
        yield
        return
    from zoozl.stores.sqlite import Store as SQLiteStore
    from zoozl.stores.sqlite.control import Control
    from zoozl.stores.sqlite.sweep import Ages, Sweep

    assert isinstance(store, SQLiteStore)
    learns = config.tables.get("routing")
    unrouted = None
    if learns is not None and getattr(learns, "learn", False):
        from zoozl.chatbot.unrouted import Unrouted

        unrouted = Unrouted(store)
        bot.observe(unrouted.observe)
    sweep = asyncio.create_task(Sweep(store, Ages(**config.retention.model_dump())).run(), name="zoozl-sweep")
    try:
        async with Control(store, found[0], bot.take_up, bot.root.vault.cipher, bot.detach_dialogs):
            yield
    finally:
        sweep.cancel()
        await asyncio.wait([sweep])
        if unrouted is not None:
            await unrouted.close()


async def run(config: Config, announce: Callable[[list[str]], None], *, reload: bool = False) -> None:
    """Serve until SIGTERM or SIGINT; a second one ends at once. Raises ConfigError before anything is served.

    With `reload`, plugins whose files change are loaded anew.
    """
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()

    def signalled() -> None:
        if stop.is_set():
            os._exit(1)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, signalled)
    async with serving(config) as server, _watched(config, server.bot, reload):
        _tune()
        announce(server.summary())
        await stop.wait()
    if server.bot.left:
        # Everything is committed and closed, and asyncio would wait for them for ever.
        log.warning(
            "%d plugins do not end although they were cancelled; the process ends without them", server.bot.left
        )
        logging.shutdown()
        os._exit(0)


@asynccontextmanager
async def _watched(config: Config, bot: Chatbot, reload: bool) -> AsyncIterator[None]:
    if not reload:
        yield
        return
    from zoozl.reload import Reload, reloading

    others = [config.folder / ".env", *([config.path.absolute()] if config.path is not None else [])]
    async with reloading(Reload(bot, config.settings.extensions, [config.folder, Path.cwd()], others)):
        yield


def _tune() -> None:
    """Settings of the interpreter for a server, measured by tests/benchmarks."""
    # What is loaded now stays: the collector need not walk through it again and again, and looks less often.
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)
    gc.enable()
    # A plugin that computes in a thread gives the interpreter back to the loop this often (seconds).
    sys.setswitchinterval(0.0002)


def start(conf: Mapping[str, Any]) -> None:
    """Serve until a signal, as `conf` says: the keys of the configuration file, objects allowed for `embedder`.

    Raises ConfigError if it cannot be used.
    """
    config = configuration.from_dict(conf)
    logs.configure(config)
    asyncio.run(run(config, lambda lines: log.info("up: %s", "; ".join(lines))))
