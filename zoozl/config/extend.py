"""Add an extension to the text of a configuration, and leave everything else in it as it is."""

import tomli
import tomlkit
from tomlkit.items import Array

from zoozl.errors import ConfigError


def with_extension(text: str, module: str) -> str:
    """The TOML `text` with `module` in its root key `extensions`, which is made if it is not there.

    Raises ConfigError when that key is no list, or cannot be changed without touching something else.
    """
    before = tomli.loads(text)
    listed = before.get("extensions", [])
    if not isinstance(listed, list):
        raise ConfigError("extensions: is no list")
    if module in listed:
        return text
    if "extensions" not in before:
        return _with_key(text, module)
    # Last, as one would write it; but where a comment ends the list, tomlkit would write into the comment.
    for place in (len(listed), 0):
        changed = _inserted(text, module, place)
        if _parsed(changed) == {**before, "extensions": [*listed[:place], module, *listed[place:]]}:
            return changed
    raise ConfigError(f'extensions: cannot be changed safely; add "{module}" to it yourself')


def _inserted(text: str, module: str, place: int) -> str:
    document = tomlkit.parse(text)
    found = document["extensions"]
    assert isinstance(found, Array)
    found.insert(place, module)
    return tomlkit.dumps(document)


def _parsed(text: str) -> dict[str, object] | None:
    try:
        return tomli.loads(text)
    except tomli.TOMLDecodeError:
        return None


def _with_key(text: str, module: str) -> str:
    # Above everything: below a [table] it would be a key of that table.
    head, body = _comment(text)
    newline = "\r\n" if "\r\n" in text else "\n"
    return f'{head}extensions = ["{module}"]{newline}{newline if body else ""}{body}'


def _comment(text: str) -> tuple[str, str]:
    """The comment at the very top with the blank lines after it, and the rest."""
    lines = text.splitlines(keepends=True)
    size = next((n for n, line in enumerate(lines) if not line.startswith("#")), len(lines))
    while 0 < size < len(lines) and not lines[size].strip():
        size += 1
    if not 0 < size < len(lines) or lines[size - 1].strip():
        # No comment, nothing but a comment, or one that belongs to the first key.
        return "", text
    return "".join(lines[:size]), "".join(lines[size:])
