"""E-mail against bare aiosmtpd: processor time for a mail that is taken, run through a plugin and answered.

The yardstick takes mails with aiosmtpd's LMTP and answers each by aiosmtplib; a second one takes them and does not
answer, and does not look into them either. Rounds are interleaved. zoozl takes, stores, routes, runs the plugin and
sends the answer; the submission server that gets it is in this process. Against the second yardstick the plugin says
nothing.
"""

import asyncio
import contextlib
import email.utils
import json
import sys
import tempfile
import time
from pathlib import Path

from harness import HERE, free_port, median, running

MAILS, CONNECTIONS, TALKERS = 1_000, 8, 50
# (what, store, plugins, most of bare's CPU for a mail)
CASES = [("memory", "memory", "plugins", 2.0), ("SQLite", "sqlite:///zoozl.db", "plugins", 2.0)]
CASES += [("taking, memory", "memory", "listening", None), ("taking, SQLite", "sqlite:///zoozl.db", "listening", None)]
MAIL = """\
Received: from mail.y.test (mail.y.test [192.0.2.7]) by mx.x.test (Postfix) with ESMTPS id 4F1D2
 for <bot@x.test>; {date}
Authentication-Results: mx.x.test; dkim=pass header.d=y.test; spf=pass smtp.mailfrom=t{talker}@y.test
DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=y.test; s=k1; h=from:to:subject:date:message-id;
 bh=frcCV1k9oG9oKj3dpUqdJg1PxRT2RSN/XKdLCPjaYaY=; b={signature}
From: Talker {talker} <t{talker}@y.test>
To: Bot <bot@x.test>
Subject: echo this
Date: {date}
Message-ID: <{number}.{run}@y.test>
MIME-Version: 1.0
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: 8bit
User-Agent: Mozilla Thunderbird

echo this

I had asked about the room before. The week after next would be better for us,
from Monday on if that can be done; otherwise any day but the Wednesday.
"""


def mail(number, run):
    """(sender, raw mail, dots doubled)."""
    talker = number % TALKERS
    fields = {"date": email.utils.formatdate(1_700_000_000), "signature": "dGhpcyBpcyBub25l" * 16}
    text = MAIL.format(talker=talker, number=number, run=run, **fields)
    return f"t{talker}@y.test", text.replace("\n", "\r\n").encode()


class Sink(asyncio.Protocol):
    """A submission server that says yes to everything; `arrived` counts mails."""

    arrived = 0
    wanted = None
    transports = set()

    def connection_made(self, transport):
        Sink.transports.add(transport)
        self.transport, self.data, self.in_mail = transport, b"", False
        transport.write(b"220 sink\r\n")

    def connection_lost(self, error):
        Sink.transports.discard(self.transport)

    def data_received(self, data):
        self.data += data
        while True:
            end = self.data.find(b"\r\n.\r\n" if self.in_mail else b"\r\n")
            if end < 0:
                return
            if self.in_mail:
                self.in_mail, self.data = False, self.data[end + 5 :]
                self.transport.write(b"250 OK\r\n")
                Sink.arrived += 1
                if Sink.wanted is not None and Sink.arrived >= Sink.wanted[0] and not Sink.wanted[1].done():
                    Sink.wanted[1].set_result(None)
                continue
            line, self.data = self.data[:end].upper(), self.data[end + 2 :]
            if line.startswith(b"EHLO"):
                self.transport.write(b"250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n")
            elif line == b"DATA":
                self.in_mail = True
                self.transport.write(b"354 go on\r\n")
            else:
                self.transport.write(b"221 bye\r\n" if line == b"QUIT" else b"250 OK\r\n")


async def deliver(port, numbers, run, latencies):
    """One LMTP connection: one mail after the other."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)

    async def reply():
        while (line := await reader.readline())[3:4] == b"-":
            pass
        return line

    async def say(line):
        writer.write(line.encode() + b"\r\n")
        return await reply()

    await reply()
    await say("LHLO mx.x.test")
    for number in numbers:
        sender, raw = mail(number, run)
        start = time.perf_counter()
        await say(f"MAIL FROM:<{sender}> SIZE={len(raw)}")
        assert (await say("RCPT TO:<bot@x.test>")).startswith(b"250")
        assert (await say("DATA")).startswith(b"354")
        writer.write(raw + b".\r\n")
        assert (await reply()).startswith(b"250")
        latencies.append(time.perf_counter() - start)
    await say("QUIT")
    writer.close()


async def load(process, port, smtp_port, *, answered=True, mails=MAILS):
    """CPU milliseconds of the server for a mail, mails a second, and the latencies of the acknowledgement."""
    loop = asyncio.get_running_loop()
    sink = await loop.create_server(Sink, "127.0.0.1", smtp_port)
    try:
        figures = None
        for count, run in ((mails // 10, "warm"), (mails, "run")):
            Sink.arrived, latencies = 0, []
            Sink.wanted = (count, loop.create_future())
            before, start = process.cpu_times(), time.perf_counter()
            run = f"{run}{time.time_ns()}"
            shares = [range(first, count, CONNECTIONS) for first in range(CONNECTIONS)]
            await asyncio.gather(*(deliver(port, share, run, latencies) for share in shares))
            if answered:
                async with asyncio.timeout(60):
                    await Sink.wanted[1]
            took = time.perf_counter() - start
            after = process.cpu_times() if answered else await idle(process)
            cpu = after.user + after.system - before.user - before.system
            figures = cpu / count * 1e3, count / took, latencies
        return figures
    finally:
        sink.close()
        for transport in list(Sink.transports):
            transport.close()
        await sink.wait_closed()


async def idle(process):
    """The server's CPU times, once it does nothing any more."""
    before = None
    while (now := process.cpu_times()) != before:
        before = now
        await asyncio.sleep(0.2)
    return now


@contextlib.contextmanager
def bare(*, answers=True):
    port, smtp_port = free_port(), free_port()
    command = [sys.executable, str(HERE / "bare_mail.py"), str(port), str(smtp_port if answers else 0)]
    with running(command, port) as (process, _):
        yield process, port, smtp_port


@contextlib.contextmanager
def zoozl(store, plugins):
    port, smtp_port = free_port(), free_port()
    with tempfile.TemporaryDirectory() as folder:
        conf = Path(folder) / "chatbot.toml"
        table = {"port": port, "address": "bot@x.test", "smtp_port": smtp_port, "smtp_host": "127.0.0.1"}
        table |= {"limit_10_minutes": 0, "limit_day": 0, "authserv_id": "mx.x.test"}
        lines = [f"{key} = {json.dumps(value)}" for key, value in table.items()]
        head = [f'extensions = ["{plugins}"]', f'store = "{store}"', 'log_level = "WARNING"', "[email]"]
        conf.write_text("\n".join([*head, *lines]))
        with running([sys.executable, "-m", "zoozl", "--conf", str(conf)], port) as (process, _):
            yield process, port, smtp_port


def main(rounds=3):
    results = {what: [] for what, *_ in CASES}
    for number in range(rounds):
        yardsticks = {}
        for answers, what in ((False, "takes only"), (True, "takes, answers")):
            with bare(answers=answers) as (process, port, smtp_port):
                cpu, rate, _ = asyncio.run(load(process, port, smtp_port, answered=answers))
            yardsticks[answers] = cpu
            head = f"         bare, {what}" if answers else f"round {number + 1}  bare, {what}"
            print(f"{head:31}{cpu:5.2f} ms CPU          {rate:6.0f} mails/s")
        for what, store, plugins, _ in CASES:
            answers = plugins == "plugins"
            with zoozl(store, plugins) as (process, port, smtp_port):
                cpu, rate, latencies = asyncio.run(load(process, port, smtp_port, answered=answers))
            ratio, p50 = cpu / yardsticks[answers], median(latencies) * 1e3
            results[what].append(ratio)
            head = f"         zoozl, {what}"
            print(f"{head:31}{cpu:5.2f} ms CPU ({ratio:.2f}x) {rate:6.0f} mails/s  ack p50 {p50:.1f} ms")
    for what, _, plugins, most in CASES:
        than = "bare" if plugins == "plugins" else "one that only takes"
        goal = f" (goal <= {most}x)" if most else ""
        print(f"median   {what}: {median(results[what]):.2f}x of {than}{goal}")


if __name__ == "__main__":
    main()
