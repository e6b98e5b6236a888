"""Websocket echo through the whole core against a bare aiohttp echo, interleaved rounds, 50 connections.

Durable means that the message and its reply are committed before the reply is sent.
"""

import asyncio

from harness import bare, load, median, quantile, zoozl

# (what, store, text that is sent, least share of bare's messages, most of its CPU per message)
CASES = [
    ("memory, async def", "memory", "echo this", 0.45, 3.0),
    ("memory, def", "memory", "repeat in a thread", 0.2, None),
    ("durable, NORMAL", "sqlite:///zoozl.db?synchronous=NORMAL", "echo this", 0.30, 5.0),
    ("durable, FULL", "sqlite:///zoozl.db", "echo this", 0.15, 5.0),
]


def main(rounds=3, seconds=2.5):
    results = {what: [] for what, *_ in CASES}
    with bare() as (bare_process, bare_port, _):
        for number in range(rounds):
            rate, cpu, latencies = asyncio.run(load(bare_process, bare_port, "echo this", seconds=seconds))
            p99 = quantile(latencies, 0.99) * 1e3
            print(
                f"round {number + 1}  bare             {rate:8,.0f} msg/s         {cpu:6.1f} us CPU          p99 {p99:.1f} ms"
            )
            for what, store, text, _, _ in CASES:
                with zoozl(f'store = "{store}"') as (process, port, _):
                    r, c, latencies = asyncio.run(load(process, port, text, seconds=seconds))
                results[what].append((r / rate, c / cpu))
                p99 = quantile(latencies, 0.99) * 1e3
                print(
                    f"         {what:17}{r:8,.0f} msg/s ({r / rate:.2f}) {c:7.1f} us CPU ({c / cpu:.2f}x)  p99 {p99:.1f} ms"
                )
    for what, _, _, least, most in CASES:
        rate, cpu = median(r for r, _ in results[what]), median(c for _, c in results[what])
        goal = f"goal >= {least}" + (f", <= {most}x" if most else "")
        print(f"median   {what:17}{rate:.2f} of bare, CPU {cpu:.2f}x ({goal})")


if __name__ == "__main__":
    main()
