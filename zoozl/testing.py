"""Talk to a bot in memory, in tests of your plugins. pytest has the fixture `chatbot` as soon as zoozl is installed.

def test_my_plugin(chatbot):
    bot = chatbot("my_plugin_module")
    assert bot.say("could you call my plugin?") == ["Hello this is my plugin response"]
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Self, TypeVar

import pytest

if TYPE_CHECKING:
    from zoozl.chatbot import Interface, Message
    from zoozl.chatbot.ports import Embedder, Store
    from zoozl.chatbot.turn import Report
    from zoozl.chatbot.vault import Cipher

T = TypeVar("T")

CHANNEL = "test"
DEFAULT_TALKER = "tester"

_shared: dict[str, Any] = {}


def bundled_embedder() -> Embedder:
    """The bundled model, loaded once for all tests of a process."""
    if "minilm" not in _shared:
        from zoozl import registry

        _shared["minilm"] = registry.find("embedders", "minilm")()
    return _shared["minilm"]  # type: ignore[no-any-return]


def throwaway_cipher() -> Cipher:
    """Seals what plugins keep in the vault; made once for all tests of a process, so that a restarted bot has it."""
    if "cipher" not in _shared:
        from zoozl.cipher import FernetCipher, new_key

        _shared["cipher"] = FernetCipher([new_key()])
    return _shared["cipher"]  # type: ignore[no-any-return]


class Bot:
    """A bot of your plugins with a memory store and the bundled model: `async with Bot(MyPlugin) as bot`."""

    def __init__(
        self,
        *extensions: str | type[Interface],
        conf: Mapping[str, Any] | None = None,
        embedder: Embedder | None = None,
        store: Store | None = None,
        vault: bool = True,
        **settings: Any,
    ) -> None:
        """Extensions by module name, or Interface classes as they are.

        `conf` is what plugins see as `context.conf`; with `vault=False` the vault has no key; `settings` go
        to `zoozl.chatbot.core.Chatbot`. Raises ExtensionError.
        """
        # Imported here: pytest loads this module at every start, also where nobody tests a bot.
        from zoozl.chatbot import InterfaceRoot
        from zoozl.chatbot.core import Chatbot

        root = InterfaceRoot(
            {**(conf or {}), "extensions": list(extensions)},
            embedder=embedder or bundled_embedder(),
            store=store,
            cipher=throwaway_cipher() if vault else None,
        )
        root.load()
        self.chatbot = Chatbot(root, senders={CHANNEL: self}, **settings)
        self.reports: list[Report] = []
        """How each message was routed, and how its turn ended."""
        self.chatbot.observe(self.reports.append)
        self._clock = settings.get("clock")
        self._replies: list[tuple[str, Message]] = []

    async def send(self, address: Any, message: Message, key: str) -> None:
        """The bot's own channel."""
        self._replies.append((address.talker, message))

    async def __aenter__(self) -> Self:
        """Start."""
        await self.chatbot.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Stop."""
        await self.chatbot.drain(1.0)

    async def post(
        self, message: str | Message, talker: str = DEFAULT_TALKER, *, keys: tuple[str, ...] = (), **address: str
    ) -> bool:
        """Send without waiting for answers; False if it was a duplicate. `address` takes room, thread, account."""
        from zoozl.chatbot.message import Address, Event, Message

        said = Message(message) if isinstance(message, str) else message
        receipt = self.chatbot.receive(Event(Address(CHANNEL, talker=talker, **address), said, keys))
        return await receipt.acknowledged()

    async def connect(self, talker: str = DEFAULT_TALKER) -> list[str]:
        """Arrive, as a websocket does; the greeting."""
        from zoozl.chatbot.message import Address, Event, Message

        self.chatbot.receive(Event(Address(CHANNEL, talker=talker), Message(), kind="connect"))
        return await self.replies(talker)

    async def say(self, message: str | Message, talker: str = DEFAULT_TALKER, **address: Any) -> list[str]:
        """Send, wait until all is done, and give the texts of the answers to this talker."""
        await self.post(message, talker, **address)
        return await self.replies(talker)

    async def pass_time(self, seconds: float) -> None:
        """Let time go by on the bot's VirtualClock (`Bot(..., clock=VirtualClock())`), and wait until all is done."""
        if self._clock is None:
            raise RuntimeError("pass_time() needs a bot with clock=VirtualClock()")
        self._clock.advance(seconds)
        await self.chatbot.look_at_deadlines()
        await self.chatbot.idle()

    async def replies(self, talker: str = DEFAULT_TALKER) -> list[str]:
        """The texts that came for this talker since the last look, when all is done."""
        return [message.text for message in await self.messages(talker)]

    async def messages(self, talker: str = DEFAULT_TALKER) -> list[Message]:
        """The same as `replies`, as Messages with author and files."""
        await self.chatbot.idle()
        mine = [message for to, message in self._replies if to == talker]
        self._replies = [(to, message) for to, message in self._replies if to != talker]
        return mine


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

    def connect(self, talker: str = DEFAULT_TALKER) -> list[str]:
        """See Bot.connect."""
        return self._run(self.bot.connect(talker))  # type: ignore[no-any-return]

    def messages(self, talker: str = DEFAULT_TALKER) -> list[Message]:
        """See Bot.messages."""
        return self._run(self.bot.messages(talker))  # type: ignore[no-any-return]

    @property
    def last(self) -> Report:
        """How the last message was routed."""
        return self.bot.reports[-1]

    def close(self) -> None:
        """Stop."""
        self._run(self.bot.__aexit__())


@pytest.fixture
def chatbot() -> Iterator[Callable[..., SyncBot]]:
    """Makes bots: `chatbot("my_module")` or `chatbot(MyPlugin, conf={...})`, closed when the test ends.

    For tests that are not async; an async test uses `async with zoozl.testing.Bot(...)`.
    """
    bots: list[SyncBot] = []
    with asyncio.Runner() as runner:

        def make(*extensions: str | type[Interface], **options: Any) -> SyncBot:
            bots.append(SyncBot(runner, Bot(*extensions, **options)))
            return bots[-1]

        yield make
        for bot in bots:
            bot.close()
