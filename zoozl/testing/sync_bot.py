"""SyncBot: the same as Bot for tests that are not async."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from zoozl.testing.bot import DEFAULT_TALKER, Bot

if TYPE_CHECKING:
    from zoozl.chatbot import Message
    from zoozl.chatbot.message import Address, Event
    from zoozl.chatbot.services import Report
    from zoozl.testing.bot import Place


class SyncBot:
    """`Bot` for tests that are not async: the same calls, each returning when it is done."""

    def __init__(self, runner: asyncio.Runner, bot: Bot) -> None:
        self._run: Callable[[Coroutine[Any, Any, Any]], Any] = runner.run
        self.bot = bot
        self._run(bot.__aenter__())

    def say(self, message: str | Message, talker: str = DEFAULT_TALKER, **address: Any) -> list[str]:
        """See Bot.say."""
        return self._run(self.bot.say(message, talker, **address))  # type: ignore[no-any-return]

    def post(self, message: str | Message, talker: str = DEFAULT_TALKER, **address: Any) -> bool:
        """See Bot.post."""
        return self._run(self.bot.post(message, talker, **address))  # type: ignore[no-any-return]

    def tap(self, label: str, talker: str = DEFAULT_TALKER, **address: str) -> list[str]:
        """See Bot.tap."""
        return self._run(self.bot.tap(label, talker, **address))  # type: ignore[no-any-return]

    def at(self, talker: str = DEFAULT_TALKER, **address: str) -> SyncPlace:
        """See Bot.at."""
        return SyncPlace(self, self.bot.at(talker, **address))

    def event(self, message: str | Message, talker: str = DEFAULT_TALKER, **address: Any) -> Event:
        """See Bot.event."""
        return self.bot.event(message, talker, **address)

    def deliver(self, *events: Event) -> bool:
        """See Bot.deliver."""
        return self._run(self.bot.deliver(*events))  # type: ignore[no-any-return]

    def duplicate(self, talker: str = DEFAULT_TALKER) -> list[str]:
        """See Bot.duplicate."""
        return self._run(self.bot.duplicate(talker))  # type: ignore[no-any-return]

    def connect(self, talker: str = DEFAULT_TALKER) -> list[str]:
        """See Bot.connect."""
        return self._run(self.bot.connect(talker))  # type: ignore[no-any-return]

    def restart(self) -> None:
        """See Bot.restart."""
        self._run(self.bot.restart())

    def pass_time(self, seconds: float) -> None:
        """See Bot.pass_time."""
        self._run(self.bot.pass_time(seconds))

    def replies(self, talker: str = DEFAULT_TALKER) -> list[str]:
        """See Bot.replies."""
        return self._run(self.bot.replies(talker))  # type: ignore[no-any-return]

    def messages(self, talker: str = DEFAULT_TALKER) -> list[Message]:
        """See Bot.messages."""
        return self._run(self.bot.messages(talker))  # type: ignore[no-any-return]

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """What an async call gives, run on this bot's loop."""
        return self._run(work)

    @property
    def last(self) -> Report:
        """How the last message was routed."""
        return self.bot.reports[-1]

    def close(self, failed: bool = False) -> None:
        """Stop. Raises NotDeterministic if nobody has heard of that yet, unless the test has `failed` anyway."""
        self._run(self.bot.__aexit__(None, True if failed else None, None))


class SyncPlace:
    """See Place."""

    def __init__(self, bot: SyncBot, place: Place) -> None:
        self._run = bot.run
        self._place = place

    @property
    def address(self) -> Address:
        """Where this is."""
        return self._place.address

    def post(self, message: str | Message, *, keys: tuple[str, ...] = ()) -> bool:
        """See Place.post."""
        return self._run(self._place.post(message, keys=keys))  # type: ignore[no-any-return]

    def say(self, message: str | Message, *, keys: tuple[str, ...] = ()) -> list[str]:
        """See Place.say."""
        return self._run(self._place.say(message, keys=keys))  # type: ignore[no-any-return]

    def tap(self, label: str) -> list[str]:
        """See Place.tap."""
        return self._run(self._place.tap(label))  # type: ignore[no-any-return]

    def replies(self) -> list[str]:
        """See Place.replies."""
        return self._run(self._place.replies())  # type: ignore[no-any-return]
