"""What dialogs cost: a turn of one that waits, its replay, and 100,000 of them on disk."""

import asyncio
import json
import sqlite3
import tempfile
import time
from pathlib import Path

from harness import connect, median, quantile, zoozl

from zoozl.chatbot import Address, InterfaceRoot, Message
from zoozl.chatbot.core import Chatbot
from zoozl.chatbot.message import Event, scope_key
from zoozl.chatbot.question import Kind, Question
from zoozl.stores.memory import Store as MemoryStore
from zoozl.stores.sqlite import Store as SqliteStore
from zoozl.testing import bundled_embedder

MANY = 100_000
JOURNAL = 50


async def cpu_per_turn(process, port, first, *, connections=50, seconds=2.5):
    """CPU microseconds of the server for each "echo this" of talkers who said `first` before."""
    talkers = await connect(port, connections)
    for talker in talkers:
        await talker.ask(first)
    stop, count = time.perf_counter() + 0.5, 0

    async def talk(talker):
        nonlocal count
        while time.perf_counter() < stop:
            await talker.ask("echo this")
            count += 1

    await asyncio.gather(*map(talk, talkers))
    before, count, stop = process.cpu_times(), 0, time.perf_counter() + seconds
    await asyncio.gather(*map(talk, talkers))
    after = process.cpu_times()
    for talker in talkers:
        talker.transport.disconnect()
    return (after.user + after.system - before.user - before.system) / count * 1e6


def turns(name, store):
    with zoozl(store) as (process, port, _):
        rounds = []
        for _ in range(3):
            plain = asyncio.run(cpu_per_turn(process, port, "echo this"))
            rounds.append((plain, asyncio.run(cpu_per_turn(process, port, "/ask"))))
    plain, asked = (median(values) for values in zip(*rounds, strict=True))
    ratio = median([dialog / echo for echo, dialog in rounds])
    print(
        f"{name}: CPU of a turn of a waiting dialog {asked:.0f} us, of a plain one {plain:.0f} us, {ratio:.2f}x (goal <= 1.5x)"
    )


class Bot:
    """A bot in this process; `say` gives the seconds until the answer is there."""

    def __init__(self, store, **settings):
        root = InterfaceRoot({"extensions": ["plugins"]}, embedder=bundled_embedder(), store=store)
        root.load()
        self.core = Chatbot(root, senders={"test": self}, **settings)
        self.answered = asyncio.Event()

    async def send(self, address, message, key):
        self.answered.set()

    async def say(self, text, talker):
        self.answered.clear()
        start = time.perf_counter()
        self.core.receive(Event(Address("test", talker=talker), Message(text)))
        await self.answered.wait()
        seconds = time.perf_counter() - start
        await self.core.idle()
        return seconds


async def replay(store):
    """Milliseconds of an answer that finds its coroutine, and of one that finds a journal of 50 entries."""
    bot = Bot(store, kept_dialogs=1)
    await bot.core.start()
    live, again = [], []
    for n in range(40):
        talker = f"t{n}"
        await bot.say("/ask", talker)
        # The question, and then an answer and a question each.
        for _ in range(JOURNAL // 2 - 2):
            await bot.say("x", talker)
        live.append(await bot.say("x", talker))
        await bot.say("/ask", f"another {n}")  # only one coroutine is kept: this one goes
        again.append(await bot.say("x", talker))
    await bot.core.drain(1.0)
    return quantile(live, 0.5) * 1e3, quantile(again, 0.5) * 1e3, quantile(again, 0.95) * 1e3


def fill(path, number):
    """Dialogs that wait, one in a conversation, as the store itself would have written them."""
    now = time.time()
    start = json.dumps(
        {
            "data": "{}",
            "ongoing": False,
            "matched": True,
            "message": {"text": "/ask", "author": "", "sent": now, "id": ""},
            "files": [],
        }
    )
    with sqlite3.connect(path) as db:
        for n in range(number):
            address = Address("test", talker=f"t{n}")
            question = Question(f"{n:x}q", "?", Kind.TEXT, literal=True, talker=f"t{n}")
            packed, lane = json.dumps(question.dump()), scope_key(address)
            db.execute(
                "INSERT INTO conversation (id, lane, uuid, channel, talker, subject, greeted, data, at, last)"
                " VALUES (?, ?, 'u', 'test', ?, '', 1, '{}', ?, 0)",
                (n + 1, lane, f"t{n}", now),
            )
            db.execute(
                "INSERT INTO dialog VALUES (?, ?, ?, 'plugins:Asker', '/ask', ?, ?, '{}', ?, ?, ?, ?, ?)",
                (
                    n + 1,
                    lane,
                    f"t{n}",
                    json.dumps(["test", "", "", "", f"t{n}"]),
                    start,
                    packed,
                    question.id,
                    now + 1e5 + n,
                    now,
                    n + 1,
                ),
            )
            db.execute(
                "INSERT INTO journal VALUES (?, ?, 0, 0, ?)",
                (n + 1, n + 1, json.dumps([[n + 1, "ask", question.dump()]])),
            )
        db.execute("UPDATE counter SET high = ?", (10 * MANY,))
    db.close()


async def answers(store, number, tries=300):
    """Milliseconds of the first answer to a dialog, and of finding one by its question and the next deadlines."""
    bot = Bot(store)
    await bot.core.start()
    step = number // tries
    await bot.say("echo this", "warm up")
    first = [await bot.say("x", f"t{n * step}") for n in range(tries)]
    looked, due = [], []
    for n in range(tries):
        start = time.perf_counter()
        assert (await store.dialog_of(f"{n * step + 1:x}q")) is not None or step == 1
        looked.append(time.perf_counter() - start)
        start = time.perf_counter()
        assert len(await store.due(10)) == 10
        due.append(time.perf_counter() - start)
    await bot.core.drain(1.0)
    return [quantile(values, 0.5) * 1e3 for values in (first, looked, due)]


def lookups(folder):
    async def run(path, number):
        return await answers(await SqliteStore.open(path), number)

    few, many = Path(folder) / "few.db", Path(folder) / "many.db"
    for path, number in ((few, 1_000), (many, MANY)):
        asyncio.run(_made(path))
        fill(path, number)
    rows = [asyncio.run(run(path, number)) for path, number in ((few, 1_000), (many, MANY))]
    names = ("the first answer to a dialog", "looking up a question", "the next ten deadlines")
    for name, small, large in zip(names, *rows, strict=True):
        print(f"{MANY:,} open dialogs against 1,000: {name} p50 {large:.2f} / {small:.2f} ms, {large / small:.2f}x")
    return few, many


async def _made(path):
    await (await SqliteStore.open(path)).close()


def starts(folder):
    seconds, memory = [], []
    for path in (Path(folder) / "empty.db", Path(folder) / "many.db"):
        took, used = [], []
        for _ in range(3):
            with zoozl(f'store = "sqlite:///{path}"') as (process, _, until_open):
                time.sleep(1)
                took.append(until_open)
                used.append(process.memory_info().rss / 2**20)
        seconds.append(median(took))
        memory.append(median(used))
    print(
        f"{MANY:,} waiting dialogs on disk: port open after {seconds[1]:.2f} s (none: {seconds[0]:.2f} s, "
        f"goal <= 0.5 s more), memory {memory[1]:.0f} MiB (none: {memory[0]:.0f} MiB)"
    )


def main():
    turns("memory", 'store = "memory"')
    with tempfile.TemporaryDirectory() as folder:
        turns("SQLite", f'store = "sqlite:///{folder}/turns.db"')
        turns("SQLite, NORMAL", f'store = "sqlite:///{folder}/normal.db?synchronous=NORMAL"')

        async def sqlite():
            return await replay(await SqliteStore.open(Path(folder) / "replay.db", synchronous="NORMAL"))

        async def memory():
            return await replay(MemoryStore())

        for name, run in (("memory", memory), ("SQLite", sqlite)):
            live, again, slow = asyncio.run(run())
            print(
                f"{name}: an answer after the replay of {JOURNAL} entries p50 {again:.2f} ms, p95 {slow:.2f} ms "
                f"(live: {live:.2f} ms, goal: replay <= 5 ms)"
            )
        lookups(folder)
        starts(folder)


if __name__ == "__main__":
    main()
