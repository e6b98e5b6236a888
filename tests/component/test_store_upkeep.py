"""What commands on the store find when something else has happened to it before."""

import asyncio

import pytest

from zoozl.chatbot import Address, Message
from zoozl.chatbot.message import Event, scope_key
from zoozl.chatbot.ports import Outcome, State
from zoozl.stores.sqlite import Store, commands
from zoozl.stores.sqlite.history import drop
from zoozl.stores.sqlite.reading import backup, reading


@pytest.fixture
async def store(tmp_path):
    store = await Store.open(tmp_path / "zoozl.db")
    yield store
    await store.close()


async def said(store, talker):
    address = Address("c", talker=talker)
    receipt = store.accept(Event(address, Message(f"{talker} speaks")), scope_key(address))
    await store.commit(Outcome(receipt, State("u", talker), [receipt.event.message], []))
    return receipt.lane


async def texts(store):
    return await store.run(lambda db: [text for (text,) in db.execute("SELECT text FROM message")])


def nobody_watches(done, total):
    pass


async def test_forgetting_after_a_crash_has_cut_an_earlier_one(store):
    await said(store, "anna")
    leftover = "INSERT INTO value VALUES (?, '000000000', zeroblob(9))"
    await store.run(lambda db: db.execute(leftover, (commands.SCRUB,)))
    assert (await commands.forget(store, "anna", None, nobody_watches))["counts"]["message"] == 1
    assert await store.run(lambda db: db.execute("SELECT count(*) FROM value").fetchone()) == (0,)


async def test_forgetting_somebody_whose_conversation_ages_out_meanwhile(store):
    lane = await said(store, "anna")
    await said(store, "bert")

    class Aging:
        """Right after the messages were looked for, the sweep comes."""

        apart, forget_kept = store.apart, store.forget_kept
        swept = False

        async def run(self, function):
            found = await store.run(function)
            if isinstance(found, list) and found and not self.swept:
                self.swept = True
                await store.run(lambda db: drop(db, lane))
            return found

    await commands.forget(Aging(), "anna", None, nobody_watches)
    assert await texts(store) == ["bert speaks"]


async def test_messages_that_have_lost_their_conversation_are_forgotten_too(store):
    lane = await said(store, "anna")
    await store.run(lambda db: db.execute("DELETE FROM conversation WHERE lane = ?", (lane,)))
    await commands.forget(store, "anna", None, nobody_watches)
    assert await texts(store) == []


async def test_a_copy_gives_no_number_that_the_original_may_have_given_since(store, tmp_path):
    await said(store, "anna")

    def copying():
        with reading(store.path) as db:
            backup(db, tmp_path / "copy.db", nobody_watches)

    await asyncio.to_thread(copying)
    # What talkers have seen since the backup, whatever has become of the original.
    later = max(store.next_number() for _ in range(300_000))
    copy = await Store.open(tmp_path / "copy.db")
    first = copy.next_number()
    await copy.close()
    assert first > later
    assert first < 1 << 53, "clients count in JavaScript"
