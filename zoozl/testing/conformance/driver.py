"""What the author of a channel writes for the suite: a driver, between it and a fake of the platform."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import date
from enum import Enum
from itertools import count
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, TypeAlias

from zoozl.testing.conformance.capability import Capability, Limit

if TYPE_CHECKING:
    from zoozl.server import Server

# Who talks, and the room in which they can do so together. BOSS has the role "boss" by the driver's options, and who
# that is must be proved where the platform can.
ANNA, BERT, BOSS = "anna", "bert", "boss"
ROOM = "kitchen"

_numbers = count(1)


class Outcome(Enum):
    """How the bot answers a delivery."""

    TAKEN = "acknowledged: the platform will not deliver it again"
    AGAIN = "not now: the platform will deliver it again"
    REFUSED = "refused for good"


@dataclass(frozen=True, slots=True)
class File:
    """A file of a message."""

    name: str
    data: bytes
    media_type: str = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class Said:
    """Something that a talker says.

    Delivered twice it is the same message: what the platform calls it is made of `number` and of nothing else.
    """

    text: str
    talker: str = ANNA
    room: str = ""
    """ROOM, or "" where the talker is alone with the bot."""
    thread: int = 0
    """The number of the message that began the thread it stands in; 0 for none."""
    mention: bool = True
    """In a room: it is addressed to the bot, in the way that people do there."""
    files: tuple[File, ...] = ()
    number: int = field(default_factory=lambda: next(_numbers))
    """From 1, greater for what is said later."""


@dataclass(frozen=True, slots=True)
class Heard:
    """Something that the platform got from the bot, as people see it there."""

    text: str
    talker: str = ""
    """To whom it is shown alone; in a room "" for everybody."""
    room: str = ""
    thread: int = 0
    """The number of the message that began the thread in which it is shown; 0 for none."""
    files: tuple[File, ...] = ()
    choices: tuple[str, ...] = ()
    """What the buttons read that it has."""
    handle: Any = None
    """The driver's own, to find it again in `tap` and `open_form`."""


@dataclass(frozen=True, slots=True)
class Blank:
    """One field of a form, as people see it."""

    label: str
    choices: tuple[str, ...] = ()
    """What there is to choose from."""
    filled: str = ""
    """What is in it from the beginning: a text, or the one that is chosen; "yes" for a box that is ticked."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """A form that is open."""

    title: str
    blanks: tuple[Blank, ...]
    handle: Any = None
    """The driver's own, to find it again in `fill_in`."""


Filled: TypeAlias = Mapping[str, str | int | bool | date]
"""What is filled in, by label: a choice by its label, numbers, days and ticks as what they are."""


class Driver(ABC):
    """A new one is made for every test. All calls come from one event loop.

    Methods that are not abstract belong to a capability (see METHODS): implement one, or name the capability in
    `absent`. None of them needs a limit on the time it waits, the suite has one.
    """

    title: ClassVar[str]
    """The head of the column: "Slack"."""
    channel: ClassVar[str]
    """The channel's name in the configuration: "slack"."""
    absent: ClassVar[Mapping[Capability, str]] = {}
    """What the platform does not have, and why not, in a sentence for the reader of the table."""
    notes: ClassVar[Mapping[Capability, str]] = {}
    """What is to be said of a capability that is there, in such a sentence."""
    text_limit: ClassVar[Limit | None] = None
    """What one message of the bot's may have there; None with SPLIT absent."""
    file_limit: ClassVar[Limit | None] = None
    """What a file from people may have, by an option of the channel; None with FILES_IN absent."""
    threads: ClassVar[Mapping[str, Any]] = {"scope": "thread"}
    """Options with which each thread is a conversation of its own."""
    secrets: ClassVar[Sequence[str]] = ()
    """All tokens, keys and passwords in `options()`: what the channel's Options have as SecretStr."""

    # What every channel has

    @abstractmethod
    def platform(self) -> AbstractAsyncContextManager[object]:
        """The fake, up and reachable while the block runs; bots may come and go meanwhile."""

    @abstractmethod
    def options(self) -> Mapping[str, Any]:
        """The channel's table, leading to the fake, with port 0 if it listens and BOSS in the role "boss"."""

    def connected(self, server: Server) -> AbstractAsyncContextManager[object]:
        """Entered when a server is up: wait until events can be delivered to it, keep that possible."""
        return nullcontext()

    @abstractmethod
    async def deliver(self, said: Said) -> Outcome:
        """Deliver a message as the platform does (its files too), and come back with the answer to that."""

    @abstractmethod
    def heard(self) -> Sequence[Heard]:
        """All that the platform got so far, in its order; edited messages as they are now."""

    # What only some have

    async def edit(self, said: Said, text: str) -> None:
        """EDIT: the talker changes a message that was delivered."""
        self._missing("edit")

    def slow_down(self, seconds: int, after: int = 0) -> None:
        """PACE: a message of the bot is refused, to be sent again after `seconds` (a 429 with Retry-After).

        `after` so many that are taken, here and in the next two.
        """
        self._missing("slow_down")

    def fail_once(self, after: int = 0, *, broken: bool = False) -> None:
        """RETRY: a message of the bot meets a fault that will pass.

        With `broken` the connection ends before there is an answer, and nothing is shown.
        """
        self._missing("fail_once")

    def lose_receipt(self, after: int = 0) -> None:
        """ONCE: a message of the bot is shown, and the connection breaks before the bot is told so.

        `heard` shows what the platform shows: once what it knows again, twice what it does not.
        """
        self._missing("lose_receipt")

    def fail_growth(self) -> Callable[[], object]:
        """STREAM: the next change of an answer that grows, or its end, meets a fault; gives what tells if it has.

        What grows is in `heard` from the beginning, at its place and as it is then.
        """
        self._missing("fail_growth")

    async def tap(self, heard: Heard, label: str, talker: str) -> None:
        """BUTTONS: somebody taps a button of a message."""
        self._missing("tap")

    async def open_form(self, heard: Heard, talker: str) -> Sheet | None:
        """FORMS: somebody opens the form of a message; None for whom the platform or the bot does not open it."""
        self._missing("open_form")

    async def fill_in(self, sheet: Sheet, talker: str, filled: Filled) -> Mapping[str, str]:
        """FORMS: a form is sent by `talker`, who may be another than who opened it. The same again is the same form.

        Gives what it complains about by label, and is open then; nothing where it closes, or is refused.
        """
        self._missing("fill_in")

    async def command(self, said: Said) -> Outcome:
        """COMMANDS: give the command in `said.text` by the platform's own way; delivered twice it is the same one."""
        self._missing("command")

    async def forge_command(self, said: Said) -> Sequence[Outcome]:
        """COMMANDS and FORGED: give it in the name of its talker, in every way that does not come from there."""
        self._missing("forge_command")

    def typed(self) -> int:
        """TYPING: how often it was shown that the bot is at work."""
        self._missing("typed")

    async def cut(self) -> None:
        """RECONNECT: every connection is gone. What is said until `mend` is over is delivered as the platform does."""
        self._missing("cut")

    async def mend(self) -> None:  # noqa: B027 - what needs nothing done has nothing to do
        """The connection can be made again; comes back when it is, and what the platform then delivers is delivered."""

    async def oversize(self) -> Sequence[Outcome]:
        """OVERSIZED: deliver events that are larger than the platform's own or than what the channel reads."""
        self._missing("oversize")

    async def garbage(self) -> None:
        """MALFORMED: deliver what the platform would never. Raises AssertionError for an answer like "internal error".

        Where events are signed, this is signed.
        """
        self._missing("garbage")

    async def forge(self, said: Said) -> Sequence[Outcome]:
        """FORGED: deliver a message in the name of its talker, in every way that does not come from there.

        TAKEN is right where it is a stranger's message then. Raises AssertionError for what must not be acknowledged.
        """
        self._missing("forge")

    async def machines(self) -> int:
        """LOOPS: deliver what the bot itself, other bots and the platform say, to ANNA's conversation.

        Gives how many of the messages in `heard` are of its own making.
        """
        self._missing("machines")

    def _missing(self, method: str) -> NoReturn:
        raise NotImplementedError(f"{type(self).__name__}.{method} is missing, or its capability is absent")
