"""What 500 hostile connections do to other talkers: half frames, floods of messages, of pings and of nonsense.

Every kind is measured in the same run as nothing at all; only the differences mean anything. The hostile ones are in
a process of their own, at the lowest priority: on a small machine they would take the processor from the server
itself, which no server can help. The measure begins when all of them have connected.
"""

import asyncio
import contextlib
import os
import struct
import subprocess
import sys
import time

from harness import connect, quantile, zoozl

NUMBER = 500
TALKERS = 20
HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
ZERO = b"\0\0\0\0"  # a mask that changes nothing


def frame(opcode, payload, *, size=None):
    """A masked frame; with `size`, the beginning of a longer one."""
    size = len(payload) if size is None else size
    if size < 126:
        head = bytes([0x80 | opcode, 0x80 | size])
    elif size < 65536:
        head = struct.pack("!BBH", 0x80 | opcode, 0x80 | 126, size)
    else:
        head = struct.pack("!BBQ", 0x80 | opcode, 0x80 | 127, size)
    return head + ZERO + payload


TEXT, PING = 1, 9
KINDS = {
    "half frames": frame(TEXT, b"x" * (3 << 20), size=(4 << 20) - 100),
    "floods": frame(TEXT, b'{"text": "echo this"}') * 200,
    "endless pings": frame(PING, b"") * 200,
    "nonsense": frame(TEXT, b"nonsense") * 200,
}


async def hostile(port, kind):
    """One connection after the other for as long as the server lets it in."""
    what = KINDS[kind]
    while True:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(HANDSHAKE)
            await reader.readuntil(b"\r\n\r\n")
            if kind == "half frames":
                # All but the end, and then nothing more; who is thrown out comes back.
                writer.write(what)
                await writer.drain()
                await reader.read(-1)
            while kind != "half frames":
                writer.write(what)
                await writer.drain()
                await asyncio.sleep(0)
        await asyncio.sleep(1)


async def attack(port, kind):
    async with asyncio.TaskGroup() as group:
        for _ in range(NUMBER):
            group.create_task(hostile(port, kind))
            await asyncio.sleep(0.002)


async def others(port, seconds):
    talkers = await connect(port, TALKERS)
    for talker in talkers:
        await talker.ask("echo this")
    latencies, stop = [], time.perf_counter() + seconds

    async def talk(talker):
        while time.perf_counter() < stop:
            latencies.append(await talker.ask("echo this"))
            await asyncio.sleep(0.25)

    await asyncio.gather(*map(talk, talkers))
    for talker in talkers:
        talker.transport.disconnect()
    return quantile(latencies, 0.5) * 1e3, quantile(latencies, 0.99) * 1e3


def main(seconds=6.0, limits=""):
    for what, extra in (("as it comes", ""), ("rate = 20", "[websocket]\nrate = 20")):
        with zoozl(extra) as (process, port, _):
            p50, quiet = asyncio.run(others(port, seconds))
            before = process.memory_info().rss / 2**20
            print(f"{what:12} {'nobody':14} p50 {p50:5.1f} ms  p99 {quiet:5.1f} ms  {before:.0f} MB")
            for kind in KINDS:
                enemy = subprocess.Popen(
                    [sys.executable, __file__, str(port), kind],
                    preexec_fn=lambda: os.nice(19),
                    stderr=subprocess.DEVNULL,
                )
                try:
                    time.sleep(3)
                    p50, p99 = asyncio.run(others(port, seconds))
                    memory = process.memory_info().rss / 2**20 - before
                finally:
                    enemy.kill()
                    enemy.wait()
                time.sleep(1)
                print(
                    f"{what:12} {kind:14} p50 {p50:5.1f} ms  p99 {p99:5.1f} ms, rises by {p99 - quiet:.1f} ms "
                    f"(goal <= 50)  memory +{memory:.0f} MB"
                )


if __name__ == "__main__":
    if len(sys.argv) == 3:
        asyncio.run(attack(int(sys.argv[1]), sys.argv[2]))
    else:
        main()
