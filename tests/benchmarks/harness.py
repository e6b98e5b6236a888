"""Start servers, put load on them, measure: shared by the benchmarks.

The load comes from this process, the server is another one; both run on the same machine, so only ratios within
one run mean anything. Closed loop: every connection has one message under way.
"""

import asyncio
import contextlib
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

HERE = Path(__file__).parent


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def running(command, port, env=None):
    """A server process that listens; gives (psutil process, seconds until its port was open)."""
    start = time.perf_counter()
    process = subprocess.Popen(
        command, env={**os.environ, "PYTHONPATH": str(HERE), **(env or {})}, stdout=subprocess.DEVNULL
    )
    try:
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                if process.poll() is not None or time.perf_counter() - start > 60:
                    raise SystemExit(f"{command} does not listen") from None
                time.sleep(0.002)
        yield psutil.Process(process.pid), time.perf_counter() - start
    finally:
        process.terminate()
        process.wait(20)


@contextlib.contextmanager
def bare():
    port = free_port()
    with running([sys.executable, str(HERE / "bare.py"), str(port)], port) as (process, seconds):
        yield process, port, seconds


@contextlib.contextmanager
def zoozl(extra="", extensions=("plugins",)):
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        conf = Path(folder) / "chatbot.toml"
        conf.write_text(f"extensions = {json.dumps(list(extensions))}\nwebsocket_port = {port}\n{extra}\n")
        with running([sys.executable, "-m", "zoozl", "--conf", str(conf)], port) as (process, seconds):
            yield process, port, seconds


class Talker(WSListener):
    """One connection; `ask` sends a text and gives the seconds until its answer."""

    def __init__(self):
        self.answer = None

    def on_ws_connected(self, transport: WSTransport):
        self.transport = transport

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame):
        if frame.msg_type == WSMsgType.TEXT and self.answer is not None and not self.answer.done():
            self.answer.set_result(frame.get_payload_as_utf8_text())

    async def hear(self):
        """The next frame."""
        self.answer = asyncio.get_running_loop().create_future()
        return json.loads(await self.answer)

    async def ask(self, text):
        self.answer = asyncio.get_running_loop().create_future()
        start = time.perf_counter()
        self.transport.send(WSMsgType.TEXT, json.dumps({"text": text}).encode())
        packet = json.loads(await self.answer)
        assert "error" not in packet, packet
        return time.perf_counter() - start


async def connect(port, number):
    async def one():
        _, talker = await ws_connect(Talker, f"ws://127.0.0.1:{port}/")
        return talker

    return [await one() for _ in range(number)]


async def load(process, port, text, *, connections=50, seconds=3.0, warm_up=0.7):
    """Messages per second, CPU microseconds of the server per message, and all latencies."""
    talkers = await connect(port, connections)
    await asyncio.gather(*(talker.ask(text) for talker in talkers))
    latencies, count = [], 0
    stop = time.perf_counter() + warm_up

    async def talk(talker):
        nonlocal count
        while time.perf_counter() < stop:
            latencies.append(await talker.ask(text))
            count += 1

    await asyncio.gather(*map(talk, talkers))
    latencies.clear()
    count = 0
    before, start = process.cpu_times(), time.perf_counter()
    stop = start + seconds
    await asyncio.gather(*map(talk, talkers))
    took, after = time.perf_counter() - start, process.cpu_times()
    for talker in talkers:
        talker.transport.disconnect()
    cpu = (after.user + after.system - before.user - before.system) / count * 1e6
    return count / took, cpu, latencies


def quantile(values, share):
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def median(values):
    return statistics.median(values)
