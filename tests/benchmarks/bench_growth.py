"""What grows: one conversation, the number of stored conversations, the number of connections."""

import asyncio
import resource
import sqlite3
import tempfile
import time
import uuid
from pathlib import Path

from harness import connect, load, median, quantile, zoozl


async def long_conversation(port):
    """p50 of the messages around the 100th and the 1,000th of several conversations."""
    early, late = [], []
    for talker in await connect(port, 8):
        for number in range(1, 1_051):
            seconds = await talker.ask("echo this")
            if 50 <= number < 150:
                early.append(seconds)
            elif number >= 950:
                late.append(seconds)
        talker.transport.disconnect()
    return quantile(early, 0.5), quantile(late, 0.5)


async def first_messages(port, number=300):
    """p50 of the first message of talkers who were never there."""
    seconds = []
    for _ in range(number):
        (talker,) = await connect(port, 1)
        seconds.append(await talker.ask("echo this"))
        talker.transport.disconnect()
    return quantile(seconds, 0.5)


def fill(path, number):
    """Conversations with two messages each, as the store itself would have written them."""
    with sqlite3.connect(path) as db:
        rows = [(f"websocket::user:{uuid.uuid4().hex}", n) for n in range(number)]
        db.executemany(
            "INSERT INTO conversation (id, lane, uuid, channel, talker, subject, greeted, data, at, last)"
            " VALUES (?, ?, 'u', 'websocket', 't', '', 1, '{}', ?, ?)",
            [(n + 1, lane, time.time(), 2 * n + 2) for lane, n in rows],
        )
        for from_bot in (0, 1):
            db.executemany(
                "INSERT INTO message (id, conversation, earlier, n, seq, talker, from_bot, author, at, platform_id, text)"
                f" VALUES (?, ?, ?, {from_bot + 1}, ?, 't', {from_bot}, '', ?, '', 'some text of a usual length')",
                [(2 * n + 1 + from_bot, n + 1, (2 * n + 1) * from_bot, n, time.time()) for _, n in rows],
            )
    db.close()


def stored(folder, number):
    """A configuration line for a store with so many conversations."""
    path = Path(folder) / f"{number}.db"
    with zoozl(f'store = "sqlite:///{path}"'):
        pass
    fill(path, number)
    return f'store = "sqlite:///{path}"'


def main():
    with zoozl() as (_, port, _):
        early, late = asyncio.run(long_conversation(port))
        print(
            f"message 1,000 against message 100: p50 {late * 1e3:.2f} / {early * 1e3:.2f} ms, {late / early:.2f}x (goal <= 1.1x)"
        )
    with tempfile.TemporaryDirectory() as folder:
        none, some = stored(folder, 0), stored(folder, 10_000)
        ratios = []
        for _ in range(3):
            with zoozl(none) as (_, port, _):
                before = asyncio.run(first_messages(port))
            with zoozl(some) as (_, port, _):
                ratios.append(asyncio.run(first_messages(port)) / before)
        print(f"first message of a new talker, 10,000 stored against none: p50 {median(ratios):.2f}x (goal <= 1.1x)")
        many = stored(folder, 100_000)
        with zoozl(none) as (process, _, seconds):
            time.sleep(1)
            empty = process.memory_info().rss / 2**20
        with zoozl(many) as (process, _, full_seconds):
            time.sleep(1)
            full = process.memory_info().rss / 2**20
        print(
            f"100,000 conversations: port open {full_seconds:.2f} s (none: {seconds:.2f} s, goal <= 2 s), "
            f"memory {full:.0f} MiB (none: {empty:.0f} MiB)"
        )
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 16_384), hard))
    with zoozl() as (process, port, _):
        _, few, _ = asyncio.run(load(process, port, "echo this", connections=50, seconds=3))
        rate, many, latencies = asyncio.run(load(process, port, "echo this", connections=2_000, seconds=5))
        print(
            f"2,000 connections against 50: CPU {many:.0f} / {few:.0f} us per message, {many / few:.2f}x (goal <= 2x), "
            f"{rate:,.0f} msg/s, p99 {quantile(latencies, 0.99) * 1e3:.0f} ms, none lost"
        )


if __name__ == "__main__":
    main()
