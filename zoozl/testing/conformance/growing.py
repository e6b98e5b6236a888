"""Answers that grow: shown on the way where the platform can, and whole and once at the end, whatever breaks."""

from __future__ import annotations

import asyncio
from pathlib import Path

from zoozl.testing.conformance.capability import Capability
from zoozl.testing.conformance.driver import ROOM, Driver
from zoozl.testing.conformance.proof import proves
from zoozl.testing.conformance.tale import MOST, PAGE, end, whole, write, write_until
from zoozl.testing.conformance.talk import Talk, bot, talking

# Times that it must be seen to grow, and seconds between pages that are shown each by itself.
CHANGES, APART = 2, 0.3


def shown(talk: Talk) -> str:
    """What there is of the answer."""
    heard = talk.driver.heard()
    assert len(heard) <= 1, f"it does not grow at its place: {[one.text for one in heard]}"
    return heard[0].text.strip() if heard else ""


async def grows(talk: Talk, place: str) -> None:
    """Tell a tale that is seen to grow at its place."""
    said = await talk.say("tell a tale", room=place)
    pages = 0
    for _ in range(CHANGES + 1):
        before = shown(talk)
        pages += await write_until(talk, lambda: len(shown(talk)) > len(before), "more of it")  # noqa: B023
        assert whole(pages).startswith(shown(talk))
    end()
    await talk.until(lambda: shown(talk) == whole(pages), "the end")
    assert await talk.all() == [whole(pages)]
    heard = talk.driver.heard()[0]
    assert heard.room == place
    if place and Capability.THREADS not in talk.driver.absent:
        assert heard.thread == said.number


async def breaks(talk: Talk, place: str, *, at_end: bool) -> None:
    """Tell a tale whose showing breaks in the middle."""
    await talk.say("tell a tale", room=place)
    pages = await write_until(talk, talk.driver.heard, "the beginning")
    met = talk.driver.fail_growth()
    if not at_end:
        pages += await write_until(talk, met, "the fault")
    end()
    await talk.until(met, "the fault")
    assert await talk.all() == [whole(pages)]


class Growing:
    """Tests of the suite."""

    @proves(Capability.ANSWER)
    async def test_an_answer_that_is_written_piece_by_piece_is_one_in_the_end(self, driver: Driver) -> None:
        async with talking(driver) as talk:
            await talk.say("tell a tale")
            for _ in range(3):
                write()
                await asyncio.sleep(APART)
            end()
            assert await talk.all() == [whole(3)]

    @proves(Capability.STREAM)
    async def test_an_answer_grows_at_its_place_and_ends_as_one(self, driver: Driver) -> None:
        async with talking(driver) as talk:
            await grows(talk, "")

    @proves(Capability.STREAM, Capability.ROOMS)
    async def test_an_answer_grows_in_a_room_where_it_was_asked_for(self, driver: Driver) -> None:
        async with talking(driver) as talk:
            await grows(talk, ROOM)

    @proves(Capability.STREAM)
    async def test_an_answer_that_cannot_grow_on_arrives_whole_and_once(self, driver: Driver) -> None:
        async with talking(driver) as talk:
            await breaks(talk, "", at_end=False)

    @proves(Capability.STREAM)
    async def test_an_answer_whose_end_meets_a_fault_arrives_whole_and_once(self, driver: Driver) -> None:
        async with talking(driver) as talk:
            await breaks(talk, "", at_end=True)

    @proves(Capability.STREAM, Capability.ROOMS)
    async def test_an_answer_that_cannot_grow_on_in_a_room_arrives_whole_and_once(self, driver: Driver) -> None:
        async with talking(driver) as talk:
            await breaks(talk, ROOM, at_end=False)

    @proves(Capability.STREAM, Capability.ROOMS)
    async def test_an_answer_whose_end_meets_a_fault_in_a_room_arrives_whole_and_once(self, driver: Driver) -> None:
        async with talking(driver) as talk:
            await breaks(talk, ROOM, at_end=True)

    @proves(Capability.STREAM, Capability.RESTART)
    async def test_an_answer_that_a_restart_cuts_off_arrives_whole_and_once(
        self, driver: Driver, tmp_path: Path
    ) -> None:
        store = f"sqlite:///{tmp_path / 'zoozl.db'}"
        async with driver.platform():
            async with bot(driver, store=store, shutdown_timeout=0.0) as talk:
                await talk.say("tell a tale")
                await write_until(talk, driver.heard, "the beginning")
            async with bot(driver, store=store) as talk:
                write()
                end()
                texts = await talk.all()
                assert texts.count(whole(1)) == 1
                # What was shown before may stand there still.
                torsos = [text.strip() for text in texts if text != whole(1)]
                assert len(torsos) <= 1
                assert all((PAGE * MOST).startswith(torso) for torso in torsos)
