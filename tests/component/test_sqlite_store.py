"""What the embedded store promises beyond the contract that all stores share."""

import asyncio
import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest

from zoozl.chatbot import Address, Message, MessagePart
from zoozl.chatbot.message import Event, scope_key
from zoozl.chatbot.ports import Dialog, Entry, Outcome, Reply, State, Step
from zoozl.chatbot.question import Question
from zoozl.errors import StoreError
from zoozl.stores.sqlite import Store, dialogs
from zoozl.stores.sqlite.file import open_readonly, refuse_network
from zoozl.stores.sqlite.reading import check

LANE = scope_key(Address("c", talker="t"))


def event(text="hi", *keys, talker="t"):
    return Event(Address("c", talker=talker), Message(text), keys)


def outcome(receipt, *texts, subject="s", first=0, store=None):
    messages = [Message(text, from_bot=True) for text in texts]
    replies = [
        Reply(store.next_number(), receipt.seq, first + n, receipt.lane, receipt.event.address, message)
        for n, message in enumerate(messages)
    ]
    return Outcome(receipt, State("u", "t", subject), [receipt.event.message, *messages], replies)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "zoozl.db"


async def test_what_was_accepted_is_there_after_a_restart(path):
    store = await Store.open(path)
    receipts = [store.accept(event(str(n), f"key {n}"), LANE) for n in range(3)]
    assert [await receipt.acknowledged() for receipt in receipts] == [True] * 3
    await store.commit(outcome(receipts[0], "answer", store=store))
    await store.close()
    again = await Store.open(path)
    assert [r.event.message.text for r in await again.unfinished()] == ["1", "2"]
    assert [(r.seq, r.n, r.message.text) for r in await again.undelivered()] == [(receipts[0].seq, 0, "answer")]
    state, messages, _ = await again.load(LANE)
    assert (state.subject, [m.text for m in messages]) == ("s", ["0", "answer"])
    duplicate = again.accept(event("1", "key 1"), LANE)
    assert not await duplicate.acknowledged()
    assert again.next_number() > receipts[-1].seq
    await again.close()


async def test_a_turn_that_ends_at_once_never_gets_a_row_in_the_inbox(path):
    store = await Store.open(path)
    receipt = store.accept(event(), LANE)
    done = store.commit(outcome(receipt, "answer", store=store))
    seen = await store.run(lambda db: db.execute("SELECT count(*) FROM inbox").fetchone()[0])
    await done
    assert seen == 0
    assert await receipt.acknowledged()
    await store.close()


async def test_files_survive(path):
    store = await Store.open(path)
    message = Message([MessagePart("see"), MessagePart("", b"\x00\xff", "image/png", "a.png")], "anna", id="17")
    receipt = store.accept(Event(Address("c", "acc", "room", "thread", "t"), message), LANE)
    await receipt.acknowledged()
    assert (await store.unfinished())[0].event == Event(Address("c", "acc", "room", "thread", "t"), message)
    await store.commit(outcome(receipt, store=store))
    await store.close()
    again = await Store.open(path)
    assert (await again.load(LANE))[1] == [message]
    await again.close()


async def test_a_second_server_is_refused(path):
    store = await Store.open(path)
    with pytest.raises(StoreError, match="another server is using this store"):
        await Store.open(path)
    await store.close()
    await (await Store.open(path)).close()


async def test_a_foreign_database_is_refused_and_left_alone(path):
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE theirs (x)")
    with pytest.raises(StoreError, match="another program's database"):
        await Store.open(path)
    assert sqlite3.connect(path).execute("SELECT name FROM sqlite_master").fetchall() == [("theirs",)]


async def test_what_is_no_database_is_refused(path):
    path.write_bytes(b"hello world, " * 1000)
    with pytest.raises(StoreError, match="not a database"):
        await Store.open(path)


async def test_a_newer_schema_is_refused(path):
    await (await Store.open(path)).close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(StoreError, match="newer zoozl"):
        await Store.open(path)


async def test_of_two_that_start_at_once_one_migrates_and_the_other_is_refused(path):
    results = await asyncio.gather(*(Store.open(path) for _ in range(8)), return_exceptions=True)
    stores = [result for result in results if isinstance(result, Store)]
    assert len(stores) == 1
    assert all("another server" in str(result) for result in results if result not in stores)
    await stores[0].accept(event(), LANE).acknowledged()
    await stores[0].close()


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "fuse.sshfs"])
def test_network_file_systems_are_refused(tmp_path, kind):
    mounts = f"/dev/sda1 / ext4 rw 0 0\nserver:/x {tmp_path} {kind} rw 0 0\n"
    with pytest.raises(StoreError, match="network file system"):
        refuse_network(tmp_path / "zoozl.db", mounts)
    refuse_network(tmp_path / "zoozl.db", f"/dev/sda1 {tmp_path} ext4 rw 0 0\nserver:/x {tmp_path}/other nfs rw 0 0\n")


async def test_a_read_only_folder_is_a_clear_error(tmp_path):
    with pytest.raises(StoreError, match="cannot be opened"):
        await Store.open(tmp_path / "nothing" / "zoozl.db")


async def test_a_full_disk_fails_loudly_and_recovers(path, caplog):
    store = await Store.open(path)
    pages = await store.run(lambda db: db.execute("PRAGMA page_count").fetchone()[0])
    await store.run(lambda db: db.execute(f"PRAGMA max_page_count = {pages}").fetchall())
    large = event("x" * 100_000, "key")
    receipt = store.accept(large, LANE)
    with pytest.raises(StoreError, match="full"):
        await receipt.acknowledged()
    assert receipt.failed
    with pytest.raises(StoreError):
        await store.commit(outcome(receipt, "answer", store=store))
    assert await store.undelivered() == [], "what was not accepted leaves no trace"
    await store.run(lambda db: db.execute("PRAGMA max_page_count = 1000000").fetchall())
    assert await store.accept(large, LANE).acknowledged(), "and the sender may try again"
    await store.close()


async def test_one_that_cannot_be_written_takes_no_other_with_it(path):
    store = await Store.open(path)
    good = store.accept(event("good"), LANE)
    bad = asyncio.ensure_future(store.run(lambda db: db.execute("INSERT INTO nothing VALUES (1)")))
    other = store.accept(event("other"), LANE)
    assert await good.acknowledged()
    assert await other.acknowledged()
    with pytest.raises(StoreError):
        await bad
    assert [r.event.message.text for r in await store.unfinished()] == ["good", "other"]
    await store.close()


async def test_reading_beside_the_server(path):
    store = await Store.open(path)
    await store.accept(event(), LANE).acknowledged()

    def look():
        db = open_readonly(path)
        assert db.execute("SELECT count(*) FROM inbox").fetchone() == (1,)
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            db.execute("DELETE FROM inbox")
        db.close()

    await asyncio.to_thread(look)
    await store.close()


async def test_what_is_told_while_a_conversation_is_read_is_in_its_history(path):
    store = await Store.open(path)
    receipt = store.accept(event("first"), LANE)
    await store.commit(outcome(receipt, store=store))
    await store.close()
    store = await Store.open(path)
    address = Address("c", talker="t")
    for text in ("before", "while"):
        number = store.next_number()
        message = Message(text, from_bot=True)
        store.record([Reply(number, number, 0, LANE, address, message)], [message])
        if text == "before":
            loading = asyncio.ensure_future(store.load(LANE))
            await asyncio.sleep(0)
    await loading
    await store.run(lambda db: None)
    assert [m.text for m in (await store.load(LANE))[1]] == ["first", "before", "while"]
    await store.close()


async def test_only_so_many_conversations_are_kept_at_hand(path, monkeypatch):
    monkeypatch.setattr("zoozl.stores.sqlite.store.KEPT", 3)
    store = await Store.open(path)
    for number in range(10):
        lane = f"lane {number}"
        await store.commit(outcome(store.accept(event(str(number)), lane), store=store))
        await store.load(lane)
    assert len(store._kept) == 3
    assert [m.text for m in (await store.load("lane 0"))[1]] == ["0"]
    await store.close()


async def test_values_by_space_and_key(path):
    store = await Store.open(path)
    await store.put("a", "x1", "1")
    await store.put("a", "x2", "2")
    await store.put("b", "x1", "3")
    assert await store.get("a", "x1") == "1"
    assert await store.keys("a", "x") == ["x1", "x2"]
    await store.put("a", "x1", None)
    assert await store.get("a", "x1") is None
    assert await store.keys("a", "") == ["x2"]
    await store.close()


async def test_marks_on_files_survive_a_restart(path):
    store = await Store.open(path)
    file = Message([MessagePart("", b"x", "text/plain", "a.txt")])
    receipt = store.accept(Event(Address("c", talker="t"), file), LANE)
    await store.load(LANE)
    await store.commit(Outcome(receipt, State("u", "t"), [file], []))
    (kept,) = (await store.load(LANE))[1]
    kept.parts[0].consumed = True
    later = store.accept(event("later"), LANE)
    await store.commit(Outcome(later, None, [later.event.message], [], [kept]))
    await store.close()
    again = await Store.open(path)
    assert (await again.load(LANE))[1][0].parts[0].consumed
    await again.close()


def dialog_of(number, talker):
    address = Address("c", talker=talker)
    question = Question(f"{number:x}", "?", talker=talker)
    return Dialog(number, scope_key(address), "m:P", "/p", address, "{}", question=question, entries=2)


def instructions(db, function):
    """How much work of SQLite's own `function` is, by instructions of its virtual machine."""
    count = 0

    def tick():
        nonlocal count
        count += 1

    db.set_progress_handler(tick, 10)
    try:
        function(db)
    finally:
        db.set_progress_handler(None, 0)
    return 10 * count


@pytest.mark.parametrize(
    "function",
    [
        lambda db: dialogs.touched(db, scope_key(Address("c", talker="t1")), {1}),
        lambda db: dialogs.entries(db, 1),
        lambda db: dialogs.of_lane(db, scope_key(Address("c", talker="t1"))),
        lambda db: dialogs.of_question(db, "1"),
        lambda db: dialogs.erase_dialogs(db, [1]),
    ],
    ids=["touched", "entries", "of_lane", "of_question", "erase"],
)
async def test_what_one_dialog_costs_does_not_grow_with_those_of_others(path, function):
    store = await Store.open(path)
    costs, first = [], 1
    for number in (5, 2_000):
        for n in range(first, number + 1):
            last = store.note(Step(dialog_of(n, f"t{n}"), (Entry(n, "ask", {}), Entry(n, "answer", {}))))
        await last
        first = number + 1
        costs.append(await store.run(lambda db: instructions(db, function)))
        # What was erased is there again.
        await store.note(Step(dialog_of(1, "t1"), (Entry(1, "ask", {}), Entry(1, "answer", {}))))
    await store.close()
    assert costs[1] < 3 * costs[0] + 100


async def test_a_row_that_is_missing_in_a_chain_is_found_by_check(path):
    store = await Store.open(path)
    for n in range(3):
        entries = (Entry(n, "ask", {}), Entry(n, "answer", {}))
        await store.note(Step(replace(dialog_of(1, "t1"), entries=2 * n + 2), entries))
        receipt = store.accept(event(str(n)), LANE)
        await store.commit(outcome(receipt, "answer", store=store))
    await store.close()

    def after(sql):
        with closing(sqlite3.connect(path)) as db, db:
            for table in ("message", "journal"):
                db.execute(sql.format(table))
            wrong, _ = check(db, lambda _: None)
            return wrong

    assert await asyncio.to_thread(after, "SELECT * FROM {}") == []
    holes = await asyncio.to_thread(after, "DELETE FROM {} WHERE id = 2")
    assert holes == ["1 messages have lost those before them", "1 journals have a hole"]
    lost = await asyncio.to_thread(after, "DELETE FROM {}")
    assert lost == ["1 conversations have lost messages", "1 dialogs have lost their journal"]


async def test_a_dialog_that_goes_on_after_one_was_buried_keeps_its_journal(path):
    store = await Store.open(path)
    receipt = store.accept(event("poison", talker="t1"), scope_key(Address("c", talker="t1")))
    await receipt.acknowledged()
    await store.note(Step(dialog_of(1, "t1"), (Entry(receipt.seq, "ask", {}), Entry(receipt.seq, "answer", {}))))
    await store.bury(receipt, "died", [])
    await store.note(Step(replace(dialog_of(1, "t1"), entries=3), (Entry(9, "step", {}),)))
    assert await store.run(lambda db: db.execute("SELECT count(*) FROM journal").fetchone()) == (0,)
    await store.close()


async def test_entries_that_could_not_be_stored_leave_the_journal_whole(path):
    store = await Store.open(path)
    good, bad = Entry(1, "step", 1), Entry(1, "step", object())
    await store.note(Step(replace(dialog_of(1, "t1"), entries=1), (good,)))
    with pytest.raises(StoreError):
        await store.note(Step(replace(dialog_of(1, "t1"), entries=2), (bad,)))
    await store.note(Step(replace(dialog_of(1, "t1"), entries=2), (good,)))
    assert await store.entries(1) == [good, good]
    await store.close()


async def test_two_steps_of_a_dialog_in_one_transaction_are_both_kept(path):
    store = await Store.open(path)
    entry = Entry(1, "step", 1)
    done = [store.note(Step(replace(dialog_of(1, "t1"), entries=n), (entry,))) for n in (1, 2)]
    await asyncio.gather(*done)
    assert await store.entries(1) == [entry, entry]
    await store.close()
