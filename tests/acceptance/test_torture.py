"""`zoozl torture` as an operator runs it; and that it can fail, by servers that break their promises."""

import os
import subprocess
import sys

import pytest


def torture(cwd, *arguments, **env):
    return subprocess.run(
        [sys.executable, "-m", "zoozl", "torture", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "TMPDIR": str(cwd), **env},
    )


def test_nothing_is_lost_or_doubled_by_a_few_kills(tmp_path):
    done = torture(tmp_path, "--kills", "5", "--talkers", "6", "--messages", "60", "--dialogs", "4")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "BROKEN" not in done.stdout
    # 6 talkers with 60 messages each, and 4 that give 6 orders in 4 messages.
    assert "456 of 456" in done.stdout
    assert "72 steps" in done.stdout
    assert list(tmp_path.glob("zoozl*")) == [], "it leaves nothing behind"


def test_the_configured_store_and_channels_are_never_touched(tmp_path):
    (tmp_path / "mine.py").write_text(
        "from zoozl.chatbot import Interface\n"
        "class Mine(Interface):\n"
        "    aliases = ('help',)\n"
        "    def load(self, root): assert root.conf['mine']['word'] == 'd\\u00e9j\\u00e0 \"vu\"'\n"
        "    def consume(self, package): package.callback(package.last_message_text)\n"
    )
    (tmp_path / "chatbot.toml").write_text(
        "extensions = ['mine']\nwebsocket_port = 1\nstore = 'sqlite:///mine.db?synchronous=NORMAL'\n"
        "email_port = 2\nemail_address = 'a@b.example'\n[mine]\nword = 'd\u00e9j\u00e0 \"vu\"'\n",
        "utf-8",
    )
    done = torture(tmp_path, "--conf", "chatbot.toml", "--kills", "1", "--talkers", "2", "--messages", "10")
    assert done.returncode == 0, done.stdout + done.stderr
    assert not (tmp_path / "mine.db").exists()


def test_a_mistake_in_the_configuration_is_no_broken_promise(tmp_path):
    (tmp_path / "chatbot.toml").write_text("extensions = ['nothing_here']\n")
    done = torture(tmp_path, "--conf", "chatbot.toml")
    assert done.returncode == 2
    assert "nothing_here" in done.stderr
    assert "Traceback" not in done.stderr


# Each breaks one promise in the server's process, where it is loaded as an extension.
DROPS_A_TURN = """
from zoozl.stores.sqlite.operations import Commit
write, calls = Commit.write, []
def drop(self, db, batch):
    calls.append(self)
    if len(calls) == 20:
        batch.finish(self.outcome.receipt.seq)
    else:
        write(self, db, batch)
Commit.write = drop
"""
FORGETS_KEYS = """
from dataclasses import replace
from zoozl.stores.sqlite.operations import Accept
write = Accept.write
def forget(self, db, batch):
    self.receipt.event = replace(self.receipt.event, keys=())
    write(self, db, batch)
Accept.write = forget
"""
ACKNOWLEDGES_BEFORE_THE_DISK = """
import time
from zoozl.stores.sqlite import writer
from zoozl.stores.sqlite.operations import Accept
hit = writer.hit
def slowly(name):
    if name == "before-commit":
        time.sleep(0.02)
    hit(name)
writer.hit = slowly
early = Accept.settle_early
def too_early(self):
    early(self)
    self.receipt.settle(None)
Accept.settle_early = too_early
"""

# Steps are only in the journal when their turn ends.
NOTES_NOTHING = """
from zoozl.chatbot.run import Run
async def note(self):
    self.check()
Run.note = note
"""
# What a turn has noted cannot be found by the message that it was cut in.
FORGETS_THE_QUESTION = """
from dataclasses import replace
from zoozl.stores.sqlite.operations import Note
write = Note.write
def forget(self, db, batch):
    self.step = replace(self.step, dialog=replace(self.step.dialog, question=None, deadline=None))
    write(self, db, batch)
Note.write = forget
"""


@pytest.mark.parametrize(
    ("sabotage", "promise"),
    [(NOTES_NOTHING, "each step took effect once"), (FORGETS_THE_QUESTION, "every reply came, once and in order")],
    ids=["notes nothing", "forgets the question"],
)
def test_a_server_that_breaks_a_promise_in_dialogs_is_found_out(tmp_path, sabotage, promise):
    (tmp_path / "sabotage.py").write_text(
        sabotage + "from zoozl.chatbot import Interface\nclass Nothing(Interface): pass\n"
    )
    (tmp_path / "chatbot.toml").write_text("extensions = ['zoozl.torture.plugin', 'sabotage']\n")
    plan = [
        "--kills",
        "6",
        "--talkers",
        "1",
        "--messages",
        "30",
        "--dialogs",
        "20",
        "--seed",
        "1",
        "--at",
        "step-noted",
    ]
    done = torture(tmp_path, "--conf", "chatbot.toml", *plan)
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"BROKEN  in dialogs: {promise}" in done.stdout


@pytest.mark.parametrize(
    ("sabotage", "kills", "promise"),
    [
        (DROPS_A_TURN, ["--kills", "0"], "lost ["),
        (FORGETS_KEYS, ["--kills", "2"], "twice ["),
        (ACKNOWLEDGES_BEFORE_THE_DISK, ["--kills", "6", "--at", "before-commit", "--messages", "100"], "lost ["),
    ],
    ids=["drops a turn", "forgets keys", "acknowledges before the disk"],
)
def test_a_server_that_breaks_a_promise_is_found_out(tmp_path, sabotage, kills, promise):
    (tmp_path / "sabotage.py").write_text(
        sabotage + "from zoozl.chatbot import Interface\nclass Nothing(Interface): pass\n"
    )
    (tmp_path / "chatbot.toml").write_text("extensions = ['zoozl.torture.plugin', 'sabotage']\n")
    plan = ["--talkers", "4", "--messages", "40", "--dialogs", "0", "--seed", "1", *kills]
    done = torture(tmp_path, "--conf", "chatbot.toml", *plan)
    assert done.returncode == 1, done.stdout + done.stderr
    broken = done.stdout.partition("BROKEN  each took effect exactly once and in order")[2]
    assert promise in broken, done.stdout
