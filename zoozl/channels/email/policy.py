"""How mails are written: as the standard library writes them, without parsing what needs no parsing.

`email.policy.SMTP` parses every field when it is set and builds it anew when it is written, which is most of the time
that a mail takes. A value of printable ASCII that fits into a line is written as it stands.
"""

from __future__ import annotations

from email.headerregistry import HeaderRegistry
from email.policy import EmailPolicy
from functools import lru_cache
from typing import Any

LONGEST_LINE = 78


class _Registry(HeaderRegistry):
    """Fields are objects that nobody changes; most of a part's are the same in every mail, and are made once."""

    def __init__(self) -> None:
        super().__init__()
        self._kind = lru_cache(64)(super().__getitem__)
        self._made = lru_cache(256)(super().__call__)

    def __getitem__(self, name: str) -> Any:
        # A new class each time, otherwise.
        return self._kind(name.lower())

    def __call__(self, name: str, value: Any) -> Any:
        return self._made(name, value) if type(value) is str and len(value) <= LONGEST_LINE else self[name](name, value)


def _is_plain(value: str) -> bool:
    """Whether nothing in it can end a line or be taken for an encoded word."""
    return value.isascii() and value.isprintable() and value.strip() != "" and "=?" not in value


class _Policy(EmailPolicy):
    def header_store_parse(self, name: str, value: Any) -> tuple[str, Any]:
        # The library looks into these itself, again and again.
        if type(value) is str and _is_plain(value) and not name.startswith("Content-"):
            return name, value
        return super().header_store_parse(name, value)

    def fold_binary(self, name: str, value: Any) -> bytes:
        text = str(value)
        if len(name) + 2 + len(text) <= LONGEST_LINE and _is_plain(text):
            return f"{name}: {text}{self.linesep}".encode()
        return super().fold_binary(name, value)


SMTP = _Policy(linesep="\r\n", header_factory=_Registry())
SMTPUTF8 = SMTP.clone(utf8=True)
