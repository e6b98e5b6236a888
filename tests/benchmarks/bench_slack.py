"""Slack against a bare aiohttp server, with 20 talkers and a Web API that takes 200 ms: acknowledgements, answers, doubles.

zoozl and the yardstick take signed requests of the Events API and post each answer. A request is acknowledged when
the message is durable (yardstick: at once). Rounds are interleaved. Then 1,000 events are delivered again, the very
same signed bodies: some at once, some after the answer, some after a kill -9.
"""

import asyncio
import contextlib
import json
import sys
import tempfile
import time
from collections import Counter, defaultdict
from pathlib import Path

from aiohttp import ClientSession
from harness import HERE, free_port, median, quantile, running

sys.path.append(str(HERE.parent / "fakes"))

from fake_slack import SECRET, TOKEN, Talker

TALKERS = 20
# Milliseconds of an acknowledgement, p99; share of the yardstick's messages.
MOST_ACK, AIM_ACK, LEAST_SHARE = 100, 40, 0.8
# Events delivered again at once; after the answer; after a kill -9 that came before the answer.
AT_ONCE, ANSWERED, KILLED = 400, 300, 300
RETRIES = ("http_timeout", "http_timeout", "http_error")


@contextlib.contextmanager
def slack_api():
    """The port of a Web API."""
    port = free_port()
    with running([sys.executable, str(HERE / "slack_api.py"), str(port)], port):
        yield port


@contextlib.contextmanager
def bare(api):
    port, url = free_port(), f"http://127.0.0.1:{api}/api"
    with running([sys.executable, str(HERE / "bare_slack.py"), str(port), url, SECRET, TOKEN], port) as (process, _):
        yield process, port


@contextlib.contextmanager
def zoozl(api, folder, port=None):
    """On the store in `folder`, new or not."""
    port, conf = port or free_port(), Path(folder) / "chatbot.toml"
    table = {"port": port, "bot_token": TOKEN, "signing_secret": SECRET, "base_url": f"http://127.0.0.1:{api}/api"}
    # Each channel is one talker's; Slack itself would take one post a second there.
    table["room_rate"] = 0
    lines = [f"{key} = {json.dumps(value)}" for key, value in table.items()]
    conf.write_text("\n".join(['extensions = ["plugins"]', 'log_level = "ERROR"', "[slack]", *lines]))
    with running([sys.executable, "-m", "zoozl", "--conf", str(conf)], port) as (process, _):
        yield process, port


class Posts:
    """What was posted: `of[channel]` has the texts that nobody has taken yet, `all` every one."""

    def __init__(self, socket):
        self._socket = socket
        self.of = defaultdict(asyncio.Queue)
        self.all = []
        self.came = asyncio.Event()

    async def listen(self):
        async for frame in self._socket:
            if post := json.loads(frame.data):
                channel, text = post
                self.of[channel].put_nowait(text)
                self.all.append(text)
            self.came.set()

    async def say(self, word):
        """Let the Web API "fail" or "work"."""
        self.came.clear()
        await self._socket.send_str(word)
        await self.came.wait()

    async def until_all(self, texts, seconds=60):
        """Wait until each of `texts` was posted, or for so long."""
        try:
            async with asyncio.timeout(seconds):
                while set(texts) - set(self.all):
                    self.came.clear()
                    await self.came.wait()
        except TimeoutError:
            print(f"         {len(set(texts) - set(self.all))} answers are missing")


@contextlib.asynccontextmanager
async def talking(port, api):
    """Slack's requests to a bot, and what it posts."""
    async with ClientSession() as http, http.ws_connect(f"http://127.0.0.1:{api}/posts") as socket:
        posts = Posts(socket)
        listening = asyncio.create_task(posts.listen())
        try:
            yield Talker(http, f"http://127.0.0.1:{port}/slack"), posts
        finally:
            listening.cancel()


async def load(process, port, api, seconds):
    """Messages a second, CPU milliseconds of the server for one, seconds until acknowledgements and until answers."""
    acks, answers = [], []
    async with talking(port, api) as (slack, posts):

        async def talk(number):
            channel = f"D{number}"
            while True:
                body = json.dumps(slack.event("echo this", channel=channel, user=f"U{number}")).encode()
                start = time.perf_counter()
                status, _ = await slack.post(body)
                assert status == 200, status
                acks.append(time.perf_counter() - start)
                # A talker's first message is greeted as well.
                while await posts.of[channel].get() != "echo this":
                    pass
                answers.append(time.perf_counter() - start)
                if start >= stop:
                    return

        stop = 0
        await asyncio.gather(*map(talk, range(TALKERS)))
        acks.clear()
        answers.clear()
        before, start = process.cpu_times(), time.perf_counter()
        stop = start + seconds
        await asyncio.gather(*map(talk, range(TALKERS)))
        took, after = time.perf_counter() - start, process.cpu_times()
    cpu = (after.user + after.system - before.user - before.system) / len(answers) * 1e3
    return len(answers) / took, cpu, acks, answers


class Events:
    """Signed requests that can be made again as they were."""

    def __init__(self, slack, count):
        self._at = int(time.time())
        self.texts = [f"echo this {number}" for number in range(count)]
        places = ({"channel": f"D{number % TALKERS}", "user": f"U{number % TALKERS}"} for number in range(count))
        events = map(slack.event, self.texts)
        self._bodies = [
            json.dumps({**e, "event": e["event"] | p}).encode() for e, p in zip(events, places, strict=True)
        ]

    async def deliver(self, slack, numbers, retry=0):
        """Each until it is acknowledged, a talker's one after the other."""
        headers = {"X-Slack-Retry-Num": str(retry), "X-Slack-Retry-Reason": RETRIES[retry - 1]} if retry else {}

        async def one_talker(mine):
            for number in mine:
                while (await slack.post(self._bodies[number], headers=headers, at=self._at))[0] != 200:
                    await asyncio.sleep(0.2)

        await asyncio.gather(*(one_talker([n for n in numbers if n % TALKERS == talker]) for talker in range(TALKERS)))


async def doubles(api, folder):
    """How many events were answered twice, and how many not at all."""
    count = AT_ONCE + ANSWERED + KILLED
    at_once, answered = range(AT_ONCE), range(AT_ONCE, AT_ONCE + ANSWERED)
    killed = range(AT_ONCE + ANSWERED, count)
    port = free_port()
    async with talking(port, api) as (slack, posts):
        events = Events(slack, count)
        with zoozl(api, folder, port) as (process, _):
            begin = [events.deliver(slack, at_once), events.deliver(slack, at_once, 1), events.deliver(slack, answered)]
            await asyncio.gather(*begin)
            await posts.until_all(events.texts[: killed.start])
            await events.deliver(slack, answered, 2)
            # Nothing is posted any more: what a kill interrupts may have been posted, or not, and nobody can tell.
            await posts.say("fail")
            await events.deliver(slack, killed)
            process.kill()
            await posts.say("work")
        with zoozl(api, folder, port):
            again = [events.deliver(slack, killed, 1), events.deliver(slack, range(killed.start), 3)]
            await asyncio.gather(*again)
            await posts.until_all(events.texts)
            await events.deliver(slack, killed, 2)
            await asyncio.sleep(1.5)
    times = Counter(posts.all)
    return count, sum(times[text] > 1 for text in events.texts), sum(not times[text] for text in events.texts)


def main(rounds=3, seconds=4.0):
    shares, p99s = [], []
    with slack_api() as api:
        for number in range(rounds):
            with bare(api) as (process, port):
                yardstick, cpu, acks, answers = asyncio.run(load(process, port, api, seconds))
            _report(f"round {number + 1}  bare ", yardstick, cpu, acks, answers)
            with tempfile.TemporaryDirectory() as folder, zoozl(api, folder) as (process, port):
                rate, cpu, acks, answers = asyncio.run(load(process, port, api, seconds))
            _report("         zoozl", rate, cpu, acks, answers)
            shares.append(rate / yardstick)
            p99s.append(quantile(acks, 0.99) * 1e3)
        print(f"median   acknowledged, p99 {median(p99s):.1f} ms (goal <= {MOST_ACK}, aim {AIM_ACK})")
        print(f"median   {median(shares):.2f} of bare's messages (goal >= {LEAST_SHARE})")
        with tempfile.TemporaryDirectory() as folder:
            count, twice, never = asyncio.run(doubles(api, folder))
        print(f"of {count:,} events delivered again {twice} were answered twice, {never} never (goal 0 and 0)")


def _report(what, rate, cpu, acks, answers):
    ack, p99, answer = (1e3 * quantile(*one) for one in ((acks, 0.5), (acks, 0.99), (answers, 0.5)))
    latencies = f"ack p50 {ack:.1f}, p99 {p99:.1f} ms  answer p50 {answer:.0f} ms"
    print(f"{what} {rate:6.1f} msg/s  {cpu:5.2f} ms CPU  {latencies}")


if __name__ == "__main__":
    main()
