"""What a plugin that sleeps or burns the processor does to 20 other talkers."""

import asyncio
import time

from harness import connect, quantile, zoozl


async def others(port, disturbance, seconds=6.0):
    talkers = await connect(port, 20)
    slow = (await connect(port, 1))[0]
    for talker in talkers:
        await talker.ask("echo this")
    latencies, stop = [], time.perf_counter() + seconds

    async def talk(talker):
        while time.perf_counter() < stop:
            latencies.append(await talker.ask("echo this"))
            await asyncio.sleep(0.01)

    async def disturb():
        while disturbance and time.perf_counter() < stop:
            await slow.ask(disturbance)

    await asyncio.gather(disturb(), *map(talk, talkers))
    for talker in [*talkers, slow]:
        talker.transport.disconnect()
    return quantile(latencies, 0.5) * 1e3, quantile(latencies, 0.99) * 1e3


def main():
    with zoozl() as (_, port, _):
        quiet = asyncio.run(others(port, ""))
        print(f"nobody slow    p50 {quiet[0]:.2f} ms  p99 {quiet[1]:.2f} ms")
        for text, goal in (("take a nap", 15), ("burn the processor", 30)):
            p50, p99 = asyncio.run(others(port, text))
            print(
                f"{text:14} p50 {p50:.2f} ms  p99 {p99:.2f} ms, p99 rises by {p99 - quiet[1]:.1f} ms (goal <= {goal})"
            )


if __name__ == "__main__":
    main()
