"""TOML as one writes it: values and keys for files and for the eye."""

from collections.abc import Mapping
from datetime import date, time
from typing import Any

import tomlkit


def written(value: Any) -> str:
    """`value` in one line of TOML that does nothing to a terminal; what TOML has no word for is quoted as text."""
    text: str = tomlkit.item(_inline(value)).as_string()
    return "".join(char if char.isprintable() else _escaped(char) for char in text)


def key(*parts: str) -> str:
    """A dotted key, its parts quoted where they must be: websocket.port, "zoozl.plugins.pong".text."""
    return ".".join(tomlkit.key(part).as_string() if _is_bare(part) else written(part) for part in parts)


def _is_bare(part: str) -> bool:
    return part.isascii() and part.replace("_", "a").replace("-", "a").isalnum()


def _inline(value: Any) -> Any:
    if isinstance(value, Mapping):
        table = tomlkit.inline_table()
        table.update({str(name): _inline(item) for name, item in value.items()})
        return table
    if isinstance(value, list | tuple):
        return [_inline(item) for item in value]
    return value if isinstance(value, str | bool | int | float | date | time) else str(value)


def _escaped(char: str) -> str:
    return f"\\u{ord(char):04x}" if ord(char) < 0x10000 else f"\\U{ord(char):08x}"
