"""What `zoozl doctor` looks at: plugins, model, store, disk, clock, ports, and what channels say of themselves."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import socket
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from zoozl import registry
from zoozl.chatbot.core import Chatbot
from zoozl.config import Config
from zoozl.doctor import PATIENCE, Finding
from zoozl.errors import ConfigError, EmbeddingError, StoreError, describe
from zoozl.processes import Process, listeners, peer
from zoozl.server import Server, compose
from zoozl.storage import sqlite_file
from zoozl.stores.sqlite import control, reading
from zoozl.stores.sqlite.file import refuse_network

Findings = Iterator[tuple[str, Finding]]

# Bytes: below the first the store will soon refuse messages, below the second somebody should know.
LITTLE, SOME = 100 << 20, 1 << 30
# Seconds by which clocks may differ before it matters.
SKEW = 60.0
# Two that mean alike, and one that does not.
ALIKE = ("good morning", "hello there", "the invoice is overdue")
OTHERS = stat.S_IRWXG | stat.S_IRWXO


def all_of(config: Config) -> Findings:
    """Every finding with the name of what it is about. Raises ConfigError if the store cannot even be named."""
    found = sqlite_file(config)
    path = found[0] if found else None
    yield "settings", Finding("ok", f"{config.path or 'the bundled configuration'} can be used")
    fine = True
    for about, finding in plugins(config):
        fine &= finding.level != "error"
        yield about, finding
    server = running(path) if path else None
    if path is None:
        yield "store", _in_memory(config)
    else:
        yield from (("store", finding) for finding in store(path, server))
        yield "disk", disk(path.parent)
    yield from (("clock", finding) for finding in clock(path))
    if not config.channels:
        yield "channels", Finding("error", "none is on, so a server would not start", "set websocket_port, for example")
    yield from (("ports", finding) for finding in ports(config, server))
    for name in config.channels:
        for finding in asyncio.run(channel(config, name)):
            fine &= finding.level != "error"
            yield name, finding
    if config.channels and fine:
        yield from (("channels", finding) for finding in together(config))


def together(config: Config) -> Iterator[Finding]:
    """What a start would refuse though plugins and channels are good by themselves: `auth_required` without a key."""
    try:
        Server(config, registry.find("stores", "memory")()).bot.root.close()
    except ConfigError as exc:
        yield Finding("error", str(exc), "a server would not start: mend that")


def plugins(config: Config) -> Findings:
    """Load the plugins as a start does, compare three texts with the model, and close both."""
    try:
        bot = compose(config, registry.find("stores", "memory")())
    except ConfigError as exc:
        yield "plugins", Finding("error", str(exc), "mend that; the model is looked at when the plugins can be loaded")
        return
    try:
        names = [plugin.name for plugin in bot.root.plugins.all]
        if names:
            yield "plugins", Finding("ok", f"{len(names)} loaded: {', '.join(names)}")
        else:
            yield "plugins", Finding("warning", "there are none, so nothing answers", "name modules in `extensions`")
        for warning in config.check_tables(bot.root.plugins.names()):
            yield "plugins", Finding("warning", warning, "take the table away, or name its extension")
        yield "model", asyncio.run(_model(config, bot))
    finally:
        bot.root.close()


async def _model(config: Config, bot: Chatbot) -> Finding:
    name, fix = config.settings.embedder, "choose another `embedder`; until then only exact words are understood"
    begin = time.monotonic()
    try:
        one, like, other = await bot.root.embed(ALIKE)
    except EmbeddingError as exc:
        return Finding("error", f"{name}: {exc}", fix)
    took = time.monotonic() - begin
    if not float(one @ like) > float(one @ other):
        return Finding("error", f"{name}: finds {ALIKE[0]!r} no nearer to {ALIKE[1]!r} than to {ALIKE[2]!r}", fix)
    return Finding("ok", f"{name} is ready after {took:.1f} s, {len(one)} dimensions")


def running(store_path: Path) -> Process | None:
    """The server that has this store, if one runs and can be seen."""
    try:
        return peer(control.socket_path(store_path))
    except StoreError:
        return None


def _in_memory(config: Config) -> Finding:
    if config.path is None:
        return Finding("warning", "without a configuration nothing is kept", "make one: zoozl init")
    return Finding("warning", "conversations are in memory and end with the server", 'set store = "sqlite:///zoozl.db"')


def store(path: Path, server: Process | None) -> Iterator[Finding]:
    """The store's file and its folder, read only; beside a running server as well."""
    folder = path.parent
    if not folder.is_dir():
        yield Finding("error", f"{folder}: there is no such folder", f"make it: mkdir -p {folder}")
        return
    try:
        refuse_network(path)
    except StoreError as exc:
        yield Finding("error", str(exc), "set `store` to a file on a local disk")
    for place in [folder, path] if path.exists() else [folder]:
        if not os.access(place, os.W_OK):
            yield Finding("error", f"{place}: may not be written", "give it to the user who runs the server (chown)")
    if not path.exists():
        yield Finding("ok", f"{path} will be made at the first start")
        return
    by = f", used by the running server, {server}" if server else ""
    try:
        with reading.reading(path) as db:
            dead = db.execute("SELECT count(*) FROM dead").fetchone()[0]
            yield Finding("ok", f"{path} can be read, {path.stat().st_size / 1e6:.1f} MB{by}")
    except StoreError as exc:
        yield Finding("error", str(exc), "`zoozl store check` tells more; docs/howto/store.md tells of backups")
        return
    if dead:
        yield Finding("warning", f"{dead} dead letters, things that were given up", "look: zoozl store dead list")
    if path.stat().st_mode & OTHERS:
        yield Finding("warning", f"{path}: other users may read the conversations", f"chmod 600 {path}*")


def disk(folder: Path) -> Finding:
    """Room for the store to grow."""
    try:
        free = shutil.disk_usage(folder).free
    except OSError as exc:
        return Finding("error", f"{folder}: {exc.strerror}", "set `store` to a file on a local disk")
    text = f"{free / 1e9:.1f} GB free in {folder}"
    if free < LITTLE:
        return Finding("error", text, "make room: without it messages are refused")
    return Finding("warning", text, "make room, or set [retention]") if free < SOME else Finding("ok", text)


def clock(path: Path | None) -> Iterator[Finding]:
    """Whether the clock agrees with the file system's, and with what was stored last."""
    now = time.time()
    try:
        # It has no name, so nobody sees it.
        with tempfile.TemporaryFile(dir=path.parent if path else None) as file:
            ahead = os.fstat(file.fileno()).st_mtime - now
    except OSError:
        ahead = 0.0  # the folder is spoken of elsewhere
    if abs(ahead) > SKEW:
        yield Finding("error", f"the file system's clock is {ahead:+.0f} s from this one", "set both by NTP")
    newest = _newest(path) if path else None
    if newest is not None and newest > now + SKEW:
        text = f"the store has something from {reading.when(newest)}, {newest - now:.0f} s from now"
        yield Finding("error", text, "set the clock (timedatectl set-ntp true): ages and time limits depend on it")
    elif abs(ahead) <= SKEW:
        yield Finding("ok", f"{reading.when(now)}, nothing contradicts it")


def _newest(path: Path) -> float | None:
    try:
        with reading.reading(path) as db:
            newest: float | None = db.execute("SELECT max(at) FROM conversation").fetchone()[0]
            return newest
    except StoreError:
        return None  # told as a finding about the store


def ports(config: Config, server: Process | None) -> Iterator[Finding]:
    """Whether each port can be had; one that a zoozl server holds already counts as good."""
    wanted: dict[tuple[str, int], list[str]] = {}
    for name, options in config.channels.items():
        if options.port:
            wanted.setdefault((options.host or config.settings.host, options.port), []).append(name)
    for (host, port), names in wanted.items():
        yield _port(host, port, ", ".join(names), server)


def _port(host: str, port: int, names: str, server: Process | None) -> Finding:
    text = f"{host}:{port} for {names}"
    try:
        _bind(host, port)
    except (OSError, UnicodeError) as exc:
        if not (isinstance(exc, OSError) and exc.errno == errno.EADDRINUSE):
            from zoozl.channels.http import CannotListen

            why, _, fix = str(CannotListen(host, port, exc)).rpartition("; ")
            return Finding("error", f"{names}: {why}", fix)
        return _held(text, port, server)
    return Finding("ok", f"{text} is free")


def _held(text: str, port: int, server: Process | None) -> Finding:
    held_by = listeners(port)
    if server is not None and server.pid in [process.pid for process in held_by]:
        return Finding("ok", f"{text} is held by the running server, {server}")
    if held_by and all(process.is_zoozl for process in held_by):
        return Finding("ok", f"{text} is held by a running zoozl, {held_by[0]}")
    if server is not None and not held_by:
        return Finding("ok", f"{text} is in use, likely by the running server, {server}")
    who = f"by {held_by[0]}" if held_by else "by a program that this user may not see"
    return Finding("error", f"{text} is in use {who}", "stop that program or choose another port")


def _bind(host: str, port: int) -> None:
    """Take the address and let go at once, without listening: a server that starts meanwhile is not disturbed."""
    for family, kind, protocol, _, address in socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    ):
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            probe.bind(address)


async def channel(config: Config, name: str) -> list[Finding]:
    """What a channel says of itself, see zoozl.doctor.Checked; nothing if it has no `check`."""
    options = config.channels[name].beside(config.folder)
    try:
        check = getattr(registry.find("channels", options.type or name), "check", None)
        if check is None:
            return []
        async with asyncio.timeout(PATIENCE):
            found = list(await check(options))
    except TimeoutError:
        return [Finding("error", f"its check was not done after {PATIENCE:.0f} s", "look at the network and try again")]
    except ConfigError as exc:
        return [Finding("error", str(exc))]
    except Exception as exc:  # the edge: the class may be anybody's
        return [Finding("error", f"its check failed: {describe(exc)}")]
    if wrong := [item for item in found if not isinstance(item, Finding)]:
        return [Finding("error", f"its check gave {type(wrong[0]).__name__}, and not a zoozl.doctor.Finding")]
    return found
