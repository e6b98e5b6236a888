"""Mattermost: 1,000 posts while the connection is cut ten times; each answered once, in order."""

import asyncio
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "fakes"), str(ROOT / "benchmarks")]

from fake_mattermost import ANNA, DM, TOKEN, fake_mattermost  # noqa: E402

from zoozl import config  # noqa: E402
from zoozl.server import serving  # noqa: E402

NUMBER, CUTS = 1_000, 10


async def posts(folder):
    async with fake_mattermost() as site:
        conf = {
            "extensions": ["plugins"],
            "store": f"sqlite:///{folder}/bot.db",
            "mattermost": {"url": site.url, "token": TOKEN, "reconnect_delay": 0.1},
        }
        async with serving(config.from_dict(conf)):
            await site.until(lambda: site.connections)
            begin = time.perf_counter()
            for number in range(NUMBER):
                await site.say(ANNA, DM, f"echo {number}")
                if number % (NUMBER // CUTS) == NUMBER // CUTS // 2:
                    # Every second time the server has forgotten the connection.
                    await site.cut(forget=number % 200 > 100)
                await asyncio.sleep(0.002)
            answers = await site.answers(NUMBER, seconds=60)
            took = time.perf_counter() - begin
            await asyncio.sleep(1)
            answers = site.texts()
    return answers, took, site.connects


def main():
    with tempfile.TemporaryDirectory() as folder:
        answers, took, connects = asyncio.run(posts(folder))
    found = [int(answer.rpartition(" ")[2]) for answer in answers if answer.rpartition(" ")[2].isdigit()]
    print(f"{NUMBER} posts, {connects} connections, {took:.1f} s, {NUMBER / took:.0f} posts/s")
    print(f"missing {len(set(range(NUMBER)) - set(found))}, twice {len(found) - len(set(found))} (goal 0)")
    print(f"in order: {found == sorted(found)} (goal True)")


if __name__ == "__main__":
    main()
