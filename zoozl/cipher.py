"""The cipher of the vault: Fernet, under the keys that [vault] gives or names a file for."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from zoozl import redaction
from zoozl.errors import VaultError
from zoozl.settings import VAULT_KEY, VaultKeys

if TYPE_CHECKING:
    from zoozl.config import Config

# Bytes of a key file, which is many more keys than anybody has.
LONGEST_FILE = 64 << 10


def new_key() -> str:
    """A key that nobody has had before."""
    return Fernet.generate_key().decode()


class FernetCipher:
    """See zoozl.chatbot.vault.Cipher."""

    def __init__(self, keys: Sequence[str]) -> None:
        """The first key seals, all of them open."""
        self._first = Fernet(keys[0])
        self._all = MultiFernet([self._first, *map(Fernet, keys[1:])])
        self.fingerprint = hashlib.sha256(b"zoozl vault\0" + keys[0].encode()).hexdigest()[:16]

    def __repr__(self) -> str:
        return f"FernetCipher({self.fingerprint})"

    def encrypt(self, text: str) -> str:
        """See Cipher."""
        return self._first.encrypt(text.encode()).decode()

    def decrypt(self, sealed: str) -> str:
        """See Cipher."""
        return _open(self._all, sealed).decode()

    def renew(self, sealed: str) -> str | None:
        """See Cipher."""
        try:
            _open(self._first, sealed)
        except VaultError:
            return self._first.encrypt(_open(self._all, sealed)).decode()
        return None


def _open(fernet: Fernet | MultiFernet, sealed: str) -> bytes:
    try:
        return fernet.decrypt(sealed.encode())
    except (InvalidToken, UnicodeEncodeError):
        raise VaultError(
            "no key of [vault] fits (`key`, `key_file`, `old_keys`): it was sealed with another one, or changed"
        ) from None


def of_config(config: Config) -> FernetCipher | None:
    """The cipher that a configuration describes, None if it has no key. Raises ConfigError."""
    table = config.tables.get("vault")
    if not isinstance(table, VaultKeys):
        return None
    old = [key.get_secret_value() for key in table.old_keys]
    # In the environment they are a list in one text, which is what is known so far.
    redaction.remember(old)
    if table.key is not None:
        return FernetCipher([table.key.get_secret_value(), *old])
    if table.key_file is None:
        return None
    try:
        keys = read_keys(config.folder / table.key_file)
    except VaultError as exc:
        raise config.error("vault.key_file", str(exc)) from exc
    return FernetCipher([*keys, *old])


def read_keys(path: Path) -> list[str]:
    """The keys in a file that nobody but its owner may read, one in a line. Raises VaultError, which quotes none."""
    try:
        # A pipe would keep us waiting.
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    except FileNotFoundError:
        raise VaultError(f"{path}: there is no such file; `zoozl vault new-key {path}` makes it") from None
    except OSError as exc:
        raise VaultError(f"{path}: cannot be read: {exc.strerror}") from exc
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise VaultError(f"{path}: is no regular file")
        # Elsewhere these bits say nothing.
        if os.name == "posix" and status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise VaultError(f"{path}: other users may read or change it; chmod 600 {path}")
        content = os.read(handle, LONGEST_FILE + 1)
    finally:
        os.close(handle)
    if len(content) > LONGEST_FILE:
        raise VaultError(f"{path}: is longer than {LONGEST_FILE} bytes")
    lines = content.decode("utf-8", "replace").splitlines()
    keys = [line.strip() for line in lines if line.strip()]
    # Before anything is said about them.
    redaction.remember(keys)
    for number, line in enumerate(lines, 1):
        if line.strip() and not re.fullmatch(VAULT_KEY, line.strip()):
            raise VaultError(f"{path}: line {number} is no key; `zoozl vault new-key` makes one")
    if not keys:
        raise VaultError(f"{path}: has no key in it; `zoozl vault new-key {path}` puts one there")
    return keys


def write_key(path: Path) -> bool:
    """Put a new key into a file, before those that it has; True if the file is new. Raises VaultError.

    Whenever it is cut short, the file is as it was or as it should be.
    """
    try:
        keys = read_keys(path) if path.exists() or path.is_symlink() else []
        # Through a link, to where the keys are.
        target = path.resolve()
        part = target.with_name(f".{target.name}.part")
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with open(handle, "w", encoding="ascii") as file:
                file.write("".join(f"{key}\n" for key in [new_key(), *keys]))
                file.flush()
                os.fsync(handle)
            os.replace(part, target)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
    except OSError as exc:
        left = f"; if no other `zoozl vault` runs, remove {exc.filename}" if exc.errno == errno.EEXIST else ""
        raise VaultError(f"{path}: cannot be written: {exc.strerror}{left}") from exc
    return not keys
