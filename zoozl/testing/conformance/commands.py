"""Slash commands of the platform's own: run once, by whom they are from, answered where they were given."""

from __future__ import annotations

import asyncio

from zoozl.testing.conformance.capability import Capability
from zoozl.testing.conformance.desk import Ordered
from zoozl.testing.conformance.driver import ANNA, BERT, BOSS, ROOM, Driver, Outcome, Said
from zoozl.testing.conformance.forms import BOOKED, FILLED, opened
from zoozl.testing.conformance.guards import OPEN
from zoozl.testing.conformance.outbound import DISHES
from zoozl.testing.conformance.proof import proves
from zoozl.testing.conformance.talk import talking

FISH = f"ordered: {Ordered(3, 'fish with chips', True)!r}"
CAKE = f"ordered: {Ordered(1, 'cake')!r}"
LATER = f"ordered: {Ordered(2, 'later')!r}"


class Commands:
    """Tests of the suite."""

    @proves(Capability.COMMANDS)
    async def test_a_command_runs_once_with_its_arguments(self, driver: Driver) -> None:
        async with talking(driver) as talk:
            said = Said('/order 3 "fish with chips" --hot')
            outcomes = await asyncio.gather(*(driver.command(said) for _ in range(3)))
            assert set(outcomes) == {Outcome.TAKEN}
            await talk.hears(1)
            assert await driver.command(said) is Outcome.TAKEN
            assert await talk.all() == [FISH]
            assert {one.talker for one in driver.heard()} == {ANNA}

    @proves(Capability.COMMANDS)
    async def test_a_command_that_is_written_wrong_is_told_how_it_is_written(self, driver: Driver) -> None:
        async with talking(driver) as talk:
            assert await driver.command(Said("/order many cake")) is Outcome.TAKEN
            (told,) = await talk.texts(1)
            assert "/order" in told
            assert "a whole number" in told
            assert await driver.command(Said("/order 1 cake")) is Outcome.TAKEN
            assert await talk.all() == [told, CAKE]

    @proves(Capability.COMMANDS, Capability.ROOMS)
    async def test_a_command_in_a_room_is_answered_there_to_whom_it_is_from(self, driver: Driver) -> None:
        async with talking(driver) as talk:
            await driver.command(Said("/order 2 later", ANNA, ROOM))
            await driver.command(Said("/order 1 cake", BERT, ROOM))
            await talk.hears(1)
            talk.release()
            heard = await talk.hears(2)
            assert {one.room for one in heard} == {ROOM}
            # Shown to its talker alone, or to all.
            places = {(one.text, one.talker) for one in heard}
            assert places in ({(CAKE, BERT), (LATER, ANNA)}, {(CAKE, ""), (LATER, "")})
            assert len(await talk.all()) == 2

    @proves(Capability.COMMANDS, Capability.BUTTONS)
    async def test_a_dialog_that_a_command_begins_goes_on_where_it_was_given(self, driver: Driver) -> None:
        place = "" if Capability.ROOMS in driver.absent else ROOM
        async with talking(driver) as talk:
            assert await driver.command(Said("/lunch", ANNA, place)) is Outcome.TAKEN
            (asked,) = await talk.hears(1)
            assert asked.choices == DISHES
            await driver.tap(asked, "Fish", ANNA)
            heard = await talk.hears(2)
            assert heard[1].text == "How many shall I order?"
            assert {(one.room, one.talker) for one in heard} == {(asked.room, asked.talker)}
            assert asked.room == place
            await driver.tap(asked, "Soup", ANNA)
            await talk.say("3")
            assert (await talk.all()).count("3 of Fish") == 1

    @proves(Capability.COMMANDS, Capability.FORMS)
    async def test_a_form_that_a_command_asks_for_is_answered_where_it_was_given(self, driver: Driver) -> None:
        place = "" if Capability.ROOMS in driver.absent else ROOM
        async with talking(driver) as talk:
            assert await driver.command(Said("/table", ANNA, place)) is Outcome.TAKEN
            (asked,) = await talk.hears(1)
            sheet = await opened(talk, asked)
            assert not await driver.fill_in(sheet, ANNA, FILLED)
            heard = await talk.hears(2)
            assert heard[1].text == BOOKED.format("Anna")
            assert (heard[1].room, heard[1].talker) == (asked.room, asked.talker)
            assert asked.room == place
            assert len(await talk.all()) == 2

    @proves(Capability.COMMANDS, Capability.FORGED)
    async def test_a_command_that_is_forged_is_refused(self, driver: Driver) -> None:
        async with talking(driver) as talk:
            outcomes = await driver.forge_command(Said("/safe", BOSS))
            assert set(outcomes) == {Outcome.REFUSED}
            assert not await talk.all(), "what is forged is answered"
            assert await driver.command(Said("/safe", BERT)) is Outcome.TAKEN
            await talk.hears(2)
            assert await driver.command(Said("/safe", BOSS)) is Outcome.TAKEN
            await talk.until(lambda: any(one.text == OPEN for one in driver.heard()), "what the boss asked for")
            assert [(one.text == OPEN, one.talker) for one in driver.heard()].count((True, BOSS)) == 1
            assert (await talk.all()).count(OPEN) == 1
