"""The terminal: a prompt with history and editing, or one message per line from a pipe."""

from __future__ import annotations

import asyncio
import io
import os
import queue
import sys
import threading
from collections.abc import Awaitable, Callable
from typing import TextIO

from zoozl.chatbot.core import Chatbot
from zoozl.chatbot.message import Address, Event, Message
from zoozl.chatbot.services import Report
from zoozl.errors import Overloaded, Undeliverable

TALKER = Address("terminal", talker="you")


class Channel:
    """One talker, at the keyboard."""

    def __init__(self, bot: Chatbot, author: str = "", *, debug: bool = False) -> None:
        """`debug` shows how each message was routed."""
        self._bot = bot
        self._author = author or "bot"
        self._debug = debug
        self._deaf = asyncio.Event()
        """Nobody reads any more."""
        self._secret = False
        """The answer that is waited for must not be seen."""
        self._growing = ""
        """The key of the answer that is being printed, and how many characters of it are."""
        self._printed = 0
        bot.connect({TALKER.channel: self})

    async def run(self) -> None:
        """Talk until the input ends, somebody says "exit", or nobody reads the answers any more."""
        if isinstance(sys.stdout, io.TextIOWrapper):
            # What the terminal cannot show is shown as a question mark.
            sys.stdout.reconfigure(errors="replace")
        patience = 10.0
        try:
            await self._bot.start()
            if self._debug:
                self._bot.observe(self._show_route)
            await self._hear(Message(), "connect")
            if sys.stdin is not None:
                lines = None if _is_terminal() else _Lines(sys.stdin)
                await self._talk(_prompt() if lines is None else lambda _: lines.read())
        except asyncio.CancelledError:
            patience = 0.0
            raise
        finally:
            await self._bot.drain(patience)

    async def _talk(self, read: Callable[[bool], Awaitable[str]]) -> None:
        while (line := await self._next(read)) is not None:
            self._secret = False
            line = line.strip()
            if line == "exit":
                return
            if line:
                await self._hear(Message(line), "message")

    async def _next(self, read: Callable[[bool], Awaitable[str]]) -> str | None:
        """The next line, None when there is none or nobody would read the answer."""
        reading = asyncio.ensure_future(read(self._secret))
        deaf = asyncio.ensure_future(self._deaf.wait())
        try:
            await asyncio.wait({reading, deaf}, return_when=asyncio.FIRST_COMPLETED)
            return reading.result() if reading.done() and not self._deaf.is_set() else None
        except EOFError:
            return None
        finally:
            reading.cancel()
            deaf.cancel()
            await asyncio.gather(reading, deaf, return_exceptions=True)

    async def _hear(self, message: Message, kind: str) -> None:
        try:
            self._bot.receive(Event(TALKER, message, kind=kind))
        except Overloaded as exc:
            _note(f"! {exc}")
        await self._bot.idle()

    async def send(self, address: Address, message: Message, key: str) -> None:
        """Print a reply. Raises Undeliverable when nobody reads any more."""
        files = [f"[file {part.filename or part.media_type}, {len(part.binary)} bytes]" for part in message.files]
        text = "\n".join([message.text, *files] if message.text else files)
        if message.question is not None:
            self._secret = message.question.secret
        if self._growing and self._growing == message.stream:
            self._print(text[self._printed :] + "\n")
            self._growing = ""
        else:
            self._print(f"{self._end_line()}{message.author or self._author}: {text}\n")

    async def stream(self, address: Address, key: str, text: str) -> None:
        """Print what has come to an answer that grows, where it can be seen growing.

        Raises Undeliverable when nobody reads any more.
        """
        if sys.stdout is None or not sys.stdout.isatty():
            return
        if self._growing != key:
            self._print(f"{self._end_line()}{self._author}: ")
            self._growing, self._printed = key, 0
        self._print(text[self._printed :])
        self._printed = len(text)

    def _end_line(self) -> str:
        """What has to come before something else than the rest of a growing answer."""
        growing, self._growing = self._growing, ""
        return "\n" if growing else ""

    def _print(self, text: str) -> None:
        if self._deaf.is_set():
            raise Undeliverable("nobody reads any more")
        try:
            print(text, end="", flush=True)
        except (OSError, ValueError) as exc:
            self._deaf.set()
            if not isinstance(exc, BrokenPipeError):
                _note(f"! cannot write: {exc}")
            _forget_output()
            raise Undeliverable("nobody reads any more") from exc

    def _show_route(self, report: Report) -> None:
        route = report.route
        plugin = route.plugin.name if route.plugin is not None else "nobody"
        near = f', nearest was "{route.near}"' if route.near else ""
        _note(
            f'[{route.rule} -> {plugin} as "{route.alias}", score {route.score:.2f}{near}, '
            f"{report.ending}, {report.seconds * 1000:.0f} ms]"
        )


class _Lines:
    """The lines of a stream, read one by one in a thread that the end of the program does not wait for."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        try:
            # Not the stream itself: the interpreter wants its lock at the end, which a reader that waits would have.
            self._stream = open(  # noqa: SIM115 - nothing to close
                stream.fileno(), encoding=stream.encoding, errors="replace", closefd=False
            )
        except (OSError, ValueError):
            pass  # not a real file
        self._wanted: queue.SimpleQueue[tuple[asyncio.AbstractEventLoop, asyncio.Future[str]]] = queue.SimpleQueue()
        threading.Thread(target=self._run, name="zoozl-stdin", daemon=True).start()

    async def read(self) -> str:
        """The next line. Raises EOFError after the last one."""
        loop = asyncio.get_running_loop()
        line: asyncio.Future[str] = loop.create_future()
        self._wanted.put((loop, line))
        if text := await line:
            return text
        raise EOFError

    def _run(self) -> None:
        text = "-"
        while text:
            loop, line = self._wanted.get()
            try:
                text = self._stream.readline()
            except (OSError, ValueError):
                text = ""
            try:
                loop.call_soon_threadsafe(_resolve, line, text)
            except RuntimeError:
                return  # the loop has been closed meanwhile


def _resolve(line: asyncio.Future[str], text: str) -> None:
    if not line.done():
        line.set_result(text)


def _is_terminal() -> bool:
    return sys.stdin.isatty() and sys.stdout is not None and sys.stdout.isatty()


def _prompt() -> Callable[[bool], Awaitable[str]]:
    from prompt_toolkit import PromptSession
    from prompt_toolkit.history import DummyHistory

    session: PromptSession[str] = PromptSession("> ")
    # Neither on the screen nor among the lines that come back with the arrow keys.
    hidden: PromptSession[str] = PromptSession("> ", is_password=True, history=DummyHistory())

    async def read(secret: bool) -> str:
        try:
            return str(await (hidden if secret else session).prompt_async())
        except KeyboardInterrupt:
            raise EOFError from None

    return read


def _note(text: str) -> None:
    """Say something that is no part of the conversation."""
    try:
        print(text, file=sys.stderr, flush=True)
    except (OSError, ValueError):
        pass  # nobody reads that either


def _forget_output() -> None:
    """Let what is still buffered go nowhere, or the interpreter would complain about it at the end."""
    try:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
    except (OSError, ValueError):
        pass  # not a real file
