"""Growing old: what has reached its age goes, and nothing that is still wanted."""

import time

import pytest

from zoozl.chatbot import Address, Message
from zoozl.chatbot.message import Event, scope_key
from zoozl.chatbot.ports import Dialog, Entry, Outcome, Reply, State, Step
from zoozl.stores.sqlite import Store
from zoozl.stores.sqlite.sweep import ROWS, Ages, Sweep

HOUR = 3600.0
DAY = 24 * HOUR
NOW = 1_800_000_000.0
AGES = Ages(conversation=90 * DAY, outbox=7 * DAY, dead=30 * DAY, dedup={"default": 48 * HOUR, "mail": 7 * DAY})


@pytest.fixture
async def store(tmp_path):
    store = await Store.open(tmp_path / "zoozl.db", synchronous="NORMAL")
    yield store
    await store.close()


def sweep(store, ages=AGES, now=NOW):
    return Sweep(store, ages, lambda: now).once()


async def said(store, talker, at, messages=2, channel="c"):
    """A conversation of so many messages, the last of them at `at`."""
    address = Address(channel, talker=talker)
    lane = scope_key(address)
    receipt = store.accept(Event(address, Message("m")), lane)
    lines = [Message(f"{talker} {n}", sent=at) for n in range(messages)]
    await store.commit(Outcome(receipt, State("u", talker, "s"), lines, []))
    await store.run(lambda db: db.execute("UPDATE conversation SET at = ? WHERE lane = ?", (at, lane)))
    return lane


async def rows(store, table, column="lane"):
    return await store.run(lambda db: [r[0] for r in db.execute(f"SELECT {column} FROM {table} ORDER BY 1")])


async def spoken(store):
    """The lanes of all messages; None of one that has no conversation."""
    sql = "SELECT lane FROM message LEFT JOIN conversation c ON c.id = conversation ORDER BY 1"
    return await store.run(lambda db: [lane for (lane,) in db.execute(sql)])


async def waiting(store, talker, at, last=0):
    """A reply nobody has fetched since `at`, in a conversation that was used last at `last`."""
    address = Address("c", talker=talker)
    number = store.next_number()
    reply = Reply(number, number, 0, scope_key(address), address, Message("for you", from_bot=True))
    await store.record([reply], [])
    await store.run(lambda db: db.execute("UPDATE outbox SET at = ? WHERE id = ?", (at, number)))
    await store.run(lambda db: db.execute("UPDATE conversation SET at = ? WHERE lane = ?", (last, reply.lane)))
    return reply


async def test_conversations_go_with_their_messages_at_their_age(store):
    old = await said(store, "old", NOW - 90 * DAY - 1)
    young = await said(store, "young", NOW - 90 * DAY + 1)
    assert (await store.load(old))[0].subject == "s"
    counts = await sweep(store)
    assert (counts["conversation"], counts["message"]) == (1, 2)
    assert await rows(store, "conversation") == [young]
    assert set(await spoken(store)) == {young}
    assert await store.load(old) == (None, [], ()), "nor is it kept in memory"


async def test_without_an_age_nothing_goes(store):
    await said(store, "old", 0)
    await waiting(store, "old", 0)
    assert not any((await sweep(store, Ages())).values())


async def test_an_event_that_is_not_done_keeps_its_conversation(store):
    lane = await said(store, "t", 0)
    receipt = store.accept(Event(Address("c", talker="t"), Message("again"), ("k",)), lane)
    await receipt.acknowledged()
    await store.run(lambda db: db.execute("UPDATE inbox SET at = 0"))
    await sweep(store)
    assert [r.seq for r in await store.unfinished()] == [receipt.seq]
    assert await rows(store, "conversation") == [lane]
    await store.commit(Outcome(receipt, None, [], []))
    await store.run(lambda db: db.execute("UPDATE conversation SET at = 0"))
    await sweep(store)
    assert await rows(store, "conversation") == []


async def test_a_reply_that_waits_keeps_its_conversation_until_it_is_given_up(store):
    lane = await said(store, "t", 0)
    await waiting(store, "t", NOW - 7 * DAY + 1, last=0)
    await sweep(store)
    assert await rows(store, "conversation") == [lane]
    assert len(await store.undelivered()) == 1
    counts = await sweep(store, now=NOW + 2)
    assert (counts["outbox"], counts["conversation"]) == (1, 1)
    assert await store.undelivered() == []
    assert await rows(store, "dead", "kind || ': ' || error || ' ' || talker") == [
        "reply: the talker did not come back in time t"
    ]


async def test_a_dialog_keeps_its_conversation_until_it_ends(store):
    lane = await said(store, "t", 0)
    dialog = Dialog(7, lane, "p:P", "/p", Address("c", talker="t"), "{}", deadline=NOW + DAY, entries=1)
    await store.note(Step(dialog, (Entry(1, "sleep", NOW + DAY),)))
    await sweep(store)
    assert await rows(store, "conversation") == [lane]
    assert [d.id for d in (await store.load(lane)).dialogs] == [7]
    await store.note(Step(dialog, ended=True))
    await sweep(store)
    assert await rows(store, "conversation") == []


async def test_a_reply_of_a_living_conversation_is_never_given_up(store):
    await said(store, "t", NOW - DAY)
    reply = await waiting(store, "t", NOW - 100 * DAY, last=NOW - DAY)
    await sweep(store)
    assert [r.id for r in await store.undelivered()] == [reply.id]


async def test_dead_letters_and_keys_go_at_their_age_by_channel(store):
    def fill(db):
        for at in (NOW - 30 * DAY - 1, NOW - 30 * DAY + 1):
            db.execute("INSERT INTO dead VALUES (NULL, 'event', 1, 0, 'l', 't', '[]', '{}', 'e', ?, 0)", (at,))
        for channel in ("chat", "mail"):
            for hours in (47, 49, 7 * 24 - 1, 7 * 24 + 1):
                db.execute("INSERT INTO dedup VALUES (?, ?, ?)", (channel, str(hours), NOW - hours * HOUR))

    await store.run(fill)
    counts = await sweep(store)
    assert (counts["dead"], counts["dedup"]) == (1, 4)
    assert await rows(store, "dedup", "channel || key") == ["chat47", "mail167", "mail47", "mail49"]


async def test_what_was_told_to_somebody_who_never_spoke_ages_too(store):
    lanes = []
    for talker, at in (("told", 0), ("fresh", NOW)):
        address, number = Address("c", talker=talker), store.next_number()
        hello = Message("hello", from_bot=True)
        lanes.append(scope_key(address))
        await store.record([Reply(number, number, 0, lanes[-1], address, hello)], [hello])
        await store.run(bound("UPDATE conversation SET at = ? WHERE lane = ?", at, lanes[-1]))
    await store.run(lambda db: db.execute("DELETE FROM outbox"))
    counts = await sweep(store)
    assert (counts["conversation"], counts["message"]) == (1, 1)
    assert await spoken(store) == lanes[1:]


def bound(sql, *values):
    return lambda db: db.execute(sql, values)


async def test_telling_somebody_keeps_the_conversation_young(store):
    lane = await said(store, "t", 0)
    address, number = Address("c", talker="t"), store.next_number()
    await store.record([Reply(number, number, 0, lane, address, Message("news", from_bot=True), kept=False)], [])
    await sweep(store, now=time.time())
    assert await rows(store, "conversation") == [lane]


async def test_a_transaction_deletes_only_so_many_rows(store, monkeypatch):
    for n in range(5):
        await said(store, f"few {n}", n, 3)
    await said(store, "many", 0, 2 * ROWS + 500)
    changes = []
    run = store.run

    async def counted(function):
        def counting(db):
            before = db.total_changes
            result = function(db)
            changes.append(db.total_changes - before)
            return result

        return await run(counting)

    monkeypatch.setattr(store, "run", counted)
    counts = await sweep(store)
    assert counts["message"] == 2 * ROWS + 515
    assert counts["conversation"] == 6
    # And what is noted about the conversations themselves.
    assert max(changes) <= ROWS + 12
    assert await spoken(store) == []


async def test_the_file_levels_off(store):
    sizes = []
    for day in range(12):
        now = NOW + day * DAY
        await said(store, f"t{day}", now, 1500)
        await sweep(store, Ages(conversation=2.5 * DAY), now)
        sizes.append(await store.run(lambda db: db.execute("PRAGMA page_count").fetchone()[0]))
    assert sizes[-1] <= sizes[5] * 1.05, sizes
    assert len(await rows(store, "conversation")) == 3


async def test_what_is_done_meanwhile_is_not_held_up(store):
    """Writes come between the transactions of a sweep."""
    import asyncio

    await said(store, "many", 0, 10 * ROWS)
    sweeping = asyncio.ensure_future(sweep(store))
    await said(store, "t", NOW)
    assert not sweeping.done()
    await sweeping
    assert await rows(store, "conversation") == [scope_key(Address("c", talker="t"))]
