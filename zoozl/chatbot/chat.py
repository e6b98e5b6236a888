"""Chat: one talker and a bot in the same program, without a server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from zoozl.chatbot.context import InterfaceRoot
from zoozl.chatbot.core import Chatbot
from zoozl.chatbot.message import Address, Event, Message

CHANNEL = "chat"


class _Callbacks:
    """The channel of all Chats of one root: a callback per talker."""

    def __init__(self) -> None:
        self.by_talker: dict[str, Callable[[Message], None]] = {}

    async def send(self, address: Address, message: Message, key: str) -> None:
        self.by_talker[address.talker](message)


class _Companion:
    """What the Chats of one root share: the callbacks, and a bot for the event loop that runs."""

    def __init__(self, root: InterfaceRoot) -> None:
        self.root = root
        self.callbacks = _Callbacks()
        self.bot: Chatbot | None = None
        self.loop: asyncio.AbstractEventLoop | None = None

    async def running(self) -> Chatbot:
        loop = asyncio.get_running_loop()
        if self.bot is None or self.loop is not loop:
            self.bot, self.loop = Chatbot(self.root, senders={CHANNEL: self.callbacks}), loop
            await self.bot.start()
        return self.bot


class Chat:
    """Talk to the plugins of a loaded InterfaceRoot; `callback(Message)` hears the answers.

    Awaited calls return when everything that they caused has been answered.
    """

    def __init__(self, talker: str, callback: Callable[[Message], None], root: InterfaceRoot) -> None:
        """Raises RuntimeError if `root.load()` was not called."""
        if not root.plugins.all:
            raise RuntimeError("InterfaceRoot.load() must come before Chat()")
        self._shared: _Companion = root.companions.setdefault(CHANNEL, _Companion(root))
        self.talker = str(talker)
        self._shared.callbacks.by_talker[self.talker] = callback

    async def greet(self) -> None:
        """Arrive: the greeting is said, if this talker has not heard it yet."""
        await self._receive(Message(), "connect")

    async def ask(self, message: Message | str) -> None:
        """Say something and wait for the answers."""
        await self._receive(message if isinstance(message, Message) else Message(message), "message")

    async def _receive(self, message: Message, kind: str) -> None:
        bot = await self._shared.running()
        bot.receive(Event(Address(CHANNEL, talker=self.talker), message, kind=kind))
        await bot.idle()
