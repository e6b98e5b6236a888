"""`zoozl init`: whatever it writes can be used without a warning."""

import itertools
import os
import re
import stat
import subprocess
import sys

import pytest
from click.testing import CliRunner
from process import ZOOZL, Started

from zoozl import config, registry
from zoozl.cli import main
from zoozl.config.sections import Sections
from zoozl.config.starter import Chosen, dotenv, starter

CHANNELS = registry.names("channels")
SUBSETS = [names for size in range(1, len(CHANNELS) + 1) for names in itertools.combinations(CHANNELS, size)]

# A channel of somebody else's, installed beside zoozl, which needs more than a port.
RAVEN = '''
from typing import ClassVar
from pydantic import model_validator
from zoozl.settings import ChannelOptions, Secret, Text
from pydantic import Field

class Options(ChannelOptions):
    """Ravens, from tower to tower."""
    asks: ClassVar = ("tower",)
    tower: Text | None = Field(None, description="Where they fly to.")
    oath: Secret | None = Field(None, description="What they answer to.")
    seeds: int | None = Field(None, ge=1, description="What they eat.")
    grain: int | None = Field(None, ge=1, description="What they eat as well.")

    @property
    def is_on(self):
        return self.enabled and self.tower is not None

    @model_validator(mode="after")
    def complete(self):
        if self.tower is not None:
            self.require("tower", "oath", ("seeds", "grain"))
        return self

class Channel:
    def __init__(self, options, bot, name): ...
    async def send(self, address, message, key): ...
    async def close(self): ...
'''


def run(*arguments, cwd, **env):
    return subprocess.run(
        [*ZOOZL, "init", *arguments],
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **env},
    )


def loaded(path):
    found = config.load(path, {}, need_channel=False)
    assert found.warnings == ()
    return found


@pytest.fixture
def ravens(tmp_path):
    site = tmp_path / "site"
    info = site / "ravens-1.dist-info"
    info.mkdir(parents=True)
    (site / "ravens.py").write_text(RAVEN)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: ravens\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[zoozl.channels]\nraven = ravens:Channel\n")
    return {"PYTHONPATH": str(site)}


def test_what_it_writes_without_asking_runs(tmp_path, free_port):
    done = run("--silence", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    path = tmp_path / "chatbot.toml"
    assert "zoozl --conf chatbot.toml" in done.stdout
    path.write_text(path.read_text().replace("\nport = 1601", f"\nport = {free_port}"))
    with Started("--conf", "chatbot.toml", cwd=tmp_path) as server:
        assert any("bulls" in line or "games" in line for line in server.lines)
    assert "WARNING" not in server.output[1]
    assert "warning" not in server.output[1]


@pytest.mark.parametrize("names", SUBSETS, ids=" ".join)
def test_every_combination_of_channels_loads_without_a_warning(tmp_path, names):
    path = tmp_path / "my.toml"
    arguments = [f"--channel={name}" for name in names]
    done = CliRunner().invoke(main, ["init", str(path), "--silence", *arguments])
    assert done.exit_code == 0, done.output
    found = loaded(path)
    assert set(names) <= set(found.layers.values)
    assert found.settings.extensions


def test_no_channel_that_is_only_planned_is_offered(tmp_path):
    planned = sorted(Sections({}).planned)
    for name in planned:
        done = run("--silence", "--channel", name, cwd=tmp_path)
        assert done.returncode == 2
        assert f"no channel called {name}" in done.stderr
        assert list(tmp_path.iterdir()) == []
        break


def test_every_default_that_is_commented_out_is_the_default(tmp_path):
    path = tmp_path / "chatbot.toml"
    run("--silence", cwd=tmp_path)
    text = path.read_text()
    before = loaded(path)
    shown = re.sub(r"(?m)^# (\w+ = (?!\.\.\.))", r"\1", text)
    assert len(shown) < len(text) - 20
    path.write_text(shown)
    after = loaded(path)
    assert after.settings == before.settings
    assert after.channels == before.channels


def test_a_channel_that_lacks_something_is_written_switched_off(tmp_path, ravens):
    done = run("--silence", "--channel=raven", "--channel=websocket", cwd=tmp_path, **ravens)
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "chatbot.toml").read_text()
    assert "off until you set tower and take this line away:\nenabled = false" in text
    assert "# oath belongs into .env: ZOOZL_RAVEN__OATH=..." in text
    assert "[raven] is switched off" in done.stdout
    shown = subprocess.run(
        [*ZOOZL, "config", "--conf", "chatbot.toml", "-k", "raven.enabled"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**os.environ, **ravens},
    )
    assert shown.stdout.startswith("raven.enabled = false")
    assert shown.stderr == ""


def test_it_overwrites_only_when_told(tmp_path):
    path = tmp_path / "chatbot.toml"
    path.write_text("mine")
    done = run("--silence", cwd=tmp_path)
    assert done.returncode == 2
    assert "chatbot.toml: is there already" in done.stderr
    assert path.read_text() == "mine"
    assert run("--silence", "--overwrite", cwd=tmp_path).returncode == 0
    loaded(path)


def test_without_a_terminal_it_does_not_ask(tmp_path):
    done = run(cwd=tmp_path)
    assert done.returncode == 2
    assert "--silence" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there(tmp_path):
    done = run("nowhere/chatbot.toml", "--silence", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr == "error: nowhere/chatbot.toml: cannot be written: No such file or directory\n"


class Terminal:
    """A person at `zoozl init`."""

    def __init__(self, cwd, *arguments, **env):
        pty = pytest.importorskip("pty")
        self.ours, theirs = pty.openpty()
        self.process = subprocess.Popen(
            [*ZOOZL, "init", *arguments],
            cwd=cwd,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**os.environ, **env},
            start_new_session=True,
        )
        os.close(theirs)
        self.seen = ""

    def read(self):
        try:
            return os.read(self.ours, 4096).decode()
        except OSError:  # the other end was closed
            return ""

    def answer(self, question, text):
        at = len(self.seen)
        while question not in self.seen[at:]:
            more = self.read()
            assert more, self.seen
            self.seen += more
        os.write(self.ours, f"{text}\n".encode())

    def end(self):
        while more := self.read():
            self.seen += more
        os.close(self.ours)
        return self.process.wait(30)


def test_it_asks_for_what_a_channel_needs_and_keeps_secrets_apart(tmp_path, ravens):
    (tmp_path / ".env").write_text("OTHER=1")
    person = Terminal(tmp_path, **ravens)
    person.answer("Channels", "pigeon")
    person.answer("no channel called pigeon", "raven, websocket")
    person.answer("Name of the bot", 'Odin "One-eye"')
    person.answer("tower", "Winterfell")
    person.answer("oath", "it's \\n a secret #1")
    person.answer("seeds (or nothing", "")
    person.answer("grain", "none")
    person.answer("grain", "3")
    person.answer("port [1601]", "")
    assert person.end() == 0, person.seen
    assert "secret #1" not in person.seen
    text = (tmp_path / "chatbot.toml").read_text()
    assert "secret #1" not in text
    assert stat.S_IMODE((tmp_path / ".env").stat().st_mode) & 0o077 in (0, 0o044)
    assert (tmp_path / ".env").read_text().startswith("OTHER=1\nZOOZL_RAVEN__OATH=")
    program = (
        "from zoozl import config\n"
        "c = config.load('chatbot.toml', {})\n"
        "r = c.channels['raven']\n"
        "print([c.settings.author, r.tower, r.oath.get_secret_value(), r.grain, c.channels['websocket'].port, c.warnings])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, env={**os.environ, **ravens}
    )
    assert done.stdout.strip() == repr(['Odin "One-eye"', "Winterfell", "it's \\n a secret #1", 3, 1601, ()]), (
        done.stderr
    )


def test_a_new_file_of_secrets_is_its_owners(tmp_path, ravens):
    person = Terminal(tmp_path, "--channel=raven", **ravens)
    for question, answer in (("Name", ""), ("tower", "t"), ("oath", "o"), ("seeds", "1")):
        person.answer(question, answer)
    assert person.end() == 0, person.seen
    assert stat.S_IMODE((tmp_path / ".env").stat().st_mode) == 0o600
    # What is there is not asked for again.
    again = Terminal(tmp_path, "--channel=raven", "--overwrite", **ravens)
    for question, answer in (("Name", ""), ("tower", "t"), ("seeds", "1")):
        again.answer(question, answer)
    assert again.end() == 0, again.seen
    assert (tmp_path / ".env").read_text() == "ZOOZL_RAVEN__OATH='o'\n"


def test_going_away_in_the_middle_writes_nothing(tmp_path):
    person = Terminal(tmp_path)
    person.answer("Channels", "\x04")
    assert person.end() == 1
    assert "Traceback" not in person.seen
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("value", ["a'b", "a\\", "a\\'b", '"x"', "${HOME} #1", "ü", " s "])
def test_a_secret_is_read_as_it_was_written(tmp_path, value):
    (tmp_path / ".env").write_text(dotenv({"ZOOZL_AUTHOR": value}), "utf-8")
    chosen = Chosen("websocket", Sections({}).options("websocket"), {"port": 1})
    (tmp_path / "chatbot.toml").write_text(starter("chatbot.toml", [], "x", [chosen]))
    assert loaded(tmp_path / "chatbot.toml").settings.author == value
