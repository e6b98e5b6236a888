"""Tokens are planted wherever a secret can come from; then everything that comes out is searched for them."""

import base64
import json
import os
import socket
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request

import pytest
from process import ZOOZL, Started
from websockets.sync.client import connect

# With characters that are written otherwise in URLs, in JSON and by repr.
TOKENS = {
    "toml": 'toml-7Qd/ZzT9"wü',
    "dotenv": "dotenv-Kp3+Vb8=x",
    "environ": "environ-Hn5&Lw2'c",
    "table": "table-Ry6%Sd1\\f",
    "url": "urlpassword-Gm4Jt0",
    "other": "foreign-Ux8Ea3vB",
    "declared": "declared-Wc9Oi2nY",
}

PLUGIN = """
import asyncio, base64, logging, os, threading, urllib.parse, warnings
from zoozl.chatbot import Interface
log = logging.getLogger(__name__)
print("the plugin's own output")
class P(Interface):
    name = "leaky"
    aliases = ("help", "greet", "cancel")
    def load(self, context):
        self.conf = context.conf
        self.tokens = [
            context.conf["slack"]["signing_secret"], context.conf["slack"]["app_token"], context.conf["mine"]["channel_word"],
            context.config("leaky")["api_key"], context.config("leaky")["url"], context.config("leaky")["password"],
            os.environ["FOREIGN_TOKEN"],
        ]
        log.info("loaded with %s", self.tokens)
    async def consume(self, package):
        what = package.last_message_text
        if what == "log":
            for token in self.tokens:
                log.info("plain %s, repr %r, bytes %r", token, token, token.encode())
                log.info("quoted %s %s", urllib.parse.quote(token), urllib.parse.quote_plus(token))
                log.info("basic %s", base64.b64encode(f"user:{token}".encode()).decode())
                log.info("extra", extra={"secret": token}, stack_info=True)
            log.info("%d", self.tokens)
            log.info("all %s", self.conf)
        if what == "raise":
            try:
                raise ValueError(self.tokens)
            except ValueError as exc:
                raise RuntimeError(f"cannot log in with {self.tokens}") from exc
        if what == "thread":
            def fall(): raise OSError(self.tokens)
            thread = threading.Thread(target=fall)
            thread.start()
            await asyncio.to_thread(thread.join)
        if what == "task":
            async def fall(): raise OSError(self.tokens)
            task = asyncio.create_task(fall())
            await asyncio.wait([task])
            del task
        if what == "warn":
            warnings.warn(str(self.tokens), stacklevel=1)
        if what == "data":
            package.conversation.data["x"] = {1: object()}
            package.conversation.data[tuple(self.tokens)] = 1
        package.callback("done")
    def close(self):
        raise OSError(self.tokens)
"""

CHANNEL = """
from aiohttp import web
from pydantic import SecretStr
from zoozl.settings import ChannelOptions
from zoozl.errors import Undeliverable
class Options(ChannelOptions):
    channel_word: SecretStr
class Channel:
    def __init__(self, options, bot, name):
        self.word = options.channel_word.get_secret_value()
    def routes(self):
        return [web.get("/fall", self.fall)]
    async def fall(self, request):
        raise OSError(f"no answer from https://bot:{self.word}@api.example/")
    async def run(self):
        raise RuntimeError("the channel ends: " + self.word)
    async def send(self, address, message, key): raise Undeliverable(self.word)
    async def close(self): pass
"""


def text(value):
    return json.dumps(value, ensure_ascii=False)


@pytest.fixture
def other_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def bot(tmp_path, free_port, other_port):
    (tmp_path / "leaky_plugin.py").write_text(PLUGIN)
    (tmp_path / "leaky_channel.py").write_text(CHANNEL)
    (tmp_path / "chatbot.toml").write_text(
        f"extensions = ['leaky_plugin']\nwebsocket_port = {free_port}\n"
        f"[slack]\nsigning_secret = {text(TOKENS['toml'])}\nport = 1\n"
        f"[leaky]\nurl = 'postgres://me:{TOKENS['url']}@db.example/x'\npassword = {text(TOKENS['table'])}\n"
        f"[mine]\ntype = 'leaky_channel:Channel'\nport = {other_port}\nchannel_word = '{TOKENS['declared']}'\n"
    )
    (tmp_path / ".env").write_text(f"ZOOZL_SLACK__APP_TOKEN='{TOKENS['dotenv']}'\n")
    return tmp_path


ENVIRON = {"ZOOZL_LEAKY__API_KEY": TOKENS["environ"], "FOREIGN_TOKEN": TOKENS["other"]}


def run(folder, *arguments, stdin="", **env):
    done = subprocess.run(
        [*ZOOZL, *arguments],
        cwd=folder,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **ENVIRON, **env},
    )
    return done.returncode, done.stdout + done.stderr


def spelled(token):
    """All that must not be seen of one."""
    return {
        token,
        repr(token)[1:-1],
        repr(token.encode())[2:-1],
        text(token)[1:-1],
        json.dumps(token)[1:-1],
        json.dumps(repr(token)[1:-1])[1:-1],
        urllib.parse.quote(token),
        urllib.parse.quote_plus(token),
        base64.b64encode(f"user:{token}".encode()).decode(),
        # Enough of it to know that it was there.
        token[-8:],
    }


def search(*outputs):
    for output in outputs:
        for name, token in TOKENS.items():
            for spelling in spelled(token):
                assert spelling not in output, f"the token from {name} is in: {output[:200]}"


def talk(port, *messages):
    with connect(f"ws://127.0.0.1:{port}/") as client:
        for message in messages:
            client.send(json.dumps({"text": message}))
        return [client.recv(20) for _ in range(len(messages))]


@pytest.mark.parametrize("style", ["text", "json"])
def test_a_server_says_no_secret_whatever_goes_wrong(bot, free_port, other_port, style):
    log = bot / "bot.log"
    arguments = ["serve", "-v", "--conf", "chatbot.toml", "--log-file", str(log), "--log-format", style]
    with Started(*arguments, cwd=bot, **ENVIRON) as server:
        what = ("log", "raise", "thread", "task", "warn", "data")
        replies = talk(free_port, *what)
        with pytest.raises(urllib.error.HTTPError) as answer:
            urllib.request.urlopen(f"http://127.0.0.1:{other_port}/fall", timeout=10)
        page = answer.value.read().decode()
    logged = log.read_text()
    assert len(replies) == len(what)
    # It was all there, and is covered.
    for expected in ("cannot log in", "no answer from", "thread Thread-", "is what", "plain ***", "the channel ends"):
        assert expected in logged.replace("is not JSON", "is what").replace("is not a dict", "is what"), expected
    assert logged.count("***") > 30
    assert "the plugin's own output" in "".join(server.lines)
    search(logged, "\n".join(server.lines), *server.output, *replies)
    search(page)


def test_a_server_without_v_and_its_store_say_none_either(bot, free_port):
    with Started("--conf", "chatbot.toml", cwd=bot, **ENVIRON) as server:
        replies = talk(free_port, "raise", "log")
    search("\n".join(server.lines), *server.output, *replies)
    for command in (["stats"], ["check"], ["dead", "list"], ["dead", "retry", "99"], ["backup", "/nowhere/x.db"]):
        _, output = run(bot, "store", *command, "--conf", "chatbot.toml")
        assert output
        search(output)
    (bot / "zoozl.db").write_bytes(b"no database at all " * 300)
    code, output = run(bot, "-v", "store", "check", "--conf", "chatbot.toml")
    assert code == 1
    search(output)
    code, output = run(bot, "-v", "--conf", "chatbot.toml")
    assert code == 2
    search(output)


def test_chat_says_none(bot):
    for arguments in (["chat", "--debug"], ["-v", "chat", "--debug"]):
        code, output = run(bot, *arguments, "--conf", "chatbot.toml", stdin="log\nraise\nwarn\n")
        assert code == 0
        assert "cannot log in" in output
        search(output)


MISTAKES = {
    "wrong key": f"websocket_port = 0\n[slack]\nsigning_sekret = {text(TOKENS['toml'])}\n",
    "wrong type": f"websocket_port = {text(TOKENS['toml'])}\n",
    "no TOML": f"websocket_port = 0\n[slack]\nsigning_secret = {TOKENS['toml']}\n",
    "another store": f"websocket_port = 0\nstore = 'postgres://me:{TOKENS['url']}@db.example/x'\n",
    "no such option": f"websocket_port = 0\nstore = 'sqlite:///x.db?password={TOKENS['url']}'\n",
    "raises": "websocket_port = 0\nextensions = ['raises']\n",
    "raises in load": "websocket_port = 0\nextensions = ['raises_in_load']\n",
    "channel": f"[mine]\ntype = 'raises:Channel'\nport = 0\ntoken = '{TOKENS['declared']}'\n",
    "log file": f"websocket_port = 0\nlog_file = '/nowhere/x.log'\n[my]\ntoken = {text(TOKENS['toml'])}\n",
}


@pytest.mark.parametrize("what", MISTAKES)
@pytest.mark.parametrize("verbose", [[], ["-v"]], ids=["plain", "verbose"])
def test_no_mistake_is_told_with_a_secret(bot, what, verbose):
    raising = "import os\nTOKENS = [os.environ['FOREIGN_TOKEN'], os.environ['ZOOZL_LEAKY__API_KEY']]\n"
    (bot / "raises.py").write_text(raising + "raise ValueError(TOKENS)\n")
    (bot / "raises_in_load.py").write_text(
        raising + "from zoozl.chatbot import Interface\nclass P(Interface):\n    aliases = ('help',)\n"
        "    def consume(self, package): pass\n    def load(self, context): raise RuntimeError(TOKENS)\n"
    )
    (bot / "chatbot.toml").write_text(MISTAKES[what])
    (bot / ".env").write_text(f"SOME_TOKEN='{TOKENS['dotenv']}'\n")
    code, output = run(bot, *verbose, "--conf", "chatbot.toml")
    assert code == 2, output
    assert ("Traceback" in output) == bool(verbose)
    assert "error:" in output
    search(output)


def test_a_fault_is_one_line_without_v(tmp_path, free_port):
    (tmp_path / "chatbot.toml").write_text(f"websocket_port = {free_port}\n[mine]\ntoken = 'fault-Ab3Cd5Ef'\n")
    program = (
        "import zoozl.server\nfrom zoozl.cli import main\n"
        "async def run(*a, **k): raise RuntimeError('broken by fault-Ab3Cd5Ef')\n"
        "zoozl.server.run = run\nmain()\n"
    )
    for verbose in ([], ["-v"]):
        done = subprocess.run(
            [sys.executable, "-c", program, *verbose, "--conf", "chatbot.toml"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 1
        assert "error: RuntimeError: broken by ***" in done.stderr
        assert "fault-Ab3" not in done.stderr
        assert ("Traceback" in done.stderr) == bool(verbose)
