"""`serve --reload` as its user meets it: a file is saved, and the next answer is another one."""

import json
import time

from process import Started
from websockets.sync.client import connect

PLUGIN = """
from zoozl.chatbot import Interface
class P(Interface):
    aliases = ("help",)
    def consume(self, package):
        package.callback("ANSWER")
"""


def test_a_saved_plugin_answers_without_a_restart(tmp_path, free_port):
    plugin = tmp_path / "mine.py"
    plugin.write_text(PLUGIN.replace("ANSWER", "one"))
    (tmp_path / "chatbot.toml").write_text(f"extensions = ['mine']\nwebsocket_port = {free_port}\nstore = 'memory'\n")
    with Started("serve", "--reload", "--conf", "chatbot.toml", cwd=tmp_path) as server:
        with connect(f"ws://127.0.0.1:{free_port}/") as socket:

            def ask():
                socket.send(json.dumps({"text": "hi"}))
                return json.loads(socket.recv(10))["text"]

            def ask_until(wanted):
                end = time.monotonic() + 20
                while (answer := ask()) != wanted:
                    assert time.monotonic() < end
                    assert answer == "one"

            assert ask() == "one"
            plugin.write_text(PLUGIN.replace("ANSWER", "two"))
            ask_until("two")
    assert "loaded mine anew" in server.output[1]
    assert "Traceback" not in server.output[1]
