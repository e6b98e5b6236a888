"""Websocket echo through the whole core against a bare aiohttp echo, interleaved rounds, 50 connections."""

import asyncio
import sys

from harness import bare, load, median, quantile, zoozl

GOALS = {"async def": (0.45, 3.0), "def": (0.2, None)}


def main(rounds=3, seconds=3.0, extra=""):
    results = {"async def": [], "def": []}
    with bare() as (bare_process, bare_port, _), zoozl(extra) as (process, port, _):
        for number in range(rounds):
            rate, cpu, latencies = asyncio.run(load(bare_process, bare_port, "echo this", seconds=seconds))
            print(
                f"round {number + 1}: bare {rate:,.0f} msg/s, {cpu:.1f} us CPU, p99 {quantile(latencies, 0.99) * 1e3:.1f} ms"
            )
            for kind, text in (("async def", "echo this"), ("def", "repeat in a thread")):
                r, c, latencies = asyncio.run(load(process, port, text, seconds=seconds))
                results[kind].append((r / rate, c / cpu))
                print(
                    f"         {kind:9} {r:,.0f} msg/s ({r / rate:.2f}), {c:.1f} us CPU ({c / cpu:.2f}x), "
                    f"p99 {quantile(latencies, 0.99) * 1e3:.1f} ms"
                )
    for kind, rows in results.items():
        rate, cpu = median(r for r, _ in rows), median(c for _, c in rows)
        goal, most = GOALS[kind]
        print(
            f"median {kind:9} {rate:.2f} of bare (goal >= {goal}), CPU {cpu:.2f}x"
            + (f" (goal <= {most}x)" if most else "")
        )


if __name__ == "__main__":
    main(extra="\n".join(sys.argv[1:]))
