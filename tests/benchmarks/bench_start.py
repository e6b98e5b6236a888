"""Start: until the port is open against bare aiohttp, then until the first reply; resident memory, idle talkers."""

import asyncio
import time

from harness import bare, connect, median, zoozl

BUNDLED = ("zoozl.plugins.greeter", "zoozl.plugins.helpers", "zoozl.plugins.games")


async def first_reply(port):
    start = time.perf_counter()
    (talker,) = await connect(port, 1)
    await talker.ask("would you like to play with me")  # is greeted first
    assert "bulls" in (await talker.hear())["text"]
    return time.perf_counter() - start


async def idle_talkers(process, port, number=500):
    talkers = await connect(port, 20)
    await asyncio.gather(*(talker.ask("echo this") for talker in talkers))
    await asyncio.sleep(1)
    before = process.memory_info().rss
    talkers += await connect(port, number)
    await asyncio.sleep(2)
    return (process.memory_info().rss - before) / number / 1024


def main(rounds=5):
    opens, bares, firsts, resident = [], [], [], 0
    for _ in range(rounds):
        with bare() as (_, _, seconds):
            bares.append(seconds)
        with zoozl(extensions=BUNDLED) as (process, port, seconds):
            opens.append(seconds)
            firsts.append(asyncio.run(first_reply(port)))
            resident = process.memory_info().rss / 2**20
    print(
        f"port open {median(opens):.2f} s, bare {median(bares):.2f} s: {median(opens) / median(bares):.2f}x (goal <= 2x); "
        f"first reply {median(firsts):.2f} s later (goal <= 1 s)"
    )
    print(f"resident memory after the first reply {resident:.0f} MiB (goal <= 200)")
    with zoozl() as (process, port, _):
        print(f"idle websocket talker {asyncio.run(idle_talkers(process, port)):.1f} KiB (goal <= 24)")


if __name__ == "__main__":
    main()
