"""`@proves(capability)`: a test of the suite, which for a channel that lacks it shows that it does."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import pytest

from zoozl.testing.conformance.capability import Capability
from zoozl.testing.conformance.driver import ANNA, ROOM, Driver, Outcome, Said
from zoozl.testing.conformance.flood import DEPTH, flood
from zoozl.testing.conformance.slow_store import MOMENT, SlowStore, acknowledged_early
from zoozl.testing.conformance.tale import end, write
from zoozl.testing.conformance.talk import Talk, talking

# Seconds for one test.
LONGEST = 60.0

# The first field of the form.
FIRST = "Your name"

T = TypeVar("T")
Refute = Callable[[Talk], Awaitable[str]]
"""Gives what shows that a channel has what it is said not to have; "" for nothing."""


def proves(
    capability: Capability, *needs: Capability
) -> Callable[[Callable[..., Awaitable[None]]], Callable[..., None]]:
    """Make a coroutine `test(self, driver, ...)` a test of `capability`; it runs in a loop of its own.

    Where the driver says that it is absent, the test fails if that is seen to be wrong, else it is skipped with the
    driver's reason. It is skipped, too, where one of `needs` is absent, which has tests of its own.
    """

    def decorate(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
        @functools.wraps(test)
        def run(self: object, driver: Driver, **fixtures: Any) -> None:
            if capability in driver.absent:
                seen = asyncio.run(_limited(_refuted(driver, capability)))
                assert not seen, f"{driver.title} is said not to have {capability.name}, but {seen}"
            reason = next((driver.absent[one] for one in (capability, *needs) if one in driver.absent), None)
            if reason is not None:
                pytest.skip(f"no: {reason}")
            asyncio.run(_limited(test(self, driver, **fixtures)))

        run.capability = capability  # type: ignore[attr-defined]
        return run

    return decorate


async def _limited(doing: Awaitable[T]) -> T:
    async with asyncio.timeout(LONGEST):
        return await doing


async def _refuted(driver: Driver, capability: Capability) -> str:
    refute = _REFUTATIONS.get(capability)
    if refute is None:
        return ""
    async with talking(driver, store=SlowStore(), lane_depth=DEPTH) as talk:
        return await refute(talk)


def _channel(talk: Talk) -> Any:
    return talk.server.channels[talk.driver.channel]


async def _knows_again(talk: Talk) -> str:
    said = await talk.say("17")
    await talk.deliver(said)
    return "a message that is delivered twice is answered once" if await talk.all() == ["echo 17"] else ""


async def _waits_for_the_store(talk: Talk) -> str:
    store = talk.server.bot.root.store
    assert isinstance(store, SlowStore)
    early = await acknowledged_early(talk, store, Said("17"))
    return "" if early else "it is not acknowledged before it is stored"


async def _shows_buttons(talk: Talk) -> str:
    await talk.say("order lunch")
    (asked,) = await talk.hears(1)
    return f"a question has the buttons {asked.choices}" if asked.choices else ""


async def _asks_by_form(talk: Talk) -> str:
    await talk.say("book a table")
    await talk.hears(1)
    await talk.idle()
    texts = [one.text for one in talk.driver.heard()]
    # What is asked in words are its fields.
    return "" if any(FIRST in text for text in texts) else f"a form is asked for as a whole, by {texts}"


async def _grows(talk: Talk) -> str:
    await talk.say("tell a tale")
    write()
    await asyncio.sleep(MOMENT)
    begun = [one.text for one in talk.driver.heard()]
    end()
    await talk.hears(1)
    return f"{begun} is shown of an answer before its end" if begun else ""


async def _types(talk: Talk) -> str:
    channel = _channel(talk)
    # A channel with `shows_to` does not show the same to everybody.
    return "it has a method typing()" if hasattr(channel, "typing") and not hasattr(channel, "shows_to") else ""


async def _splits(talk: Talk) -> str:
    await talk.say("code 20000")
    await talk.hears(1)
    number = len(await talk.all())
    return f"a long answer comes in {number} parts" if number > 1 else ""


async def _sends_files(talk: Talk) -> str:
    await talk.say("send")
    await talk.hears(1)
    await talk.all()
    return "a file arrives" if any(one.files for one in talk.driver.heard()) else ""


async def _refuses(talk: Talk) -> str:
    refused = (await flood(talk))[Outcome.AGAIN]
    talk.release()
    return f"{len(refused)} messages are refused" if refused else ""


async def _has_rooms(talk: Talk) -> str:
    options = talk.server.config.channels[talk.driver.channel]
    if getattr(options, "direct_scope", False):
        return ""
    return "its options have a scope for rooms" if hasattr(options, "scope") else ""


async def _has_threads(talk: Talk) -> str:
    place = "" if Capability.ROOMS in talk.driver.absent else ROOM
    await talk.deliver(Said("17", ANNA, place))
    (answer, *_) = await talk.hears(1)
    return "an answer is in a thread" if answer.thread else ""


_REFUTATIONS: dict[Capability, Refute] = {
    Capability.DUPLICATE: _knows_again,
    Capability.DURABLE: _waits_for_the_store,
    Capability.BUTTONS: _shows_buttons,
    Capability.FORMS: _asks_by_form,
    Capability.STREAM: _grows,
    Capability.TYPING: _types,
    Capability.SPLIT: _splits,
    Capability.FILES_OUT: _sends_files,
    Capability.REFUSE: _refuses,
    Capability.ROOMS: _has_rooms,
    Capability.THREADS: _has_threads,
}
