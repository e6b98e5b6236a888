"""InterfaceRoot, the `context` of a plugin: configuration, embedding, memory, and a way to speak unasked."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from zoozl import registry
from zoozl.chatbot import extensions
from zoozl.chatbot.embedding import Embedding
from zoozl.chatbot.message import Address, Message
from zoozl.chatbot.outbox import Outbox
from zoozl.chatbot.vault import SPACE, Vault
from zoozl.errors import ExtensionError

if TYPE_CHECKING:
    from zoozl.chatbot.ports import Embedder, KeyValue, Store, Vectors
    from zoozl.chatbot.vault import Cipher

BUNDLED = ("zoozl.plugins.greeter", "zoozl.plugins.helpers", "zoozl.plugins.games")
# Spaces of the store that are no plugin's `memory` begin with these.
OWN = ("zoozl:", SPACE)


class Memory:
    """The durable key-value space of one plugin: JSON values by key."""

    def __init__(self, store: KeyValue, space: str) -> None:
        self._store = store
        self._space = space

    async def get(self, key: str, default: Any = None) -> Any:
        """The value of `key`, or `default`."""
        text = await self._store.get(self._space, key)
        return default if text is None else json.loads(text)

    async def put(self, key: str, value: Any) -> None:
        """Keep a JSON value; it is durable when this returns. Raises TypeError or ValueError if it is not JSON."""
        await self._store.put(self._space, key, json.dumps(value, allow_nan=False))

    async def remove(self, key: str) -> None:
        """Forget `key`, if it is known."""
        await self._store.put(self._space, key, None)

    async def keys(self, prefix: str = "") -> list[str]:
        """The keys that begin with `prefix`, sorted."""
        return await self._store.keys(self._space, prefix)


class InterfaceRoot:
    """What every plugin gets as `context`, in `load` and in `consume`.

    The server makes one and gives each plugin its own view of it (`memory` and `vault` are the plugin's). Made by
    hand, for a Chat, it needs `load()` before use and `close()` after.
    """

    def __init__(
        self,
        conf: Mapping[str, Any] | None = None,
        *,
        embedder: Embedder | None = None,
        store: Store | None = None,
        cipher: Cipher | None = None,
    ) -> None:
        """Without a `cipher` the vault raises VaultError."""
        self.conf: Mapping[str, Any] = dict(conf) if conf else {"extensions": list(BUNDLED)}
        if embedder is None:
            embedder = registry.embedder(self.conf.get("embedder", "minilm"), self.conf, environ=os.environ)
        self.store: Store = store if store is not None else registry.find("stores", "memory")()
        # In a store that goes with the process, vectors would only take memory twice.
        self.embedding = Embedding(embedder, keep=self.store if getattr(self.store, "durable", False) else None)
        self.outbox = Outbox(self.store, author=str(self.conf.get("author", "")))
        self.plugins = extensions.Plugins()
        self.memory = Memory(self.store, "")
        self.vault = Vault(self.store, "", cipher)
        self._names: tuple[str, ...] = ()
        self.companions: dict[str, Any] = {}
        """Objects that live as long as this root."""

    def load(self) -> None:
        """Import the extensions of `conf` and load their plugins. Raises ExtensionError."""
        extensions.load(self.conf.get("extensions", ()), self)

    def close(self) -> None:
        """Close the plugins, the last loaded first, and let the embedder go."""
        self.plugins.close()
        self.embedding.close()

    def of_plugin(self, name: str, module: str, space: str = "") -> InterfaceRoot:
        """The view of the plugin called `name`, whose class is in `module`; `memory` and `vault` are those of `space`.

        Raises ExtensionError for a name that zoozl needs.
        """
        for what in (name, space):
            if what.startswith(OWN):
                word = "name" if what is name else "space"
                raise ExtensionError(f"plugin {name!r}: give it a `{word}` that does not begin with {' or '.join(OWN)}")
        view = copy.copy(self)
        view.memory = Memory(self.store, space or name)
        view.vault = Vault(self.store, space or name, self.vault.cipher)
        view._names = (name, module, module.rpartition(".")[2])
        return view

    def config(self, section: str) -> Mapping[str, Any]:
        """The configuration's table of that name, empty if there is none; `a.b` is the table [a.b].

        A plugin that asks for its own, by one of its names, is given what stands under any of them: its `name`,
        its module, the last part of that.
        """
        names = dict.fromkeys((section, *self._names)) if section in self._names else (section,)
        tables = [table for name in names if (table := self._table(name)) is not None]
        # The name that was asked for goes first.
        return tables[0] if len(tables) == 1 else {key: v for table in reversed(tables) for key, v in table.items()}

    def _table(self, name: str) -> Mapping[str, Any] | None:
        found: Any = self.conf.get(name)
        if found is None:
            found = self.conf
            for part in name.split("."):
                found = found.get(part) if isinstance(found, Mapping) else None
        return found if isinstance(found, Mapping) else None

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """Vectors of `texts`, `(n, d) float32` of unit length. Raises EmbeddingError."""
        return await self.embedding.vectors(texts)

    def tell(self, address: Address, message: str | Message) -> None:
        """Say something unasked, now or whenever the channel can; from the event loop or from a thread."""
        self.outbox.tell(address, message)
