"""What people say: once, in order, whatever the platform repeats, cuts or has too much of."""

from __future__ import annotations

import asyncio
from pathlib import Path

from zoozl.chatbot import MessagePart
from zoozl.testing.conformance.capability import Capability
from zoozl.testing.conformance.desk import Desk, about
from zoozl.testing.conformance.driver import ANNA, BERT, ROOM, Driver, File, Outcome, Said
from zoozl.testing.conformance.flood import DEPTH, NUMBER, flood
from zoozl.testing.conformance.proof import proves
from zoozl.testing.conformance.slow_store import SlowStore, acknowledged_early
from zoozl.testing.conformance.talk import bot, talking

# The words a plugin's failure is apologised with are the bot's; only that they are some is looked at.
MANY = 20
# Bytes: the setting of a channel for a test, and files below and above it.
FILE_LIMIT, SMALL, LARGE = 20_000, 2_000, 30_000
# Seconds in which every platform wants its acknowledgement.
SOON = 2.5


class Inbound:
    """Tests of the suite."""

    @proves(Capability.ANSWER)
    async def test_a_message_is_answered_to_whom_it_is_from(self, driver: Driver) -> None:
        async with talking(driver) as talk:
            await talk.say("17", ANNA)
            await talk.say("18", BERT)
            heard = {one.talker: one.text for one in await talk.hears(2)}
            assert heard == {ANNA: "echo 17", BERT: "echo 18"}

    @proves(Capability.DUPLICATE)
    async def test_what_is_delivered_again_is_answered_once(self, driver: Driver) -> None:
        async with talking(driver) as talk:
            said = await talk.say("17")
            await asyncio.gather(*(talk.deliver(said) for _ in range(3)))
            await talk.hears(1)
            await talk.deliver(said)
            assert await talk.all() == ["echo 17"]

    @proves(Capability.DUPLICATE)
    async def test_what_is_delivered_again_after_a_restart_is_answered_once(
        self, driver: Driver, tmp_path: Path
    ) -> None:
        store = f"sqlite:///{tmp_path / 'zoozl.db'}"
        async with driver.platform():
            async with bot(driver, store=store) as talk:
                said = await talk.say("17")
                await talk.hears(1)
            async with bot(driver, store=store) as talk:
                assert await talk.deliver(said) is Outcome.TAKEN
                assert await talk.all() == ["echo 17"]

    @proves(Capability.DURABLE)
    async def test_what_is_not_stored_yet_is_not_acknowledged(self, driver: Driver) -> None:
        store, said = SlowStore(), Said("17")
        async with talking(driver, store=store) as talk:
            assert not await acknowledged_early(talk, store, said), "it is acknowledged while the disk is waited for"
            if Capability.DUPLICATE not in driver.absent:
                assert await talk.deliver(said) is Outcome.TAKEN
            assert await talk.all() == ["echo 17"]

    @proves(Capability.DURABLE)
    async def test_what_cannot_be_stored_is_refused_for_now_and_answered_when_it_comes_again(
        self, driver: Driver
    ) -> None:
        store, said = SlowStore(), Said("17")
        async with talking(driver, store=store) as talk:
            store.broken = True
            outcome = await talk.deliver(said)
            store.broken = False
            assert outcome is Outcome.AGAIN
            assert await talk.deliver(said) is Outcome.TAKEN
            assert await talk.all() == ["echo 17"]

    @proves(Capability.ORDER)
    async def test_answers_come_in_the_order_of_the_messages(self, driver: Driver) -> None:
        async with talking(driver) as talk:
            for number in range(MANY):
                await talk.say(str(number))
            assert await talk.all() == [f"echo {number}" for number in range(MANY)]

    @proves(Capability.SLOW)
    async def test_a_slow_plugin_holds_up_neither_the_acknowledgement_nor_others(self, driver: Driver) -> None:
        async with talking(driver) as talk:
            async with asyncio.timeout(SOON):
                await talk.say("hold 1", ANNA)
            await talk.holds()
            await talk.say("17", BERT)
            assert await talk.texts(1) == ["echo 17"]
            talk.release()
            assert await talk.texts(2) == ["echo 17", "held 1"]

    @proves(Capability.FAILURE)
    async def test_a_plugin_that_fails_is_apologised_for_and_the_next_message_is_answered(self, driver: Driver) -> None:
        async with talking(driver) as talk:
            failed = await talk.say("fail")
            (apology,) = await talk.texts(1)
            assert apology
            assert "on purpose" not in apology
            if Capability.DUPLICATE not in driver.absent:
                await talk.deliver(failed)
            await talk.say("17")
            assert await talk.all() == [apology, "echo 17"]

    @proves(Capability.RESTART)
    async def test_what_was_acknowledged_before_a_restart_is_answered_after_it(
        self, driver: Driver, tmp_path: Path
    ) -> None:
        store = f"sqlite:///{tmp_path / 'zoozl.db'}"
        async with driver.platform():
            async with bot(driver, store=store, shutdown_timeout=0.0) as talk:
                await talk.say("hold 1")
                await talk.say("17")
                await talk.holds()
            assert not driver.heard()
            async with bot(driver, store=store) as talk:
                await talk.holds()
                talk.release()
                assert await talk.all() == ["held 1", "echo 17"]

    @proves(Capability.RESTART)
    async def test_a_question_that_was_asked_before_a_restart_is_answered_after_it(
        self, driver: Driver, tmp_path: Path
    ) -> None:
        store = f"sqlite:///{tmp_path / 'zoozl.db'}"
        async with driver.platform():
            async with bot(driver, store=store) as talk:
                await talk.say("order lunch")
                (asked,) = await talk.hears(1)
            async with bot(driver, store=store) as talk:
                if Capability.BUTTONS in driver.absent:
                    await talk.say("Fish")
                else:
                    await driver.tap(asked, "Fish", ANNA)
                await talk.hears(2)
                await talk.say("3")
                assert await talk.all() == [asked.text, "How many shall I order?", "3 of Fish"]

    @proves(Capability.FULL)
    async def test_of_too_many_messages_at_once_none_is_lost_and_none_doubled(self, driver: Driver) -> None:
        async with talking(driver, lane_depth=DEPTH) as talk:
            found = await flood(talk)
            assert not found[Outcome.REFUSED]
            assert len(driver.heard()) == 0
            talk.release()
            await talk.hears(1)
            for said in found[Outcome.AGAIN]:
                # As a platform does: later, and again.
                await talk.until(lambda: not talk.server.bot.busy, "the end of what was taken")
                assert await talk.deliver(said) is Outcome.TAKEN
            await talk.hears(NUMBER)
            heard = await talk.all()
            assert sorted(heard) == [f"held {number}" for number in range(NUMBER)]
            assert Desk.held == NUMBER

    @proves(Capability.REFUSE)
    async def test_what_there_is_no_room_for_is_refused_for_now(self, driver: Driver) -> None:
        async with talking(driver, lane_depth=DEPTH) as talk:
            found = await flood(talk)
            assert found[Outcome.AGAIN]
            assert found[Outcome.TAKEN]
            # Somebody else's conversation has room.
            assert await talk.deliver(Said("17", BERT)) is Outcome.TAKEN
            assert await talk.texts(1) == ["echo 17"]
            talk.release()

    @proves(Capability.EDIT)
    async def test_an_edited_message_is_not_answered_again(self, driver: Driver) -> None:
        async with talking(driver) as talk:
            said = await talk.say("17")
            await talk.hears(1)
            await driver.edit(said, "18")
            assert await talk.all() == ["echo 17"]

    @proves(Capability.EDIT)
    async def test_an_edit_changes_no_answer_that_was_given(self, driver: Driver) -> None:
        async with talking(driver) as talk:
            await talk.say("order lunch")
            await talk.hears(1)
            dish = await talk.say("Soup")
            await talk.hears(2)
            await driver.edit(dish, "Fish")
            await talk.say("3")
            assert (await talk.all())[2:] == ["3 of Soup"]

    @proves(Capability.EDIT)
    async def test_a_message_that_is_edited_while_it_waits_is_answered_as_it_is_then(self, driver: Driver) -> None:
        async with talking(driver) as talk:
            await talk.say("hold 1")
            await talk.holds()
            said = await talk.say("17")
            await driver.edit(said, "18")
            talk.release()
            held, *others = await talk.all()
            assert held == "held 1"
            assert others == ["echo 18"]

    @proves(Capability.ROOMS)
    async def test_in_a_room_it_is_answered_who_means_the_bot(self, driver: Driver) -> None:
        async with talking(driver) as talk:
            await talk.say("nobody is asked", room=ROOM, mention=False)
            await talk.say("17", room=ROOM)
            await talk.hears(1)
            await talk.all()
            (answer,) = [one for one in driver.heard() if one.room]
            assert (answer.text, answer.room) == ("echo 17", ROOM)

    @proves(Capability.THREADS)
    async def test_an_answer_stays_in_the_thread_and_the_thread_needs_no_mention(self, driver: Driver) -> None:
        place = "" if Capability.ROOMS in driver.absent else ROOM
        async with talking(driver) as talk:
            first = await talk.say("17", room=place)
            await talk.hears(1)
            other = await talk.say("18", BERT if place else ANNA, room=place)
            await talk.hears(2)
            await talk.say("19", room=place, thread=first.number, mention=False)
            heard = await talk.hears(3)
            assert [one.text for one in heard] == ["echo 17", "echo 18", "echo 19"]
            assert [one.thread for one in heard] == [first.number, other.number, first.number]

    @proves(Capability.THREADS)
    async def test_two_threads_are_two_conversations(self, driver: Driver) -> None:
        place = "" if Capability.ROOMS in driver.absent else ROOM
        async with talking(driver, driver.threads) as talk:
            threads = [await talk.say("order lunch", room=place) for _ in range(2)]
            await talk.hears(2)
            for thread, dish in zip(threads, ("Soup", "Fish"), strict=True):
                await talk.say(dish, room=place, thread=thread.number, mention=False)
            await talk.hears(4)
            for thread, number in zip(threads, ("1", "2"), strict=True):
                await talk.say(number, room=place, thread=thread.number, mention=False)
            heard = {one.thread: one.text for one in (await talk.hears(6))[4:]}
            assert heard == {threads[0].number: "1 of Soup", threads[1].number: "2 of Fish"}

    @proves(Capability.FILES_IN)
    async def test_files_come_whole_and_their_names_lead_nowhere(self, driver: Driver) -> None:
        files = (
            File("all bytes.bin", bytes(range(256)) * 8),
            File("../../etc/naïve.txt", b"a text", "text/plain"),
        )
        async with talking(driver) as talk:
            await talk.say("see", files=files)
            (text,) = await talk.texts(1)
            whole = [about(MessagePart("", file.data, "", Path(file.name).name)) for file in files]
            assert text == f"see got {' and '.join(whole)}"

    @proves(Capability.FILES_IN)
    async def test_a_file_that_is_too_large_is_not_taken_and_somebody_is_told(self, driver: Driver) -> None:
        limit = driver.file_limit
        assert limit is not None, "file_limit says how much a file may have"
        async with talking(driver, {limit.option: FILE_LIMIT}) as talk:
            model = type(talk.server.config.channels[driver.channel])
            assert model.model_fields[limit.option].default == limit.amount
            large = Said("see", files=(File("large.bin", bytes(LARGE)),))
            outcome = await talk.deliver(large)
            if outcome is Outcome.TAKEN:
                await talk.until(lambda: any("large.bin" in one.text for one in driver.heard()), "a word on the file")
            await talk.say("see", files=(File("small.bin", bytes(SMALL)),))
            small = about(MessagePart("", bytes(SMALL), "", "small.bin"))
            await talk.until(lambda: any(one.text == f"see got {small}" for one in driver.heard()), "the small file")
            assert not any(f"large.bin {LARGE}" in text for text in await talk.all())
            assert outcome is not Outcome.AGAIN
