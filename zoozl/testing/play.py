"""Hold the conversation of a transcript with a bot, and tell where it first goes another way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoozl.chatbot.clock import VirtualClock
from zoozl.chatbot.message import Address, Message
from zoozl.stores.memory import Store as MemoryStore
from zoozl.testing.bot import CHANNEL, Bot
from zoozl.testing.transcript import (
    Again,
    Arrives,
    Difference,
    Heard,
    Later,
    Moment,
    Restart,
    Said,
    Step,
    TranscriptError,
    difference,
    fits,
    parse,
)

if TYPE_CHECKING:
    from zoozl.config import Config

# A conversation that a person writes down is shorter.
LONGEST = 1 << 20


def read(path: Path) -> list[Step]:
    """The steps in a file. Raises TranscriptError."""
    try:
        with path.open("rb") as file:
            data = file.read(LONGEST + 1)
        if len(data) > LONGEST:
            raise TranscriptError(f"{path}: is longer than {LONGEST} bytes")
        return parse(data.decode("utf-8-sig"), str(path))
    except OSError as exc:
        raise TranscriptError(f"{path}: cannot be read: {exc.strerror}") from exc
    except UnicodeDecodeError as exc:
        raise TranscriptError(f"{path}: is not UTF-8: {exc}") from exc


def play_file(path: Path, conf: Path | None, *, restarts: bool = True) -> None:
    """A test: the conversation in `path` with the bot that `conf` describes, with a memory store.

    Raises TranscriptError, Difference, ConfigError.
    """
    from zoozl import config as configuration

    config = configuration.load(str(conf) if conf is not None else None, need_channel=False)
    configuration.extend_import_path(config.folder)
    asyncio.run(play_with(config, read(path), str(path), restarts=restarts))


async def play_with(
    config: Config, steps: list[Step], name: str, *, restarts: bool = True, embedder: Any = None
) -> Any:
    """The same for what was read already; gives the embedder, for the next time. Raises Difference, ConfigError."""
    from zoozl.server import compose

    bot = Bot.of(lambda **options: compose(config, MemoryStore(), embedder=embedder, **options), restarts=restarts)
    async with bot:
        await play(bot, steps, name)
    found = bot.chatbot.root.embedding.embedder
    # One that can be closed is closed now.
    return None if hasattr(found, "close") else found


async def play(bot: Bot, steps: list[Step], name: str = "") -> None:
    """Hold the conversation with a bot that has started. Raises Difference, which begins with `name` and the line."""
    await _Player(bot, name).play(steps)


class _Player:
    def __init__(self, bot: Bot, name: str) -> None:
        self._bot = bot
        self._name = name
        self._at = 0
        self._here = Address(CHANNEL)
        self._said: list[tuple[Address, Message]] = []
        self._began = False

    async def play(self, steps: list[Step]) -> None:
        for step in steps:
            if isinstance(step, Heard):
                self._hear(step)
                continue
            self._nothing_more()
            self._at = step.line
            try:
                await self._do(step)
                self._said += await self._bot.sent()
            except AssertionError as exc:
                raise self._difference(step.line, str(exc)) from exc
            self._began = True
        self._nothing_more()

    async def _do(self, step: Said | Later | Moment | Restart | Again | Arrives) -> None:
        bot = self._bot
        match step:
            case Said():
                self._here = Address(CHANNEL, room=step.room, thread=step.thread, talker=step.talker)
                place = {"room": step.room, "thread": step.thread} if step.room else {}
                make: Callable[..., Any] = bot.button if step.tap else bot.event
                await bot.deliver(make(step.text, step.talker, **place))
            case Again():
                if not self._here.talker:
                    raise AssertionError("nobody has said anything that could come again")
                self._said += [(self._here, Message(text)) for text in await bot.duplicate(self._here.talker)]
            case Arrives():
                self._here = Address(CHANNEL, talker=step.talker)
                self._said += [(self._here, Message(text)) for text in await bot.connect(step.talker)]
            case Later():
                await bot.pass_time(step.seconds)
            case Moment():
                await self._move_to(step)
            case Restart():
                await bot.restart()

    async def _move_to(self, step: Moment) -> None:
        clock = self._bot.clock
        assert isinstance(clock, VirtualClock)
        seconds = step.at.timestamp() - clock.time()
        if not self._began:
            clock.advance(seconds)
        elif seconds < 0:
            raise AssertionError("it is later than that already")
        else:
            await self._bot.pass_time(seconds)

    def _hear(self, step: Heard) -> None:
        found = next((said for said in self._said if self._is_for(step, said[0])), None)
        if found is None:
            other = f"; it said {self._shown(*self._said[0])}" if self._said else ""
            to = f" to {step.to}" if step.to else ""
            raise self._difference(step.line, f"the bot says nothing more{to} here{other}", step)
        text = found[1].text
        if not fits(step, text):
            raise Difference(f"{self._where(step.line)}: the bot says something else\n{difference(step, text)}")
        self._said.remove(found)
        self._at = step.line

    def _is_for(self, step: Heard, address: Address) -> bool:
        there = (address.room, address.thread) == (step.room, step.thread)
        if step.to:
            return address.talker == step.to and (there or not step.room)
        if step.room:
            return there
        return address == self._here

    def _nothing_more(self) -> None:
        if self._said:
            raise self._difference(self._at, f"after this the bot also said {self._shown(*self._said[0])}")

    def _shown(self, address: Address, message: Message) -> str:
        place = f" @{address.room}" + (f"/{address.thread}" if address.thread else "") if address.room else ""
        to = "" if address == self._here else f" (to {address.talker}){place}"
        return f"{message.text!r}{to}"

    def _difference(self, line: int, what: str, expected: Heard | None = None) -> Difference:
        wanted = f"\n  expected  {expected.text or '...'}" if expected is not None else ""
        return Difference(f"{self._where(line)}: {what}{wanted}")

    def _where(self, line: int) -> str:
        return f"{self._name}:{line}" if self._name else f"line {line}"
