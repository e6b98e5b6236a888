"""Stopping the process, whatever its plugins do."""

import json
import signal

from process import Started
from websockets.sync.client import connect

PLUGIN = """
import asyncio
from zoozl.chatbot import Interface

class Stubborn(Interface):
    aliases = ("help",)

    async def consume(self, package):
        package.callback("for ever")
        while True:
            try:
                await asyncio.sleep(1)
            except BaseException:
                pass
"""


def test_a_plugin_that_does_not_end_does_not_keep_the_server(tmp_path, free_port):
    (tmp_path / "stubborn.py").write_text(PLUGIN)
    (tmp_path / "chatbot.toml").write_text(
        f"extensions = ['stubborn']\nwebsocket_port = {free_port}\nshutdown_timeout = 0.5\n"
    )
    with Started("--conf", "chatbot.toml", cwd=tmp_path) as server:
        with connect(f"ws://127.0.0.1:{free_port}/") as socket:
            socket.send(json.dumps({"text": "go"}))
            assert json.loads(socket.recv(10))["text"] == "for ever"
            server.process.send_signal(signal.SIGTERM)
            assert server.process.wait(15) == 0
