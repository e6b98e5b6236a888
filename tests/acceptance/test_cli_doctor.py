"""`zoozl doctor`, on bots that are well and bots that are not, beside a running server and alone."""

import datetime
import os
import socket
import sqlite3
import stat
import subprocess
import time

import pytest
from process import ZOOZL, Started

from zoozl import config
from zoozl.checks import channel, clock, disk, store
from zoozl.doctor import Checked, Finding
from zoozl.processes import Process, listeners

PLUGIN = """
from zoozl.chatbot import Interface
class P(Interface):
    aliases = ('one',)
    def consume(self, package): ...
"""


def doctor(cwd, *arguments, **env):
    done = subprocess.run(
        [*ZOOZL, "doctor", "--conf", "chatbot.toml", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **env},
    )
    assert "Traceback" not in done.stderr
    return done


def lines(done, about):
    return [line for line in done.stdout.splitlines() if f"{about}:" in line]


@pytest.fixture
def bot(tmp_path, free_port):
    (tmp_path / "mine.py").write_text(PLUGIN)
    (tmp_path / "chatbot.toml").write_text(f'websocket_port = {free_port}\nextensions = ["mine"]\n')
    return tmp_path


def test_a_bot_that_is_well_and_was_never_started(bot, free_port):
    done = doctor(bot)
    assert done.returncode == 0, done.stdout
    assert {line.split()[0] for line in done.stdout.splitlines()} == {"ok"}
    assert "1 loaded: P" in lines(done, "plugins")[0]
    assert "minilm is ready" in lines(done, "model")[0]
    assert "zoozl.db will be made" in lines(done, "store")[0]
    assert f"127.0.0.1:{free_port} for websocket is free" in lines(done, "ports")[0]
    assert sorted(path.name for path in bot.iterdir() if path.suffix != "") == ["chatbot.toml", "mine.py"]


def test_beside_its_running_server(bot):
    with Started("--conf", "chatbot.toml", cwd=bot) as server:
        done = doctor(bot)
        pid = server.process.pid
        assert done.returncode == 0, done.stdout
        assert f"used by the running server, process {pid} (zoozl)" in lines(done, "store")[0]
        assert f"is held by the running server, process {pid} (zoozl)" in lines(done, "ports")[0]
        assert not [line for line in done.stdout.splitlines() if line.startswith("error")]
    assert "Traceback" not in server.output[1]


def test_beside_its_running_server_that_keeps_nothing(bot):
    with (bot / "chatbot.toml").open("a") as file:
        file.write('store = "memory"\n')
    with Started("--conf", "chatbot.toml", cwd=bot):
        done = doctor(bot)
    assert done.returncode == 0, done.stdout
    assert "held by a running zoozl" in lines(done, "ports")[0]
    assert lines(done, "store")[0].startswith("warning")


def test_a_port_that_another_program_has(bot, free_port):
    with socket.socket() as other:
        other.bind(("127.0.0.1", free_port))
        other.listen()
        done = doctor(bot)
        assert listeners(free_port) == [Process(os.getpid(), listeners(free_port)[0].arguments)]
    assert done.returncode == 1
    assert f"in use by process {os.getpid()}" in lines(done, "ports")[0]
    assert "-> stop that program or choose another port" in done.stdout
    assert done.stderr.endswith("1 check failed\n")


def test_everything_else_is_looked_at_although_a_plugin_cannot_be_loaded(bot):
    (bot / "mine.py").write_text("import nothing_here\n")
    done = doctor(bot)
    assert done.returncode == 1
    assert lines(done, "plugins")[0].startswith("error")
    assert "nothing_here" in lines(done, "plugins")[0]
    assert lines(done, "ports")[0].startswith("ok")


def test_a_table_that_is_nobodys(bot):
    with (bot / "chatbot.toml").open("a") as file:
        file.write("[weather]\nx = 1\n")
    done = doctor(bot)
    assert done.returncode == 0
    assert "[weather]" in lines(done, "plugins")[1]
    assert lines(done, "plugins")[1].startswith("warning")


def test_no_channel_is_on(bot):
    (bot / "chatbot.toml").write_text('extensions = ["mine"]\n')
    done = doctor(bot)
    assert done.returncode == 1
    assert lines(done, "channels")[0].startswith("error")


def test_a_mistake_in_the_configuration_is_none_of_the_checks(bot):
    (bot / "chatbot.toml").write_text("websocket_prot = 1\n")
    done = doctor(bot)
    assert done.returncode == 2
    assert "chatbot.toml:1" in done.stderr
    assert done.stdout == ""


@pytest.fixture
def started(bot):
    with Started("--conf", "chatbot.toml", cwd=bot):
        pass
    return bot / "zoozl.db"


def test_a_store_from_the_future_means_a_wrong_clock(started):
    with sqlite3.connect(started) as db:
        columns = [row[1] for row in db.execute("PRAGMA table_info(conversation)")]
        values = {"at": time.time() + 7200}
        db.execute(
            f"INSERT INTO conversation ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})",
            [values.get(name, 0) for name in columns],
        )
    db.close()
    (found,) = clock(started)
    assert found.level == "error"
    assert "7200 s from now" in found.what or "7199 s from now" in found.what
    assert "timedatectl" in found.fix


def test_dead_letters_and_open_permissions_are_warned_about(started):
    with sqlite3.connect(started) as db:
        columns = [row[1] for row in db.execute("PRAGMA table_info(dead)")]
        db.execute(
            f"INSERT INTO dead ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})",
            ["event" if name == "kind" else 1 for name in columns],
        )
    db.close()
    started.chmod(0o644)
    found = list(store(started, None))
    assert [finding.level for finding in found] == ["ok", "warning", "warning"]
    assert "zoozl store dead list" in found[1].fix
    assert "chmod 600" in found[2].fix


def test_looking_changes_nothing_in_the_store(started):
    before = started.read_bytes()
    doctor(started.parent)
    assert started.read_bytes() == before
    assert stat.S_IMODE(started.stat().st_mode) == 0o600


def test_a_file_that_is_no_store(tmp_path):
    (tmp_path / "zoozl.db").write_text("no database" * 100)
    found = list(store(tmp_path / "zoozl.db", None))
    assert [finding.level for finding in found] == ["error"]


def test_a_folder_that_is_not_there(tmp_path):
    (found,) = store(tmp_path / "nowhere" / "zoozl.db", None)
    assert found.fix == f"make it: mkdir -p {tmp_path}/nowhere"
    assert disk(tmp_path / "nowhere").level == "error"


# Channels of anybody's


def named(cls, **options):
    return config.from_dict({"mine": {"type": f"{__name__}:{cls.__name__}", "port": 1, **options}}, {})


class Mute:
    def __init__(self, options, bot, name): ...
    async def send(self, address, message, key): ...
    async def close(self): ...


class Telling(Mute):
    @classmethod
    async def check(cls, options):
        return [Finding("ok", f"port {options.port}"), Finding("error", "the token was refused", "make a new one")]


class Raising(Mute):
    @classmethod
    async def check(cls, options):
        raise RuntimeError("no route to host")


class Babbling(Mute):
    @classmethod
    async def check(cls, options):
        return ["fine"]


@pytest.fixture(autouse=True)
def this_module_can_be_imported(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, __name__, sys.modules.get(__name__) or __import__(__name__))


async def test_a_channel_may_say_how_it_is():
    assert isinstance(Telling, Checked)
    assert [finding.level for finding in await channel(named(Telling), "mine")] == ["ok", "error"]
    assert await channel(named(Mute), "mine") == []


async def test_a_check_that_fails_is_a_finding():
    (found,) = await channel(named(Raising), "mine")
    assert found.level == "error"
    assert "no route to host" in found.what
    (found,) = await channel(named(Babbling), "mine")
    assert "gave str" in found.what


def test_a_secret_in_what_a_channel_says_is_not_shown(bot):
    (bot / "raven.py").write_text(
        "from zoozl.settings import ChannelOptions, Secret\n"
        "class Options(ChannelOptions):\n    oath: Secret | None = None\n"
        "class Channel:\n"
        "    def __init__(self, options, bot, name): ...\n"
        "    async def send(self, address, message, key): ...\n"
        "    async def close(self): ...\n"
        "    @classmethod\n"
        "    async def check(cls, options):\n"
        "        raise OSError('https://raven/' + options.oath.get_secret_value() + '/send cannot be reached')\n"
    )
    with (bot / "chatbot.toml").open("a") as file:
        file.write("[raven]\ntype = 'raven:Channel'\nport = 0\noath = 'hunter2hunter2'\n")
    done = doctor(bot)
    assert done.returncode == 1
    assert "https://raven/***/send cannot be reached" in lines(done, "raven")[0]
    assert "hunter2" not in done.stdout + done.stderr


# The websocket's own


def certificate(folder, begins, ends):
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now + datetime.timedelta(days=begins))
        .not_valid_after(now + datetime.timedelta(days=ends))
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


@pytest.mark.parametrize(
    ("begins", "ends", "level", "word"),
    [
        (-9, 90, "ok", "is valid until"),
        (-9, 5, "warning", "expires on"),
        (-9, -1, "error", "expired on"),
        (1, 9, "error", "is valid from"),
    ],
)
def test_the_certificates_time(bot, begins, ends, level, word):
    certificate(bot, begins, ends)
    with (bot / "chatbot.toml").open("a") as file:
        file.write('websocket_tls_certificate = "cert.pem"\nwebsocket_tls_key = "key.pem"\n')
    done = doctor(bot)
    (line,) = lines(done, "websocket")
    assert line.startswith(level)
    assert word in line
    assert done.returncode == (1 if level == "error" else 0)


def test_a_key_of_another_certificate(bot):
    certificate(bot, -1, 90)
    key = (bot / "key.pem").read_bytes()
    certificate(bot, -1, 90)
    (bot / "key.pem").write_bytes(key)
    with (bot / "chatbot.toml").open("a") as file:
        file.write('websocket_tls_certificate = "cert.pem"\nwebsocket_tls_key = "key.pem"\n')
    done = doctor(bot)
    (line,) = lines(done, "websocket")
    assert line.startswith("error")
    assert "is not the key of" in line


def test_what_a_start_would_refuse_is_found_though_each_part_is_good(bot):
    with (bot / "chatbot.toml").open("a") as file:
        file.write("auth_required = true\n")
    done = doctor(bot)
    assert done.returncode == 1
    assert (
        "chatbot.toml:3: auth_required: [websocket] needs auth_secret or auth_public_key" in lines(done, "channels")[0]
    )


def test_a_configuration_that_lies_here_unused_is_pointed_at(bot):
    done = subprocess.run([*ZOOZL, "doctor"], cwd=bot, capture_output=True, text=True, timeout=60)
    assert done.stderr == "warning: chatbot.toml is here and is not used; --conf chatbot.toml uses it\n"
