"""A disk that refuses for a while must not lose, double or reorder anything that was acknowledged."""

import asyncio
import sqlite3
from contextlib import asynccontextmanager, closing
from functools import partial

import pytest

from zoozl.chatbot import Address, Interface, Message
from zoozl.chatbot.message import Event, scope_key
from zoozl.chatbot.ports import Outcome, Reply, State
from zoozl.errors import StoreError
from zoozl.stores.sqlite import Store
from zoozl.stores.sqlite.file import connect, open_readonly
from zoozl.stores.sqlite.heads import Heads
from zoozl.stores.sqlite.operations import Batch, Write
from zoozl.stores.sqlite.writer import Writer
from zoozl.testing import Bot

TALKER = Address("test", talker="tester")
LANE = scope_key(TALKER)
TABLES = ("conversation", "message", "inbox", "outbox", "dedup", "dead", "dialog", "journal", "value", "counter")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "zoozl.db"


@pytest.fixture
async def store(path):
    store = await Store.open(path)
    yield store
    await store.close()


def _refuse(db):
    for table in TABLES:
        for what in ("INSERT", "UPDATE", "DELETE"):
            db.execute(
                f"CREATE TEMP TRIGGER full_{table}_{what} BEFORE {what} ON main.{table}"
                " BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END"
            )


def _take_again(db):
    for (name,) in db.execute("SELECT name FROM sqlite_temp_master WHERE type = 'trigger'").fetchall():
        db.execute(f"DROP TRIGGER {name}")


async def refuse(store):
    """From now on nothing can be written, as on a full disk."""
    await store.run(_refuse)


async def take_again(store):
    """There is room again."""
    await store.run(_take_again)


async def until(condition):
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


@asynccontextmanager
async def bot_on(path, *plugins):
    """A bot that notes (key, text) of all that it sends in `bot.heard`."""
    store = await Store.open(path)
    bot = Bot(*plugins, store=store, restarts=False)
    bot.store, bot.heard = store, []

    async def send(address, message, key):
        bot.heard.append((int(key), message.text))

    bot.send = send
    async with bot:
        yield bot


def texts_in_order(bot):
    """What was sent. A client that has seen a number takes every lower one for known: they must grow."""
    numbers = [number for number, _ in bot.heard]
    assert numbers == sorted(set(numbers))
    return [text for _, text in bot.heard]


async def test_what_is_told_while_a_commit_waits_for_the_disk_does_not_swallow_the_answer(path, caplog):
    go, began = asyncio.Event(), asyncio.Event()

    class Answers(Interface):
        aliases = ("help",)

        async def consume(self, package):
            began.set()
            await go.wait()
            package.callback("answer")

    async with bot_on(path, Answers) as bot:
        await bot.post("hello")
        await began.wait()
        await refuse(bot.store)
        go.set()
        await until(lambda: "waits for the disk" in caplog.text)
        await take_again(bot.store)
        bot.chatbot.tell(TALKER, "news")
        await bot.chatbot.idle()
        assert sorted(texts_in_order(bot)) == ["answer", "news"]


async def test_a_later_early_reply_does_not_overtake_one_that_was_refused(path, caplog):
    go = asyncio.Event()

    class Talks(Interface):
        aliases = ("help",)

        async def consume(self, package):
            package.callback("one")
            await go.wait()
            package.callback("two")
            await asyncio.sleep(0.25)  # longer than a moment: "two" is sent early
            package.callback("three")

    async with bot_on(path, Talks) as bot:
        await bot.post("hello")
        await refuse(bot.store)
        await until(lambda: "held back" in caplog.text)
        await take_again(bot.store)
        go.set()
        await bot.chatbot.idle()
        assert texts_in_order(bot) == ["one", "two", "three"]
        assert [m.text for m in (await bot.store.load(LANE)).messages] == ["hello", "one", "two", "three"]


async def test_order_holds_when_the_server_starts_on_a_full_disk(path, caplog):
    store = await Store.open(path)
    for text in ("one", "two"):
        await store.accept(Event(TALKER, Message(text)), LANE).acknowledged()
    await store.close()
    heard = []

    class Hears(Interface):
        aliases = ("help",)

        async def consume(self, package):
            heard.append(package.last_message_text)

    store = await Store.open(path)
    await refuse(store)
    async with Bot(Hears, store=store, restarts=False) as bot:
        await until(lambda: "waits for the disk" in caplog.text)
        assert heard == []
        await take_again(store)
        await bot.chatbot.idle()
        assert heard == ["one", "two"]
        assert await store.unfinished() == []


async def test_numbers_are_reserved_again_after_a_reservation_was_refused(path):
    store = await Store.open(path)
    await refuse(store)
    with pytest.raises(StoreError):
        await store.accept(Event(TALKER, Message("lost")), LANE).acknowledged()
    await take_again(store)
    receipt = store.accept(Event(TALKER, Message("hello")), LANE)
    reply = Reply(store.next_number(), receipt.seq, 0, LANE, TALKER, Message("answer"))
    await store.commit(Outcome(receipt, State("u", "t"), [receipt.event.message], [reply]))
    store.delivered(LANE, reply.id)
    await store.close()
    again = await Store.open(path)
    given = again.next_number()
    await again.close()
    assert given > reply.id


async def test_what_has_arrived_is_not_sent_again_because_it_could_not_be_noted(path):
    store = await Store.open(path)
    numbers = [store.next_number() for _ in range(2)]
    await store.record([Reply(n, n, 0, LANE, TALKER, Message("told")) for n in numbers[:1]], [])
    await store.record([Reply(n, n, 0, LANE, TALKER, Message("told")) for n in numbers[1:]], [])
    await refuse(store)
    store.delivered(LANE, numbers[0])
    await take_again(store)
    assert [reply.id for reply in await store.undelivered()] == numbers[1:]
    store.delivered(LANE, numbers[1])
    assert await store.undelivered() == []
    await store.close()


async def test_marks_that_wait_are_made_when_the_store_is_closed(path):
    store = await Store.open(path)
    number = store.next_number()
    await store.record([Reply(number, number, 0, LANE, TALKER, Message("told"))], [])
    await refuse(store)
    store.delivered(LANE, number)
    await take_again(store)
    await store.close()
    again = await Store.open(path)
    assert await again.undelivered() == []
    await again.close()


async def test_early_replies_to_what_could_not_be_accepted_are_refused(store):
    await refuse(store)
    receipt = store.accept(Event(TALKER, Message("hello")), LANE)
    with pytest.raises(StoreError):
        await receipt.acknowledged()
    await take_again(store)
    reply = Reply(store.next_number(), receipt.seq, 0, LANE, TALKER, Message("answer"))
    with pytest.raises(StoreError, match="what comes before"):
        await store.record([reply], [receipt.event.message, reply.message])
    assert await store.undelivered() == []
    assert (await store.load(LANE)).messages == []


async def test_a_callback_that_fails_does_not_leave_the_others_waiting(store, caplog):
    def fail(error):
        raise ZeroDivisionError

    store.accept(Event(TALKER, Message("one")), LANE).settled = fail
    async with asyncio.timeout(10):
        assert await store.accept(Event(TALKER, Message("two")), LANE).acknowledged()
    assert "ZeroDivisionError" in caplog.text


class FullLog:
    """A connection on a disk that has no room for a longer write-ahead log: it is full until it is emptied."""

    def __init__(self, db, frames):
        self.db, self.frames, self.left = db, frames, frames

    @property
    def in_transaction(self):
        return self.db.in_transaction

    def execute(self, sql, *values):
        if sql == "COMMIT":
            if not self.left:
                error = sqlite3.OperationalError("database or disk is full")
                error.sqlite_errorcode = sqlite3.SQLITE_FULL
                raise error
            self.left -= 1
        elif "wal_checkpoint" in sql:
            self.left = self.frames
        return self.db.execute(sql, *values)

    def close(self):
        self.db.close()


async def test_a_full_disk_is_no_obstacle_while_the_log_can_be_used_again(path):
    def prepare():
        db = connect(path)
        return FullLog(db, 3), Heads(db)

    db, heads = await asyncio.to_thread(prepare)
    writer = Writer(db, partial(Batch, heads))
    for number in range(10):
        done = asyncio.get_running_loop().create_future()
        writer.submit(Write("INSERT INTO value VALUES ('s', ?, 'v')", (f"{number}",), done))
        await done
    await writer.close()

    def count():
        with closing(open_readonly(path)) as found:
            return found.execute("SELECT count(*) FROM value").fetchone()

    assert await asyncio.to_thread(count) == (10,)
