"""The `.chat` format: a conversation as people write it down, read and written here. docs/howto/test-dialogs.md has it.

Nothing here talks to a bot.
"""

from __future__ import annotations

import difflib
import re
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeAlias

from zoozl.errors import ZoozlError

SUFFIX = ".chat"
BOT = "bot"
ANY = "..."
ESCAPE = "\\"

_HEAD = re.compile(
    r"(?P<who>\w[\w.-]*)(?: \(to (?P<to>\w[\w.-]*)\))?(?: @(?P<room>[^\s/:]+)(?:/(?P<thread>[^\s:]+))?)?:(?P<text>.*)"
)
_TAP = re.compile(r"\[(.+)\]")
_LATER = re.compile(r"(\d+(?:\.\d+)?|an?) (second|minute|hour|day|week)s? later")
_ARRIVES = re.compile(r"(\w[\w.-]*) arrives")
_SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400, "week": 604800}


class TranscriptError(ZoozlError):
    """A transcript cannot be read."""


class Difference(AssertionError):
    """The bot did something else than the transcript says."""


@dataclass(frozen=True, slots=True)
class Said:
    """A talker says something, or taps a button."""

    line: int
    talker: str
    text: str
    room: str = ""
    thread: str = ""
    tap: bool = False


@dataclass(frozen=True, slots=True)
class Heard:
    """The bot is to answer. Without `to` it is to whoever spoke last, there where that was."""

    line: int
    text: str
    """What it says; with `pattern` a regular expression for all of it."""
    pattern: bool = False
    anything: bool = False
    to: str = ""
    room: str = ""
    thread: str = ""


@dataclass(frozen=True, slots=True)
class Later:
    """Time goes by."""

    line: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Moment:
    """It is a certain time now."""

    line: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Restart:
    """The bot is restarted."""

    line: int


@dataclass(frozen=True, slots=True)
class Again:
    """What was said last is delivered once more."""

    line: int


@dataclass(frozen=True, slots=True)
class Arrives:
    """A talker connects, and has said nothing yet."""

    line: int
    talker: str


Step: TypeAlias = Said | Heard | Later | Moment | Restart | Again | Arrives


def parse(text: str, name: str = "") -> list[Step]:
    """What is in a transcript, in its order. Raises TranscriptError, which begins with `name` and the line."""
    steps: list[Step] = []
    for number, head, rest in _blocks(text, name):
        if head.startswith("---"):
            if rest:
                raise _error(name, number + 1, "is indented, and what is above it has only one line")
            steps.append(_directive(head.lstrip("-").strip(), number, name))
            continue
        found = _HEAD.fullmatch(head)
        if found is None:
            raise _error(name, number, f'is neither "NAME: text" nor "bot: text" nor "--- ...": {head!r}')
        body = "\n".join([found["text"].strip(), *textwrap.dedent("\n".join(rest)).splitlines()]).strip()
        room, thread = found["room"] or "", found["thread"] or ""
        if found["who"] == BOT:
            steps.append(_heard(number, body, found["to"] or "", room, thread, name))
        elif found["to"]:
            raise _error(name, number, 'only the bot speaks "(to NAME)"')
        else:
            tap = _TAP.fullmatch(body)
            steps.append(Said(number, found["who"], tap[1] if tap else _literal(body), room, thread, bool(tap)))
    return steps


def _blocks(text: str, name: str) -> Iterator[tuple[int, str, list[str]]]:
    """Each line that begins something, with its number and the indented lines that go on with it."""
    head, number, rest = "", 0, list[str]()
    for n, raw in enumerate(text.splitlines(), 1):
        line = raw.rstrip()
        if line and not line[0].isspace():
            if head:
                yield number, head, rest
            # A comment ends what was before it, too.
            head, number, rest = ("" if line.startswith("#") else line), n, []
        elif head:
            rest.append(line)
        elif line:
            raise _error(name, n, "is indented, and there is nothing above it that it could go on with")
        while head and rest and not rest[0]:
            # Blank lines right below the head say nothing.
            rest.pop(0)
    if head:
        yield number, head, rest


def _directive(words: str, line: int, name: str) -> Step:
    plain = words.lower()
    if plain == "restart":
        return Restart(line)
    if plain == "again":
        return Again(line)
    if found := _LATER.fullmatch(plain):
        amount = 1.0 if found[1].startswith("a") else float(found[1])
        return Later(line, amount * _SECONDS[found[2]])
    if found := _ARRIVES.fullmatch(words):
        return Arrives(line, found[1])
    try:
        at = datetime.fromisoformat(words.removesuffix(" UTC"))
    except ValueError:
        known = '"10 minutes later", "2026-11-21 10:00", "restart", "again" or "anna arrives"'
        raise _error(name, line, f"after --- there must be {known}, not {words!r}") from None
    return Moment(line, at if at.tzinfo is not None else at.replace(tzinfo=UTC))


def _heard(line: int, body: str, to: str, room: str, thread: str, name: str) -> Heard:
    if body == ANY:
        return Heard(line, "", anything=True, to=to, room=room, thread=thread)
    if not body.startswith("~"):
        return Heard(line, _literal(body), to=to, room=room, thread=thread)
    pattern = body[1:].strip()
    try:
        re.compile(pattern)
    except re.error as exc:
        raise _error(name, line, f"this is no regular expression: {exc}") from exc
    return Heard(line, pattern, pattern=True, to=to, room=room, thread=thread)


def _literal(text: str) -> str:
    return text[1:] if text.startswith(ESCAPE) else text


def _error(name: str, line: int, what: str) -> TranscriptError:
    return TranscriptError(f"{name}:{line}: {what}" if name else f"line {line}: {what}")


def render(steps: Iterable[Step]) -> str:
    """A transcript that reads back as these steps, but for the numbers of lines."""
    return "".join(f"{_render(step)}\n" for step in steps)


def _render(step: Step) -> str:
    match step:
        case Said():
            text = f"[{step.text}]" if step.tap else _escaped(step.text)
            return _block(step.talker, step.room, step.thread, text)
        case Heard():
            who = f"{BOT} (to {step.to})" if step.to else BOT
            text = ANY if step.anything else f"~ {step.text}" if step.pattern else _escaped(step.text)
            return _block(who, step.room, step.thread, text)
        case Later():
            return f"--- {_amount(step.seconds)} later"
        case Moment():
            return f"--- {step.at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
        case Restart():
            return "--- restart"
        case Again():
            return "--- again"
        case Arrives():
            return f"--- {step.talker} arrives"


def _block(who: str, room: str, thread: str, text: str) -> str:
    place = f" @{room}" + (f"/{thread}" if thread else "") if room else ""
    # All that ends a line, also what only some programs take for it.
    first, *rest = text.splitlines() or [""]
    return "\n".join([f"{who}{place}: {first}".rstrip(), *(f"  {line}".rstrip() for line in rest)])


def _escaped(text: str) -> str:
    text = text.strip()
    special = text.startswith(("~", ESCAPE)) or text == ANY or _TAP.fullmatch(text)
    return ESCAPE + text if special else text


def _amount(seconds: float) -> str:
    for unit in ("week", "day", "hour", "minute"):
        if seconds % _SECONDS[unit] == 0:
            break
    else:
        unit = "second"
    count = seconds / _SECONDS[unit]
    number = f"{count:.3f}".rstrip("0").rstrip(".")
    return f"{number} {unit}{'' if count == 1 else 's'}"


def squeezed(text: str) -> str:
    """`text` as it is compared: without blank lines, and without blanks at both ends of the others."""
    return "\n".join(line.strip() for line in text.splitlines() if line.strip())


def fits(expected: Heard, text: str) -> bool:
    """Whether the bot may say `text` here."""
    if expected.anything:
        return True
    if expected.pattern:
        return re.fullmatch(expected.text, squeezed(text), re.DOTALL) is not None
    return squeezed(expected.text) == squeezed(text)


def difference(expected: Heard, text: str) -> str:
    """What is shown when it may not."""
    wanted, said = squeezed(expected.text), squeezed(text)
    if expected.pattern or ("\n" not in wanted and "\n" not in said):
        label = "pattern " if expected.pattern else "expected"
        return f"  {label}  {_indented(wanted)}\n  said      {_indented(said)}"
    lines = difflib.ndiff(wanted.splitlines(), said.splitlines())
    return "\n".join(["  - expected, + said", *(f"  {line.rstrip()}" for line in lines)])


def _indented(text: str) -> str:
    return text.replace("\n", "\n            ")
