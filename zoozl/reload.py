"""`serve --reload`: plugins whose files change are loaded beside the old ones, and take their place if all went well.

The files are looked at twice a second. A library that is told by the system would be 2 MB for a few dozen `stat`s,
and is told nothing on network disks and in some containers.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
import traceback
from collections.abc import AsyncIterator, Collection, Iterable, Iterator
from contextlib import asynccontextmanager, suppress
from importlib.util import cache_from_source
from pathlib import Path

from zoozl.chatbot import extensions
from zoozl.chatbot.core import Chatbot
from zoozl.chatbot.extensions import Plugins
from zoozl.chatbot.interface import Interface
from zoozl.chatbot.router import Router
from zoozl.chatbot.workers import Workers
from zoozl.errors import ConfigError, EmbeddingError, ExtensionError
from zoozl.fresh import Copies, Own, dependents, imported, top

log = logging.getLogger(__name__)

INTERVAL = 0.5
# An editor may write a file in several steps: it is read when it has stayed as it is for so long.
SETTLED = 0.05

Stamp = tuple[int, int, int] | None


def stamp(file: str) -> Stamp:
    """What changes when a file does; None if it is not there."""
    try:
        found = os.stat(file)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def sources(folders: Iterable[str]) -> Iterator[str]:
    """The Python files in these folders, not below them."""
    for folder in folders:
        try:
            with os.scandir(folder) as entries:
                yield from (entry.path for entry in entries if entry.name.endswith(".py"))
        except OSError:
            continue  # it has gone; the files that were in it are missed one by one


def forget_compiled(files: Iterable[str]) -> None:
    """Delete what these were compiled to: that is told from its source by seconds and size, and people type faster."""
    for file in files:
        # There may be none, or no right to delete it.
        with suppress(OSError, NotImplementedError):
            os.unlink(cache_from_source(file))


def explain(exc: BaseException, own: Own) -> str:
    """What a developer needs to see of an exception: its frames in their own files, and what it says."""
    cause = exc.__cause__ if isinstance(exc, ExtensionError) and exc.__cause__ is not None else exc
    if cause is exc and isinstance(exc, ConfigError):
        return str(exc)
    shown = traceback.TracebackException.from_exception(cause)
    shown.stack = traceback.StackSummary.from_list([frame for frame in shown.stack if own.within(frame.filename)])
    return f"{exc}\n{''.join(shown.format(chain=False)).rstrip()}"


class Reload:
    """Watches the files of a bot's extensions."""

    def __init__(
        self,
        bot: Chatbot,
        names: Collection[str | type[Interface]],
        folders: Iterable[Path],
        others: Iterable[Path] = (),
    ) -> None:
        """`names`: the extensions, in their order. Watched is what lies in `folders` (absolute), and the extensions.

        A change of a file in `others` is only told of.
        """
        self._bot = bot
        self._names = list(names)
        modules = frozenset(top(name) for name in self._names if isinstance(name, str))
        self._own = Own(tuple(str(folder) for folder in folders), modules)
        self._others = {str(file) for file in others}
        # Two, because one may be busy with an import that does not end.
        self._workers = Workers(2)
        self._failed: set[str] = set()
        """What is to be tried again at the next change, whatever changes."""
        self._seen: dict[str, Stamp] | None = None

    async def run(self) -> None:
        """Look now and then, until cancelled."""
        try:
            while True:
                try:
                    await self.look()
                except Exception:  # whatever happens to one change, the next one is looked at
                    log.exception("the change could not be loaded")
                await asyncio.sleep(INTERVAL)
        finally:
            self._workers.close()

    async def look(self) -> bool:
        """Look once, and load what changed since the last look; True if other plugins answer from now on."""
        changed, new = await self._workers.run("look", self._changes)
        for file in sorted(changed & self._others):
            log.warning("%s has changed; restart the server to apply it", file)
        files = changed - self._others
        # What is new is no module that is in use; it may be the one that was missing.
        if not files and not (new and self._failed):
            return False
        tops = await self._workers.run("look", lambda: self._affected(files))
        again = [name for name in self._names if isinstance(name, str) and top(name) in tops]
        if not again:
            if tops:
                log.warning("%s changed, and no plugin imports it; restart the server to apply it", _listed(tops))
            return False
        return await self._load(tops, again)

    async def _load(self, tops: set[str], again: list[str]) -> bool:
        old, copies = self._bot.root.plugins, Copies(tops, self._own)
        started = time.monotonic()
        try:
            await self._workers.run("import", lambda: copies.make(again, extensions.import_extension))
            fresh = extensions.load_beside(self._names, self._bot.root, again)
            router = await self._router(fresh, old)
        except ConfigError as exc:
            copies.undo()
            self._failed = tops
            log.error("the change is not loaded, the plugins from before answer on: %s", explain(exc, self._own))
            log.debug("the whole traceback", exc_info=exc)
            return False
        except BaseException:
            copies.undo()
            raise
        self._failed = set()
        self._bot.swap(fresh, router)
        _tell(old, fresh, again, time.monotonic() - started)
        return True

    async def _router(self, fresh: Plugins, old: Plugins) -> Router:
        """A router that has its vectors already: until then the old one answers. Raises ConfigError."""
        try:
            router = self._bot.router_for(fresh)
            router.take_over(self._bot.router)
            try:
                await router.warm_up()
            except EmbeddingError as exc:
                log.error("messages are not compared by meaning: %s", exc)
        except BaseException:
            Plugins([plugin for plugin in fresh.all if plugin not in old.all]).close()
            raise
        return router

    def _look(self) -> dict[str, Stamp]:
        files = {file for module in self._own.modules().values() if (file := getattr(module, "__file__", None))}
        # A module that is missing when another one imports it appears in one of these folders.
        files.update(sources({*map(os.path.dirname, files), *self._own.folders}), self._others)
        return {file: stamp(file) for file in files}

    def _changes(self) -> tuple[set[str], set[str]]:
        """In a thread: the files that changed, when they have stopped doing so, and those that were not there."""
        now = self._look()
        if self._seen is None:
            self._seen = now
        before = self._seen
        if all(file in before and before[file] == now[file] for file in now):
            return set(), set()
        for _ in range(100):
            time.sleep(SETTLED)
            last, now = now, self._look()
            if now == last:
                break
        self._seen = before | now
        changed = {file for file in before if before[file] != self._seen[file]}
        forget_compiled(file for file in changed if file.endswith(".py"))
        return changed, self._seen.keys() - before.keys()

    def _affected(self, files: set[str]) -> set[str]:
        """In a thread: the packages to import anew for changed files, with those that import them."""
        modules = self._own.modules()
        places = {name: file for name, module in modules.items() if (file := getattr(module, "__file__", None))}
        changed = {top(name) for name, file in places.items() if file in files}
        imports: dict[str, set[str]] = {}
        for name, file in places.items():
            imports.setdefault(top(name), set()).update(imported(_read(file)))
        return dependents(changed | self._failed, imports)


def _read(file: str) -> bytes:
    try:
        return Path(file).read_bytes()
    except OSError:
        return b""


def _tell(old: Plugins, fresh: Plugins, again: list[str], seconds: float) -> None:
    new, gone = fresh.table.keys() - old.table.keys(), old.table.keys() - fresh.table.keys()
    notes = [f"; {what}: {_listed(aliases)}" for what, aliases in (("new", new), ("gone", gone)) if aliases]
    log.info("loaded %s anew in %.1f s%s", _listed(again), seconds, "".join(notes))


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))


@asynccontextmanager
async def reloading(reload: Reload) -> AsyncIterator[None]:
    """Watch in the background, from what is there now."""
    await reload.look()
    task = asyncio.create_task(reload.run(), name="zoozl-reload")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
