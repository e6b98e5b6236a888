"""Events that a crash has cut, or that are tried again, take their turn like all others."""

import asyncio
import gc
import tracemalloc
from dataclasses import replace

import pytest

from zoozl.chatbot import Address, Interface, Message, MessagePart
from zoozl.chatbot.message import Event, scope_key
from zoozl.chatbot.outbox import Outbox
from zoozl.chatbot.ports import Reply
from zoozl.stores.sqlite import Store
from zoozl.testing import Bot

TALKER = Address("test", talker="tester")
LANE = scope_key(TALKER)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "zoozl.db"


class Order(Interface):
    aliases = ("help",)

    async def consume(self, package):
        package.callback(f"one {await package.ask('What?')}")


@pytest.mark.parametrize("behind", [[], ["fish"]])
async def test_a_suspect_may_ask_and_its_answer_comes_after_it(path, behind):
    store = await Store.open(path)
    suspect = store.accept(Event(TALKER, Message("order")), LANE)
    await suspect.acknowledged()
    await store.begin(suspect)
    for text in behind:
        await store.accept(Event(TALKER, Message(text)), LANE).acknowledged()
    await store.close()
    async with Bot(Order, store=await Store.open(path), restarts=False) as bot:
        heard = await bot.replies()
        if not behind:
            heard += await bot.say("fish")
        assert heard == ["What?", "one fish"]


def held(policy):
    """A plugin that is busy until its `go` is set."""

    class Held(Interface):
        aliases = ("help",)
        busy = policy
        go, began, heard = asyncio.Event(), asyncio.Event(), []

        async def consume(self, package):
            self.heard.append(package.last_message_text)
            self.began.set()
            await self.go.wait()

    return Held


async def test_merged_messages_are_done_once_though_dead_letters_are_tried_again_meanwhile(path):
    plugin, store = held("merge"), await Store.open(path)
    async with Bot(plugin, store=store, restarts=False) as bot:
        for text in "abc":
            bot.chatbot.receive(Event(TALKER, Message(text)))
        await plugin.began.wait()
        assert plugin.heard == ["a b c"]
        await bot.chatbot.take_up()
        plugin.go.set()
        await bot.chatbot.idle()
        assert plugin.heard == ["a b c"]
        assert await store.unfinished() == []


async def test_a_rejected_message_is_done_once_though_dead_letters_are_tried_again_meanwhile(path):
    class Meanwhile(Store):
        """A message comes at the moment at which the others are about to be read."""

        comes = None

        async def unfinished(self):
            if self.comes is not None:
                self.comes()
            return await super().unfinished()

    plugin, store = held("reject"), await Meanwhile.open(path)
    async with Bot(plugin, store=store, restarts=False) as bot:
        bot.chatbot.receive(Event(TALKER, Message("one")))
        await plugin.began.wait()
        # With a key: whether it is a duplicate has to be known first.
        store.comes = lambda: bot.chatbot.receive(Event(TALKER, Message("two"), keys=("2",)))
        await bot.chatbot.take_up()
        plugin.go.set()
        assert await bot.replies() == ["Sorry, this is busy at the moment. Please try again later."]
        assert plugin.heard == ["one"]
        assert await store.unfinished() == []


class Holds(Interface):
    aliases = ("help",)
    go: asyncio.Event | None = None

    async def consume(self, package):
        if package.last_message_text == "hold":
            await Holds.go.wait()
        package.callback(f"{package.last_message_text} {len(package.get_attachments())}")


async def test_a_message_is_edited_until_its_turn_begins_and_by_nobody_else(path):
    Holds.go, other = asyncio.Event(), Address(TALKER.channel, talker="somebody else")
    file = MessagePart("", b"x", "text/plain", "a.txt")
    async with Bot(Holds, store=await Store.open(path), restarts=False) as bot:
        edit = bot.chatbot.edit
        first = bot.chatbot.receive(Event(TALKER, Message("hold", id="1")))
        await first.acknowledged()
        await bot.chatbot.receive(Event(TALKER, Message([MessagePart("two"), file], id="2"))).acknowledged()
        bot.chatbot.receive(Event(TALKER, Message("three", id="3")))
        assert not edit(TALKER, "1", "no"), "it is under way"
        assert not edit(other, "2", "no")
        assert not edit(TALKER, "", "no")
        assert edit(TALKER, "2", "2")
        assert edit(TALKER, "3", "3"), "also before it is on disk"
        Holds.go.set()
        assert await bot.replies() == ["hold 0", "2 1", "3 0"]
        assert not edit(TALKER, "3", "no"), "it is done"


async def test_an_edited_message_is_the_edited_one_after_a_crash(path):
    store = await Store.open(path)
    receipt = store.accept(Event(TALKER, Message("one", id="1")), LANE)
    await receipt.acknowledged()
    receipt.event = replace(receipt.event, message=Message("two", id="1"))
    await store.edit(receipt)
    await store.close()
    Holds.go = asyncio.Event()
    async with Bot(Holds, store=await Store.open(path), restarts=False) as bot:
        assert await bot.replies() == ["two 0"]


async def test_what_is_put_back_runs_even_if_others_of_its_lane_were_handed_over(path):
    store = await Store.open(path)
    async with Bot(Order, store=store, restarts=False) as bot:
        assert await bot.say("order") == ["What?"]
        await bot.chatbot.take_up()
        assert await bot.replies() == []
        assert await bot.say("fish") == ["one fish"]
        await bot.chatbot.take_up()
        assert await bot.replies() == []


async def test_a_client_that_does_not_acknowledge_costs_numbers_not_texts(path):
    class Silent:
        async def send(self, address, message, key):
            return False

    store = await Store.open(path, synchronous="NORMAL")
    outbox = Outbox(store)
    outbox.connect({"test": Silent()})
    gc.collect()
    tracemalloc.start()
    try:
        for n in range(1_000):
            number = store.next_number()
            reply = Reply(number, number, 0, LANE, TALKER, Message(f"{n:04}" * 2_500, from_bot=True))
            await store.record([reply], [reply.message])
            assert outbox.reserve(LANE, [reply])
            await outbox.deliver(LANE, [reply])
        del reply
        gc.collect()
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    waiting = await store.undelivered()
    assert len(waiting) == len(outbox.ids()) == 1_000
    assert held < 2e6, held
    outbox.confirm(LANE, waiting[499].id)
    assert [reply.id for reply in await store.undelivered()] == [reply.id for reply in waiting[500:]]
    await store.close()


async def test_what_waits_for_talkers_who_are_away_is_not_even_read_at_the_start(path):
    class Resumes(Bot):
        resumes = True

    store = await Store.open(path)
    number = store.next_number()
    await store.record([Reply(number, number, 0, LANE, TALKER, Message("for you", from_bot=True))], [])
    async with Resumes(Order, store=store, restarts=False) as bot:
        assert await bot.replies() == []
        await bot.chatbot.resume(TALKER)
        assert await bot.replies() == ["for you"]


class Both(Interface):
    aliases = ("help",)

    async def consume(self, context, package):
        package.callback("answer")
        context.tell(package.address, "told")


@pytest.mark.parametrize("kept", [True, False])
async def test_what_is_told_while_an_answer_is_written_to_disk_does_not_overtake_it(path, kept):
    # A client that acknowledges by number would take the answer for one that it has had.
    store = await Store.open(path) if kept else None
    async with Bot(Both, store=store, restarts=False) as bot:
        for text in "abc":
            assert await bot.say(text) == ["answer", "told"]
