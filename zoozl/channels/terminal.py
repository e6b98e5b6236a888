"""The terminal: a prompt with history and editing, or one message per line from a pipe."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable

from zoozl.chatbot.core import Chatbot
from zoozl.chatbot.message import Address, Event, Message
from zoozl.chatbot.turn import Report
from zoozl.errors import Overloaded

TALKER = Address("terminal", talker="you")


class Channel:
    """One talker, at the keyboard."""

    def __init__(self, bot: Chatbot, author: str = "", *, debug: bool = False) -> None:
        """`debug` shows how each message was routed."""
        self._bot = bot
        self._author = author or "bot"
        self._debug = debug
        bot.connect({TALKER.channel: self})

    async def run(self) -> None:
        """Talk until the input ends or somebody says "exit"."""
        await self._bot.start()
        if self._debug:
            self._bot.observe(self._show_route)
        try:
            await self._hear(Message(), "connect")
            if sys.stdin.isatty():
                await self._talk(_prompt())
            else:
                await self._talk(_read_line)
        finally:
            await self._bot.drain()

    async def _talk(self, read: Callable[[], Awaitable[str]]) -> None:
        while True:
            try:
                line = (await read()).strip()
            except EOFError:
                return
            if line == "exit":
                return
            if line:
                await self._hear(Message(line), "message")

    async def _hear(self, message: Message, kind: str) -> None:
        try:
            self._bot.receive(Event(TALKER, message, kind=kind))
        except Overloaded as exc:
            print(f"! {exc}", file=sys.stderr)
        await self._bot.idle()

    async def send(self, address: Address, message: Message, key: str) -> None:
        """Print a reply."""
        files = [f"[file {part.filename or part.media_type}, {len(part.binary)} bytes]" for part in message.files]
        text = "\n".join([message.text, *files] if message.text else files)
        print(f"{message.author or self._author}: {text}", flush=True)

    def _show_route(self, report: Report) -> None:
        route = report.route
        plugin = route.plugin.name if route.plugin is not None else "nobody"
        near = f', nearest was "{route.near}"' if route.near else ""
        print(
            f'[{route.rule} -> {plugin} as "{route.alias}", score {route.score:.2f}{near}, '
            f"{report.ending}, {report.seconds * 1000:.0f} ms]",
            file=sys.stderr,
            flush=True,
        )


def _prompt() -> Callable[[], Awaitable[str]]:
    from prompt_toolkit import PromptSession

    session: PromptSession[str] = PromptSession("> ")

    async def read() -> str:
        try:
            return str(await session.prompt_async())
        except KeyboardInterrupt:
            raise EOFError from None

    return read


async def _read_line() -> str:
    # In a thread: a pipe may be slow, and not every kind of standard input can be watched by the loop.
    line: str = await asyncio.to_thread(sys.stdin.readline)
    if not line:
        raise EOFError
    return line
