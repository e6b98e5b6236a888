"""The words of a line as people write them: quoted ones are one word, an apostrophe is a letter."""

from __future__ import annotations

import re
from dataclasses import dataclass

# Quotes open where a word begins and close where one ends, so "don't" and 5" are words like any other. Phones write
# curly ones. No class of characters lets its own opening quote in: else many of them would take quadratic time.
_QUOTED = r""""[^"]*"|'[^']*'|“[^“”]*”|„[^„“”]*[“”]|«[^«»]*»"""
# Phones make one dash of two as well.
_OPTION = r"(?:--|[\u2014\u2013])(?P<option>[^\W\d_][\w-]*)"
_WORD = re.compile(rf"(?:{_OPTION}(?:(?P<equals>=)|(?!\S)))?(?:(?P<quoted>{_QUOTED})(?!\S)|(?P<plain>\S+))?")


MOST = 10_000


@dataclass(frozen=True, slots=True)
class Word:
    """One word and its place in the line."""

    text: str
    """Without the quotes."""
    start: int
    end: int
    quoted: bool = False
    option: str = ""
    """The name of `--name` or `--name=value`."""
    value: str | None = None
    """What stands after its "="; None without one."""


def split(line: str) -> list[Word]:
    """The words of a text, which may have several lines.

    What comes after the first `MOST` is one word more: nobody is kept waiting for a book to be split.
    """
    line = line.rstrip()
    words: list[Word] = []
    at = 0
    while at < len(line):
        if line[at].isspace():
            at += 1
            continue
        word = _word(line, at) if len(words) < MOST else Word(line[at:], at, len(line))
        words.append(word)
        at = word.end
    return words


def _word(line: str, at: int) -> Word:
    found = _WORD.match(line, at)
    assert found is not None
    option, end = found["option"] or "", found.end()
    text = found["quoted"][1:-1] if found["quoted"] is not None else found["plain"] or ""
    if not option:
        return Word(text, at, end, quoted=found["quoted"] is not None)
    return Word(line[at:end], at, end, option=option, value=text if found["equals"] else None)
