"""The vault of a plugin: secrets of talkers by name, sealed before they reach the store."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple, Protocol
from urllib.parse import quote, unquote

from zoozl.chatbot.message import Address
from zoozl.errors import VaultError

if TYPE_CHECKING:
    from zoozl.chatbot.package import Package
    from zoozl.chatbot.ports import KeyValue

# The spaces of the store that hold sealed values: this, then the plugin's name.
SPACE = "vault:"
STARS = "●●●"
"""Shown in place of a secret."""
LONGEST_NAME = 128
LONGEST_VALUE = 64 << 10


class Cipher(Protocol):
    """Seals texts with the first of some keys, and opens what any of them has sealed."""

    fingerprint: str
    """Tells first keys apart, and tells nothing of the key."""

    def encrypt(self, text: str) -> str:
        """`text`, sealed: one word of ASCII, never the same twice."""
        ...

    def decrypt(self, sealed: str) -> str:
        """The text that was sealed. Raises VaultError if no key fits or somebody has changed it."""
        ...

    def renew(self, sealed: str) -> str | None:
        """The same sealed with the first key; None if that has sealed it. Raises VaultError like `decrypt`."""
        ...


class Entry(NamedTuple):
    """Where a secret is kept: whose it is, and what it is called."""

    talker: str
    channel: str
    account: str
    name: str

    @property
    def key(self) -> str:
        """Its key in the store, which begins with that of its talker."""
        return f"{prefix(self.talker, self.channel)}{_part(self.account)}:{self.name}"

    @classmethod
    def of_key(cls, key: str) -> Entry:
        """The other way round. Raises ValueError for what is no such key."""
        talker, channel, account, name = key.split(":", 3)
        return cls(unquote(talker), unquote(channel), unquote(account), name)


def prefix(talker: str, channel: str | None = None) -> str:
    """What the keys of all secrets of a talker begin with, in every channel or in one."""
    # The talker first: whoever forgets a person need not know all accounts.
    return f"{_part(talker)}:" if channel is None else f"{_part(talker)}:{_part(channel)}:"


def _part(text: str) -> str:
    return quote(text, safe="@+ ")


class Vault:
    """What one plugin keeps of its talkers' secrets: tokens, passwords, keys.

    A secret belongs to the talker of a package, or of an address, within its channel and account, wherever in that
    account they speak; nobody else can be given it. In the store it is sealed, together with the place that it
    belongs to. Without a key in the configuration everything but `remove_key` raises VaultError.
    """

    def __init__(self, store: KeyValue, plugin: str, cipher: Cipher | None) -> None:
        self.cipher = cipher
        self._store = store
        self._plugin = plugin
        self._space = f"{SPACE}{plugin}"

    async def add_key(self, whose: Package | Address, name: str, value: str) -> None:
        """Keep a secret in place of an earlier one of this name; it is durable when this returns.

        `name` is shown in exports and errors: up to 128 printable characters. `value` has up to 64 KiB in UTF-8.
        Raises TypeError or ValueError for others, VaultError without a key, StoreError.
        """
        entry, cipher = _entry(whose, name), self._cipher()
        if not isinstance(value, str):
            raise TypeError(f"vault: the value of {name!r} must be str, not {type(value).__name__}")
        _check_size(value, name)
        sealed = cipher.encrypt(json.dumps(["key", self._space, entry.key, value]))
        await self._store.put(self._space, entry.key, sealed)

    async def get_key(self, whose: Package | Address, name: str) -> str | None:
        """The secret, None if there is none. Raises VaultError without a key, with a wrong one, and StoreError."""
        entry, cipher = _entry(whose, name), self._cipher()
        sealed = await self._store.get(self._space, entry.key)
        if sealed is None:
            return None
        return self._opened(cipher, sealed, ["key", self._space, entry.key], repr(name))

    async def has_key(self, whose: Package | Address, name: str) -> bool:
        """Whether there is such a secret; it is not opened. Raises VaultError without a key, and StoreError."""
        self._cipher()
        return await self._store.get(self._space, _entry(whose, name).key) is not None

    async def remove_key(self, whose: Package | Address, name: str) -> None:
        """Forget the secret, if there is one; it works without a key as well. Raises StoreError."""
        await self._store.put(self._space, _entry(whose, name).key, None)

    def seal(self, text: str, place: str = "") -> str:
        """`text` sealed, for whoever keeps it elsewhere in the store. Raises VaultError without a key.

        What is sealed opens in the vault of the same plugin only, and for the same `place`.
        """
        return self._cipher().encrypt(json.dumps(["text", self._space, place, text]))

    def open(self, sealed: str, place: str = "") -> str:
        """What was sealed for `place`. Raises VaultError if no key fits, or if it comes from another place."""
        return self._opened(self._cipher(), sealed, ["text", self._space, place], "what was sealed")

    def _cipher(self) -> Cipher:
        if self.cipher is None:
            raise VaultError(
                f"the vault of {self._plugin or 'the bot'} has no key: set `key` or `key_file` in [vault], or "
                "ZOOZL_VAULT__KEY in the environment; `zoozl vault new-key` makes one"
            )
        return self.cipher

    def _opened(self, cipher: Cipher, sealed: str, place: list[str], what: str) -> str:
        who = self._plugin or "the bot"
        try:
            *found, text = json.loads(cipher.decrypt(sealed))
        except VaultError as exc:
            raise VaultError(f"the vault of {who} cannot open {what}: {exc}") from exc
        if found != place:
            raise VaultError(f"the vault of {who} does not give {what} away: it was sealed for another place")
        return str(text)


def _entry(whose: Package | Address, name: str) -> Entry:
    address = whose if isinstance(whose, Address) else whose.address
    if not address.talker:
        raise ValueError("vault: the address names no talker whose secret it could be")
    if not isinstance(name, str):
        raise TypeError(f"vault: a name must be str, not {type(name).__name__}")
    if not name.isprintable() or not 0 < len(name) <= LONGEST_NAME:
        # It is not shown: somebody may have put the value there.
        raise ValueError(f"vault: a name must have 1 to {LONGEST_NAME} characters, all of them printable")
    return Entry(address.talker, address.channel, address.account, name)


def _check_size(value: str, name: str) -> None:
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        # Not chained: that error quotes the value.
        raise ValueError(f"vault: the value of {name!r} is not valid Unicode") from None
    if not 0 < size <= LONGEST_VALUE:
        raise ValueError(f"vault: the value of {name!r} must have 1 to {LONGEST_VALUE} bytes, and has {size}")
