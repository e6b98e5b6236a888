"""A bot on the channel under test, its driver beside it, and waits that end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from zoozl import config
from zoozl.chatbot.ports import Store
from zoozl.server import Server, serving
from zoozl.testing.conformance import desk
from zoozl.testing.conformance.driver import ANNA, Driver, File, Heard, Outcome, Said
from zoozl.testing.conformance.letters import Letters

# Seconds that anything may take.
PATIENCE = 20.0
# Seconds between two looks.
LOOK = 0.005
END = "the end"


class Talk:
    """What a test does with the bot. Numbers of answers count from the beginning, over restarts."""

    def __init__(self, driver: Driver, server: Server) -> None:
        self.driver, self.server = driver, server

    async def deliver(self, said: Said) -> Outcome:
        """Deliver once."""
        async with asyncio.timeout(PATIENCE):
            return await self.driver.deliver(said)

    async def say(
        self,
        text: str,
        talker: str = ANNA,
        *,
        room: str = "",
        thread: int = 0,
        mention: bool = True,
        files: tuple[File, ...] = (),
    ) -> Said:
        """Say something that must be acknowledged."""
        said = Said(text, talker, room, thread, mention, files)
        outcome = await self.deliver(said)
        assert outcome is Outcome.TAKEN, f"{text!r} is {outcome.value}"
        return said

    async def until(self, condition: Callable[[], object], what: str = "what was waited for") -> None:
        """Wait for it. Raises AssertionError if it does not come."""
        try:
            async with asyncio.timeout(PATIENCE):
                while not condition():  # noqa: ASYNC110 - a driver need not know of events
                    await asyncio.sleep(LOOK)
        except TimeoutError:
            heard = [one.text[:100] for one in self.driver.heard()[-20:]]
            raise AssertionError(f"{what} did not come within {PATIENCE:g} s; the platform has heard {heard}") from None

    async def hears(self, number: int) -> list[Heard]:
        """All that was heard, once it is so much."""
        await self.until(lambda: len(self.driver.heard()) >= number, f"answer {number}")
        return list(self.driver.heard())

    async def texts(self, number: int) -> list[str]:
        """The same, as texts."""
        return [one.text for one in await self.hears(number)]

    async def all(self, talker: str = ANNA) -> list[str]:
        """The texts of all that was heard when nothing more can come: one more message is answered, and not in it."""
        await self.say(END, talker)
        wanted = f"echo {END}"
        await self.until(lambda: any(one.text == wanted for one in self.driver.heard()), f"an answer to {END!r}")
        await self.idle()
        return [one.text for one in self.driver.heard() if one.text != wanted]

    async def idle(self) -> None:
        """Wait until nothing is under way; who was asked something may still answer."""
        async with asyncio.timeout(PATIENCE):
            await self.server.bot.idle()

    async def holds(self, number: int = 1) -> None:
        """Wait until so many turns are held."""
        await self.until(lambda: desk.Desk.held >= number, "a turn that holds")

    def release(self) -> None:
        """Let the turns that are held go on."""
        assert desk.Desk.open is not None
        desk.Desk.open.set()


@asynccontextmanager
async def bot(
    driver: Driver, options: Mapping[str, Any] | None = None, *, store: str | Store = "memory:", **settings: Any
) -> AsyncIterator[Talk]:
    """A bot on the driver's platform, which is up: `options` go to the channel's table, `settings` to the root."""
    table = {**driver.options(), **(options or {})}
    conf = {
        "extensions": [desk.__name__],
        "embedder": Letters(),
        "threshold": 1.0,
        "store": store if isinstance(store, str) else "memory:",
        "shutdown_timeout": 1.0,
        **settings,
        driver.channel: table,
    }
    made = config.from_dict(conf)
    opened: AbstractAsyncContextManager[Server] = serving(made) if isinstance(store, str) else Server(made, store)
    async with opened as server, driver.connected(server):
        yield Talk(driver, server)


@asynccontextmanager
async def talking(driver: Driver, options: Mapping[str, Any] | None = None, **settings: Any) -> AsyncIterator[Talk]:
    """The same, with the platform."""
    async with driver.platform(), bot(driver, options, **settings) as talk:
        yield talk
