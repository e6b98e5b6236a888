"""The command as a newcomer meets it: started as a process, stopped, started wrongly."""

import asyncio
import json
import os
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from process import ZOOZL, Started
from websockets.sync.client import connect

ROOT = Path(__file__).parents[2]


def run(*arguments, cwd, stdin="", **env):
    return subprocess.run(
        [*ZOOZL, *arguments],
        cwd=cwd,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **env},
    )


def test_without_a_configuration_it_plays_bulls_and_cows_and_writes_nothing(tmp_path, free_port):
    with Started(cwd=tmp_path, ZOOZL_WEBSOCKET_PORT=str(free_port)) as server:
        text = "\n".join(server.lines)
        assert f"http://127.0.0.1:{free_port}/" in text
        assert all(plugin in text for plugin in ("greeter", "help", "games"))
        with connect(f"ws://127.0.0.1:{free_port}/") as socket:
            assert "Hello" in json.loads(socket.recv(10))["text"]

            def ask(text):
                socket.send(json.dumps({"text": text}))
                return json.loads(socket.recv(10))["text"]

            assert "bulls & cows" in ask("I would like to play a game with you")
            assert "Congratulations" in play(ask)
            assert "did not understand" in ask("my grandmother paints fences")
    assert list(tmp_path.iterdir()) == []
    assert "WARNING" not in server.output[1]


def play(ask):
    """Guess until it is right; the last answer."""
    from itertools import permutations

    from zoozl.plugins.games import count

    candidates = ["".join(digits) for digits in permutations("0123456789", 4)]
    while True:
        answer = ask(candidates[0])
        if "Congratulations" in answer:
            return answer
        bulls, cows = (int(part.split()[0]) for part in answer.split(".")[0].split(", "))
        candidates = [c for c in candidates[1:] if count(c, candidates[0]) == (bulls, cows)]


def test_the_example_configuration_runs_as_it_is(tmp_path, free_port):
    with Started("--conf", str(ROOT / "chatbot.toml"), cwd=tmp_path, ZOOZL_WEBSOCKET_PORT=str(free_port)) as server:
        assert str(free_port) in "\n".join(server.lines)


def test_the_zoozl_script_runs_from_another_folder(tmp_path, free_port):
    script = Path(sys.executable).with_name("zoozl")
    if not script.exists():
        pytest.skip("zoozl is not installed in this environment")
    (tmp_path / "bot").mkdir()
    (tmp_path / "bot" / "beside_the_toml.py").write_text(
        "from zoozl.chatbot import Interface\nclass P(Interface):\n    aliases = ('help', 'greet')\n"
        "    def consume(self, package): package.callback('from beside the toml')\n"
    )
    (tmp_path / "bot" / "chatbot.toml").write_text(f'extensions = ["beside_the_toml"]\nwebsocket_port = {free_port}\n')
    for command in ([str(script)], ZOOZL):
        with Started("--conf", "bot/chatbot.toml", cwd=tmp_path, command=command):
            with connect(f"ws://127.0.0.1:{free_port}/") as socket:
                assert json.loads(socket.recv(10))["text"] == "from beside the toml"


def test_help_and_version(tmp_path):
    shown = run("--help", cwd=tmp_path)
    assert shown.returncode == 0
    for word in ("--conf", "--force-bind", "-v", "--version", "chat", "serve"):
        assert word in shown.stdout
    assert "zoozl" in run("--version", cwd=tmp_path).stdout


CHANNEL = """
from zoozl.settings import ChannelOptions as Options
class Channel:
    def __init__(self, options, bot, name): {}
    def routes(self): return []
    async def send(self, address, message, key): pass
    async def close(self): pass
"""

BROKEN = {
    "synerr": "def E(:",
    "bademb": "class E:\n    def __init__(self): raise OSError('no model\\nhere')\n    embed = None.__eq__",
    "noname": "class E:\n    def embed(self, texts): pass",
    "quits": "import sys\nsys.exit(4)",
    "badchan": CHANNEL.format("raise OSError('no\\nline')"),
    "quitchan": CHANNEL.format("raise SystemExit(0)"),
}


@pytest.mark.parametrize(
    ("toml", "expected"),
    [
        ("websocket_port = ", ["chatbot.toml:1"]),
        ("websocket_port = 0\nembedder = 'synerr:E'", ["chatbot.toml:2: embedder", "SyntaxError", "synerr.py, line 1"]),
        (
            "websocket_port = 0\nembedder = 'bademb:E'",
            ["chatbot.toml:2: embedder", "no model here", "bademb.py, line 2"],
        ),
        ("websocket_port = 0\nembedder = 'noname:E'", ["chatbot.toml:2: embedder", "`name`"]),
        ("websocket_port = 0\nembedder = 'quits:E'", ["chatbot.toml:2: embedder", "SystemExit: 4"]),
        ("websocket_port = 0\nembedder = 'json:dumps'", ["chatbot.toml:2: embedder", "'json:dumps' is no class"]),
        ("websocket_port = 0\nembedder = 'json:JSONDecoder'", ["chatbot.toml:2: embedder", "has no embed()"]),
        ("websocket_port = 0\nembedder = ':x'", ["chatbot.toml:2: embedder", "package.module:Class"]),
        ("websocket_port = 0\nextensions = ['quits']", ["chatbot.toml:2: extensions", "SystemExit: 4 ("]),
        ("[mine]\nport = 0\ntype = 'synerr:E'", ["chatbot.toml:3: mine.type", "SyntaxError"]),
        ("[mine]\nport = 0\ntype = 'json:JSONDecoder'", ["chatbot.toml:3: mine.type", "has no send() and no close()"]),
        ("[mine]\nport = 0\ntype = 'badchan:Channel'", ["chatbot.toml:1: mine", "no line", "badchan.py"]),
        ("[mine]\nport = 0\ntype = 'quitchan:Channel'", ["chatbot.toml:1: mine", "SystemExit"]),
        ("[websocket]\nport = 0\ntype = 'nothing'", ["chatbot.toml:3: websocket.type", "no channel called 'nothing'"]),
        ("[websocket]\nport = 0\npath = '/{'", ["chatbot.toml:3: websocket.path"]),
        ("websocket_port = 0\nhost = 'a..b'", ["chatbot.toml:2: host", "no host name"]),
        ("websocket_port = 0\nhost = 'nowhere.invalid'", ["chatbot.toml:2: host", "0.0.0.0"]),
        ("[websocket]\nport = 0\nhost = '192.0.2.1'", ["chatbot.toml:3: websocket.host", "0.0.0.0"]),
        ("\nwebsocket_prot = 1", ["chatbot.toml:2", "websocket_prot", "websocket_port"]),
        ("websocket_port = 'x'", ["chatbot.toml:1", "websocket_port", "integer"]),
        ("websocket_port = 70000", ["chatbot.toml:1", "websocket_port", "65535"]),
        ("websocket_port = 0\n\nslack_port = 8080", ["chatbot.toml:3", "slack_port", "slack_signing_secret"]),
        ("extensions = ['nothing_here']\nwebsocket_port = 0", ["chatbot.toml:1", "extensions", "nothing_here"]),
        ("websocket_port = 0\nextensions = ['a', 'b']", ["chatbot.toml:2", "extensions", "'one' is claimed"]),
        ("websocket_port = 0\nextensions = ['a']\nfallback = 'two'", ["chatbot.toml:3", "fallback", "'two'"]),
        ("websocket_port = 0\nembedder = 'minilm2'", ["chatbot.toml:2", "embedder", "minilm"]),
        ("websocket_port = 0\nauth_required = true", ["chatbot.toml:2", "auth_required"]),
        ("author = 'x'", ["websocket_port"]),
        ("websocket_port = 0\n[websockets]\nport = 1", ["chatbot.toml:2", "websockets", "websocket"]),
    ],
)
def test_a_mistake_ends_the_start_with_one_message(tmp_path, toml, expected):
    plugin = "from zoozl.chatbot import Interface\nclass {0}(Interface):\n    aliases = ('one',)\n    def consume(self, package): pass\n"
    for name in ("a", "b"):
        (tmp_path / f"{name}.py").write_text(plugin.format(name.upper()))
    for name, source in BROKEN.items():
        (tmp_path / f"{name}.py").write_text(source)
    (tmp_path / "chatbot.toml").write_text(toml)
    done = run("--conf", "chatbot.toml", cwd=tmp_path)
    errors = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert done.returncode == 2, done.stderr
    assert len(errors) == 1
    assert "Traceback" not in done.stderr
    for part in expected:
        assert part in errors[0]


def test_a_configuration_that_is_not_there(tmp_path):
    done = run("--conf", "nothing.toml", cwd=tmp_path)
    assert done.returncode == 2
    assert "nothing.toml" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_port_in_use_is_named_with_its_line(tmp_path):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        (tmp_path / "chatbot.toml").write_text(f"extensions = []\nwebsocket_port = {port}\n")
        done = run("--conf", "chatbot.toml", cwd=tmp_path)
    assert done.returncode == 2
    assert "chatbot.toml:2" in done.stderr
    assert "websocket_port" in done.stderr
    assert str(port) in done.stderr
    assert "stop the other program or choose another port" in done.stderr
    assert "Traceback" not in done.stderr


def test_two_servers_share_a_port_only_by_force(tmp_path, free_port):
    (tmp_path / "chatbot.toml").write_text(f"extensions = []\nwebsocket_port = {free_port}\nstore = 'memory'\n")
    with Started("--conf", "chatbot.toml", "--force-bind", cwd=tmp_path):
        assert run("--conf", "chatbot.toml", cwd=tmp_path).returncode == 2
        with Started("--conf", "chatbot.toml", "--force-bind", cwd=tmp_path):
            pass


def test_keys_of_channels_that_are_not_built_are_warned_about(tmp_path, free_port):
    (tmp_path / "chatbot.toml").write_text(
        f"websocket_port = {free_port}\nslack_port = 8081\nslack_app_token = 'xoxb-1'\nslack_signing_secret = 's3cret'\n"
    )
    with Started("--conf", "chatbot.toml", cwd=tmp_path) as server:
        pass
    assert "slack" in server.output[1]
    assert "s3cret" not in "".join(server.output)
    assert "xoxb" not in "".join(server.output)


def test_chat_from_a_pipe(tmp_path):
    done = run("chat", cwd=tmp_path, stdin="let's play a game\n\nnever mind\nexit\nnot read any more\n")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("bot: Hello")
    assert "bulls & cows" in lines[1]
    assert lines[-1] == "bot: OK, we leave it at that."
    assert list(tmp_path.iterdir()) == []


def test_chat_shows_how_messages_are_routed(tmp_path):
    done = run("chat", "--debug", cwd=tmp_path, stdin="could we play something\nmy grandmother paints fences\n")
    assert "nearest alias -> games" in done.stderr
    assert "open question -> games" in done.stderr


def test_chat_reports_mistakes_like_the_server(tmp_path):
    (tmp_path / "chatbot.toml").write_text("extensions = ['nothing_here']\n")
    done = run("chat", "--conf", "chatbot.toml", cwd=tmp_path, stdin="hi\n")
    assert done.returncode == 2
    assert "chatbot.toml:1" in done.stderr
    assert "Traceback" not in done.stderr


def test_chat_ends_quietly_when_nobody_reads_any_more(tmp_path):
    with subprocess.Popen(
        [*ZOOZL, "chat"], cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert "Hello" in process.stdout.readline()
        process.stdout.close()
        process.stdin.write("play a game\n")
        process.stdin.flush()
        # The input stays open: only the answer that cannot be written ends it.
        assert process.wait(30) == 0
        assert process.stderr.read() == ""


def test_chat_writes_what_the_terminal_cannot_show_as_question_marks(tmp_path):
    (tmp_path / "foreign.py").write_text(
        "from zoozl.chatbot import Interface\nclass P(Interface):\n    aliases = ('help',)\n"
        "    def consume(self, package): package.callback('gr\\u00fcn \\ud800 ' + package.last_message_text)\n"
    )
    (tmp_path / "chatbot.toml").write_text("extensions = ['foreign']\n")
    done = run("chat", "--conf", "chatbot.toml", cwd=tmp_path, stdin="hi\nho\n", PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["bot: gr?n ? hi", "bot: gr?n ? ho"]


def test_chat_without_an_input_greets_and_ends(tmp_path):
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" <&-', "sh", *ZOOZL, "chat"], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("bot: Hello")
    assert done.stderr == ""


def test_chat_ends_at_once_with_ctrl_c_though_a_pipe_is_being_read(tmp_path):
    with subprocess.Popen(
        [*ZOOZL, "chat"], cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert "Hello" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 130
        assert process.stderr.read() == ""


# What is sent to a terminal when lines begin to be edited (pasting is bracketed from now on).
PROMPT = b"\x1b[?2004h"


@pytest.mark.parametrize("end", [b"\x04", b"\x03", b"exit\r"], ids=["ctrl-d", "ctrl-c", "exit"])
def test_chat_at_a_terminal_has_a_prompt(tmp_path, end):
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    env = {**os.environ, "TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1"}
    with subprocess.Popen(
        [*ZOOZL, "chat"], cwd=tmp_path, stdin=theirs, stdout=theirs, stderr=subprocess.PIPE, env=env
    ) as process:
        os.close(theirs)
        seen = b""

        def read_until(text):
            nonlocal seen
            while text not in seen:
                assert select.select([ours], [], [], 30)[0], seen
                seen += os.read(ours, 4096)
            seen = seen.partition(text)[2]

        try:
            read_until(b"Hello")
            read_until(PROMPT)
            os.write(ours, b"play a game\r")
            read_until(b"bulls & cows")
            read_until(PROMPT)
            os.write(ours, end)
            assert process.wait(20) == 0
            assert process.stderr.read() == b""
        finally:
            process.kill()
            os.close(ours)


async def test_the_server_can_be_started_from_a_dict(free_port):
    program = (
        "import sys, zoozl.server, zoozl.testing\n"
        f"zoozl.server.start({{'extensions': ['zoozl.plugins.pong'], 'websocket_port': {free_port}, "
        "'log_level': 'INFO', 'embedder': zoozl.testing.bundled_embedder()})\n"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", program, stderr=asyncio.subprocess.PIPE)
    async with asyncio.timeout(30):
        while b"up:" not in (line := await process.stderr.readline()):
            assert line
        process.terminate()
        await process.communicate()
    assert process.returncode == 0
