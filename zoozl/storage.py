"""Which store a configuration means, and where it is."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from zoozl import registry
from zoozl.errors import StoreError

if TYPE_CHECKING:
    from zoozl.chatbot.ports import Store
    from zoozl.config import Config

DEFAULT_FILE = "zoozl.db"
SYNCHRONOUS = ("FULL", "NORMAL")


def sqlite_file(config: Config) -> tuple[Path, str] | None:
    """The file of the embedded store and its `synchronous`, None for a store in memory. Raises ConfigError.

    In `store`, "sqlite:///a.db" is relative (to the configuration's folder) and "sqlite:////a.db" absolute; in
    `memory_path`, its old name, what follows "sqlite://" is the path.
    """
    store, old = config.settings.store, config.settings.memory_path
    if store is not None and old is not None:
        raise config.error("memory_path", "is the old name of `store`; give one of them")
    if store is None and old is None:
        return (config.folder / DEFAULT_FILE, "FULL") if config.path is not None else None
    key, text = ("store", store) if store is not None else ("memory_path", old)
    assert text is not None
    if text in ("memory", "memory:"):
        return None
    prefix = "sqlite:///" if key == "store" else "sqlite://"
    if not text.startswith(prefix):
        raise config.error(key, f'must be "memory" or begin with "{prefix}"')
    name, _, query = text.removeprefix(prefix).partition("?")
    if not name:
        raise config.error(key, "names no file")
    options = dict(parse_qsl(query, keep_blank_values=True))
    synchronous = options.pop("synchronous", "FULL").upper()
    if options or synchronous not in SYNCHRONOUS:
        raise config.error(key, "takes one option: ?synchronous=FULL or ?synchronous=NORMAL")
    return config.folder / name, synchronous


async def open_store(config: Config) -> Store:
    """The configuration's store, open. Raises ConfigError."""
    found = sqlite_file(config)
    if found is None:
        # Microseconds: no process gives more than a million numbers in a second.
        memory: Store = registry.find("stores", "memory")(first=time.time_ns() // 1000)
        return memory
    path, synchronous = found
    try:
        store: Store = await registry.find("stores", "sqlite").open(path, synchronous=synchronous)
    except StoreError as exc:
        key = "memory_path" if config.settings.memory_path is not None else "store"
        raise config.error(key, str(exc)) from exc
    return store
