"""Commands: messages whose first word is "/word", or "!word" where a platform swallows what begins with "/"."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Collection, Iterable, Mapping

MARKS = ("/", "!")
# Those that no plugin holds; waiting.py and cancel.py have them.
OWN = ("/cancel", "/pending")
NEAR = 0.75
LONGEST = 40
# No path and no file: a name and nothing else, up to a blank.
_NAME = re.compile(rf"[/!]([^\W\d_][\w-]{{1,{LONGEST - 1}}})(?!\S)")


def by_name(aliases: Iterable[str]) -> dict[str, str]:
    """The commands among `aliases`, by what is compared."""
    return {alias.casefold(): alias for alias in aliases if alias.startswith("/") and len(alias) > 1}


def split(text: str) -> tuple[str, str]:
    """The first word of a message, and what follows it as it was written."""
    words = text.split(maxsplit=1)
    return (words[0], words[1]) if len(words) == 2 else (words[0] if words else "", "")


def find(text: str, known: Mapping[str, str]) -> str | None:
    """The alias of the command that a message is, None if it is none; `known` as `by_name` gives it."""
    text = text.lstrip()
    if not text.startswith(MARKS):
        return None
    return known.get("/" + split(text)[0][1:].casefold())


def as_command(text: str, known: Mapping[str, str], fits: Callable[[str, str], bool]) -> str:
    """What somebody wrote after a mention of the bot, as a command if it is one.

    "book 2", "!book 2" and "/book 2" are all "/book 2", if `fits(alias, line)` says that the bare word before `line`
    is meant as a command: much that begins with such a word is plain speech. Anything else stays as it is.
    """
    word, line = split(text)
    bare = not word.startswith(MARKS)
    alias = known.get("/" + (word if bare else word[1:]).casefold())
    if alias is None or (bare and not fits(alias, line)):
        return text
    return f"{alias} {line}" if line else alias


def nearest(text: str, known: Collection[str], usable: Collection[str]) -> tuple[str, str] | None:
    """A first word that looks like a command and is none, and the one of `usable` that it is near to.

    None if there is no such word. Both as they are compared, with "/".
    """
    written = _NAME.match(text.lstrip())
    if written is None:
        return None
    word = "/" + written[1].casefold()
    if word in known or word in OWN:
        return None
    near = difflib.get_close_matches(word[1:], [command[1:] for command in (*OWN, *usable)], n=1, cutoff=NEAR)
    return (written[0], written[0][0] + near[0]) if near else None
