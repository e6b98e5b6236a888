"""`zoozl test`, `zoozl record`, and transcripts as tests of pytest."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from process import ZOOZL

from zoozl.stores.sqlite import Store
from zoozl.testing import Bot

ROOT = Path(__file__).parents[2]

PLUGIN = """
from zoozl.chatbot import Interface


class Order(Interface):
    aliases = ("order food", "/order")

    async def consume(self, package):
        dish = await package.ask("What will it be?", choices=["Soup", "Fish"])
        where = await package.ask("Where to? Your e-mail, please.")
        code = await package.step(self.code)
        package.callback(f"{dish} is coming, {where} will hear of it: order {code}.")

    def code(self):
        return "48151623"


class Bell(Interface):
    aliases = ("/bell",)

    async def consume(self, package):
        await package.sleep(600)
        package.callback("Ding!")
"""
GOOD = """\
anna: /order
bot: What will it be?
  1. Soup
  2. Fish
anna: [Fish]
bot: Where to? Your e-mail, please.
anna: a@example.org
bot: ~ Fish is coming.*
"""
BAD = GOOD.replace("Fish is", "Soup is")


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "order.py").write_text(PLUGIN)
    (tmp_path / "chatbot.toml").write_text('extensions = ["order"]\n')
    (tmp_path / "chats").mkdir()
    (tmp_path / "chats" / "good.chat").write_text(GOOD)
    return tmp_path


def run(*arguments, cwd, **env):
    command = [*ZOOZL, *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120, env={**os.environ, **env})


def test_a_conversation_that_goes_as_it_is_written(folder):
    done = run("test", "chats", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"1 conversation, as written, \d+\.\d s\n", done.stdout)
    assert not (folder / "zoozl.db").exists()
    done = run("test", "chats/good.chat", "-v", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "chats/good.chat: ok\n" in done.stdout


def test_one_that_does_not(folder):
    (folder / "chats" / "bad.chat").write_text(BAD)
    (folder / "chats" / "broken.chat").write_text("anna\n")
    done = run("test", "chats", cwd=folder)
    assert done.returncode == 1
    assert done.stdout.startswith(
        "chats/bad.chat:8: the bot says something else\n"
        "  pattern   Soup is coming.*\n"
        "  said      Fish is coming, a@example.org will hear of it: order 48151623.\n"
        "chats/broken.chat:1: is neither"
    )
    assert "\n3 conversations, 2 failed, " in done.stdout


def test_what_is_wrong_with_the_call(folder):
    done = run("test", "nothing", cwd=folder)
    assert done.returncode == 2
    assert "'nothing' does not exist" in done.stderr
    (folder / "chatbot.toml").write_text('extensions = ["missing"]\n')
    done = run("test", "chats", cwd=folder)
    assert done.returncode == 2
    assert "missing" in done.stderr
    assert "Traceback" not in done.stderr


def test_pytest_runs_transcripts_beside_a_configuration(folder):
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir=.", "-c", "pytest.ini"]
    (folder / "pytest.ini").write_text("[pytest]\n")
    (folder / "here.chat").write_text(GOOD)
    (folder / "bad.chat").write_text(BAD)
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
    assert "1 failed, 1 passed" in done.stdout, "those in chats/ have no configuration beside them"
    assert "bad.chat:8: the bot says something else" in done.stdout
    assert "Traceback" not in done.stdout
    (folder / "pytest.ini").write_text("[pytest]\nzoozl_conf = chatbot.toml\n")
    done = subprocess.run([*command, "chats"], cwd=folder, capture_output=True, text=True, timeout=120)
    assert "1 passed" in done.stdout, done.stdout + done.stderr


def test_it_works_where_pytest_is_not_installed(folder):
    (folder / "pytest.py").write_text("raise ModuleNotFoundError(\"No module named 'pytest'\", name='pytest')\n")
    done = run("test", "chats", cwd=folder, PYTHONPATH=str(folder))
    assert done.returncode == 0, done.stderr


# Recording


@pytest.fixture
async def recorded(folder, monkeypatch):
    monkeypatch.syspath_prepend(str(folder))
    store = await Store.open(folder / "zoozl.db")
    async with Bot("order", store=store) as bot:
        await bot.say("/order", "U0MARIA")
        await bot.say("2", "U0MARIA")
        await bot.say("maria@home.example", "U0MARIA")
        await bot.say("/bell", "U0MARIA")
        await bot.pass_time(600)
        await bot.say("/order", "U0BOB", room="C1", thread="T1")
        await bot.say("1", "U0BOB", room="C1", thread="T1")
    sys.modules.pop("order", None)
    return folder


async def test_what_is_recorded_goes_as_it_is_written(recorded):
    done = run("record", "--conf", "chatbot.toml", "--talker", "U0MARIA", "maria.chat", cwd=recorded)
    assert done.returncode == 0, done.stderr
    assert done.stderr == "8 messages, 1 talker; masked: 2 e-mail addresses, 1 long number\n"
    text = (recorded / "maria.chat").read_text("utf-8")
    assert (recorded / "maria.chat").stat().st_mode & 0o077 == 0
    assert "maria" not in text.lower()
    assert "48151623" not in text
    assert "anna: mail1@example.org\nbot: ~ Fish is coming, mail1@example\\.org will hear of it: order .+\\.\n" in text
    assert "--- 10 minutes later\nbot: Ding!\n" in text
    done = run("test", "maria.chat", cwd=recorded)
    assert done.returncode == 0, done.stdout
    again = run("record", "--conf", "chatbot.toml", "--talker", "U0MARIA", "maria.chat", cwd=recorded)
    assert again.returncode == 1
    assert "is there already" in again.stderr


async def test_rooms_the_last_messages_and_channels(recorded):
    done = run("record", "--conf", "chatbot.toml", "--talker", "U0BOB", cwd=recorded)
    assert done.stdout.endswith("\nanna @room1/thread1: 1\nbot: Where to? Your e-mail, please.\n")
    (recorded / "bob.chat").write_text(done.stdout)
    assert run("test", "bob.chat", cwd=recorded).returncode == 0
    done = run("record", "--conf", "chatbot.toml", "--talker", "U0BOB", "--last", "3", cwd=recorded)
    assert done.stdout.endswith(
        "# What was said before is left out.\n\n\nanna @room1/thread1: 1\nbot: Where to? Your e-mail, please.\n"
    )
    done = run("record", "--conf", "chatbot.toml", "--talker", "U0BOB", "--channel", "slack", cwd=recorded)
    assert done.returncode == 1
    assert "nothing is kept of 'U0BOB' in slack" in done.stderr


def test_files_are_told_of(folder):
    from zoozl.testing.masks import Masks
    from zoozl.testing.recording import write

    class Line:
        talker, from_bot, author, at, text, files, room, thread = "x", False, "", 0.0, "see", ("image/png",), "", ""

    assert "# anna sent a file here: image/png\n" in write([Line()], Masks())
