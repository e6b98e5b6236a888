"""What the bot says: whole, in order, once, as fast as the platform takes it, with buttons where there are any."""

from __future__ import annotations

import asyncio
import re

from zoozl.testing.conformance.capability import Capability, Limit
from zoozl.testing.conformance.desk import LINE, PDF, letters
from zoozl.testing.conformance.driver import ANNA, ROOM, Driver
from zoozl.testing.conformance.proof import proves
from zoozl.testing.conformance.talk import Talk, talking

# Seconds that the platform asks the bot to wait.
WAIT = 1
# Parts that a long answer is to have.
PARTS = 3
FENCE = re.compile(r"^```", re.MULTILINE)
DISHES = ("Soup", "Fish", "Cake")


def lines_for(limit: Limit) -> int:
    """How many lines of code make so many parts."""
    return int((PARTS - 0.5) * limit.amount / (len(LINE) + 4))


def check_parts(parts: list[str], limit: Limit) -> None:
    """Nothing is missing, nothing twice, all in order. Raises AssertionError."""
    assert len(parts) in (PARTS, PARTS + 1)
    assert all(limit.size(part) <= limit.amount for part in parts)
    assert all(len(FENCE.findall(part)) % 2 == 0 for part in parts)
    assert re.findall(r"line \d+", " ".join(parts)) == [f"line {number}" for number in range(lines_for(limit))]
    assert parts[0].startswith("Look at this.")
    assert parts[-1].endswith("That is all.")


async def stopped(talk: Talk) -> None:
    """Have a long answer said whose second part meets what was arranged, and something said meanwhile."""
    limit = talk.driver.text_limit
    assert limit is not None
    await talk.say(f"code {lines_for(limit)}")
    await talk.hears(1)
    await talk.say("17")
    *parts, last = await talk.all()
    assert last == "echo 17", "nothing overtakes"
    check_parts(parts, limit)


class Outbound:
    """Tests of the suite."""

    @proves(Capability.FILES_OUT)
    async def test_a_file_goes_out_whole_with_its_words(self, driver: Driver) -> None:
        async with talking(driver) as talk:
            await talk.say("send")
            await talk.until(lambda: any(one.files for one in driver.heard()), "a file")
            texts = [text for text in await talk.all() if text]
            assert texts == ["Here it is."]
            (file,) = [file for one in driver.heard() for file in one.files]
            assert (file.name, file.data) == ("plan.pdf", PDF)

    @proves(Capability.SPLIT)
    async def test_an_answer_is_split_only_where_it_must_be(self, driver: Driver) -> None:
        limit = driver.text_limit
        assert limit is not None, "text_limit says how long a message may be"
        async with talking(driver) as talk:
            await talk.say(f"letters {limit.amount}")
            assert await talk.texts(1) == [letters(limit.amount)]
            await talk.say(f"letters {limit.amount + 1}")
            _, *parts = await talk.texts(3)
            assert len(await talk.all()) == 3
            assert " ".join(parts).split() == letters(limit.amount + 1).split()

    @proves(Capability.SPLIT)
    async def test_a_long_answer_comes_in_order_with_code_blocks_whole_in_each_part(self, driver: Driver) -> None:
        limit = driver.text_limit
        assert limit is not None
        async with talking(driver) as talk:
            await talk.say(f"code {lines_for(limit)}")
            await talk.hears(1)
            check_parts(await talk.all(), limit)

    @proves(Capability.MIDDLE, Capability.PACE)
    async def test_who_is_asked_to_slow_down_in_the_middle_of_an_answer_goes_on_there(self, driver: Driver) -> None:
        async with talking(driver) as talk:
            begin = asyncio.get_running_loop().time()
            driver.slow_down(WAIT, after=1)
            await stopped(talk)
            waited = asyncio.get_running_loop().time() - begin
            assert WAIT * 0.95 <= waited < WAIT * 4

    @proves(Capability.MIDDLE, Capability.RETRY)
    async def test_an_answer_that_meets_a_fault_in_the_middle_goes_on_there(self, driver: Driver) -> None:
        async with talking(driver) as talk:
            driver.fail_once(after=1)
            await stopped(talk)

    @proves(Capability.MIDDLE, Capability.RETRY)
    async def test_an_answer_whose_connection_breaks_in_the_middle_goes_on_there(self, driver: Driver) -> None:
        async with talking(driver) as talk:
            driver.fail_once(after=1, broken=True)
            await stopped(talk)

    @proves(Capability.MIDDLE, Capability.ONCE)
    async def test_a_part_whose_receipt_was_lost_is_shown_once(self, driver: Driver) -> None:
        async with talking(driver) as talk:
            driver.lose_receipt(after=1)
            await stopped(talk)

    @proves(Capability.PACE)
    async def test_who_is_asked_to_slow_down_waits_and_keeps_the_order(self, driver: Driver) -> None:
        async with talking(driver) as talk:
            begin = asyncio.get_running_loop().time()
            driver.slow_down(WAIT)
            await talk.say("1")
            await talk.say("2")
            assert await talk.texts(2) == ["echo 1", "echo 2"]
            waited = asyncio.get_running_loop().time() - begin
            assert waited >= WAIT * 0.95
            assert waited < WAIT * 3
            assert await talk.all() == ["echo 1", "echo 2"]

    @proves(Capability.RETRY)
    async def test_a_fault_that_passes_delays_the_answer_and_doubles_nothing(self, driver: Driver) -> None:
        async with talking(driver) as talk:
            driver.fail_once()
            await talk.say("1")
            await talk.say("2")
            assert await talk.texts(2) == ["echo 1", "echo 2"]
            assert await talk.all() == ["echo 1", "echo 2"]

    @proves(Capability.RETRY)
    async def test_an_answer_whose_connection_breaks_comes_later_and_once(self, driver: Driver) -> None:
        async with talking(driver) as talk:
            driver.fail_once(broken=True)
            await talk.say("1")
            await talk.say("2")
            assert await talk.texts(2) == ["echo 1", "echo 2"]
            assert await talk.all() == ["echo 1", "echo 2"]

    @proves(Capability.ONCE)
    async def test_an_answer_whose_receipt_was_lost_is_shown_once(self, driver: Driver) -> None:
        async with talking(driver) as talk:
            driver.lose_receipt()
            await talk.say("1")
            await talk.hears(1)
            await talk.say("2")
            await talk.hears(2)
            assert await talk.all() == ["echo 1", "echo 2"]

    @proves(Capability.WORDS)
    async def test_choices_are_answered_by_number_and_by_name(self, driver: Driver) -> None:
        async with talking(driver) as talk:
            heard = 0
            for answer, number in (("2", "3"), ("fish", "4")):
                await talk.say("order lunch")
                asked = (await talk.hears(heard + 1))[heard]
                assert "Which dish will it be?" in asked.text
                shown = asked.choices or tuple(re.findall(r"^\d\. (\w+)", asked.text, re.MULTILINE))
                assert shown == DISHES
                await talk.say(answer)
                await talk.hears(heard + 2)
                await talk.say(number)
                assert (await talk.texts(heard + 3))[heard + 1 :] == ["How many shall I order?", f"{number} of Fish"]
                heard += 3

    @proves(Capability.BUTTONS)
    async def test_a_tap_answers_and_a_second_one_changes_nothing(self, driver: Driver) -> None:
        async with talking(driver) as talk:
            await talk.say("order lunch")
            (asked,) = await talk.hears(1)
            assert asked.choices == DISHES
            assert not re.search(r"^1\. ", asked.text, re.MULTILINE), "the list is shown beside the buttons"
            await driver.tap(asked, "Fish", ANNA)
            assert (await talk.texts(2))[1] == "How many shall I order?"
            await driver.tap(asked, "Cake", ANNA)
            await driver.tap(asked, "Fish", ANNA)
            await talk.say("3")
            texts = await talk.all()
            assert texts.count("3 of Fish") == 1
            assert not any("Cake" in text and text != asked.text for text in texts)

    @proves(Capability.BUTTONS, Capability.ROOMS)
    async def test_a_tap_in_a_room_is_answered_where_the_button_is(self, driver: Driver) -> None:
        async with talking(driver) as talk:
            said = await talk.say("order lunch", room=ROOM)
            (asked,) = await talk.hears(1)
            await driver.tap(asked, "Fish", ANNA)
            await talk.hears(2)
            await talk.say("3", room=ROOM, thread=said.number)
            heard = await talk.hears(3)
            assert heard[2].text == "3 of Fish"
            assert {(one.room, one.thread) for one in heard} == {(asked.room, asked.thread)}
            assert asked.room == ROOM

    @proves(Capability.TYPING)
    async def test_who_waits_sees_that_the_bot_is_at_work(self, driver: Driver) -> None:
        place = "" if Capability.ROOMS in driver.absent else ROOM
        async with talking(driver) as talk:
            await talk.say("hold 1", room=place)
            await talk.until(driver.typed, "a sign of work")
            assert not driver.heard()
            talk.release()
            assert await talk.texts(1) == ["held 1"]
