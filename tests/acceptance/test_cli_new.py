"""`zoozl new plugin`: what it writes works as it stands, and nothing that was there is lost."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from process import ZOOZL

ROOT = Path(__file__).parents[2]
PYTHON = [sys.executable, "-m"]


def run(*arguments, cwd, **env):
    return subprocess.run(
        [*ZOOZL, "new", "plugin", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **env},
    )


def passes(*command, cwd):
    done = subprocess.run([*PYTHON, *command], cwd=cwd, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_what_it_writes_passes_pytest_ruff_and_mypy(tmp_path):
    assert run("order_status", cwd=tmp_path).returncode == 0
    files = ["order_status.py", "test_order_status.py"]
    assert sorted(path.name for path in tmp_path.iterdir()) == files
    ours = ["--config", str(ROOT / "pyproject.toml"), "--ignore", "S101"]
    passes("ruff", "check", "--no-cache", "--isolated", *files, cwd=tmp_path)
    passes("ruff", "check", "--no-cache", *ours, *files, cwd=tmp_path)
    passes("ruff", "format", "--no-cache", "--isolated", "--check", *files, cwd=tmp_path)
    passes("mypy", "--strict", "--cache-dir", str(tmp_path / "cache"), *files, cwd=tmp_path)
    assert "2 passed" in passes(
        "pytest", "-q", "-p", "no:cacheprovider", "-c", "/dev/null", "--rootdir=.", cwd=tmp_path
    )


CONF = """\
# My bot

author = "Ann"  # that is me
extensions = [
    "zoozl.plugins.greeter",  # says hello
]
websocket_port = 0

[order_status]
text = "On its way."
"""


@pytest.mark.parametrize("how", [{}, {"ZOOZL_CONF": "chatbot.toml"}, ["--conf", "chatbot.toml"]])
def test_it_is_added_to_the_configuration_and_answers(tmp_path, how):
    path = tmp_path / "chatbot.toml"
    path.write_text(CONF)
    path.chmod(0o640)
    arguments, env = (how, {}) if isinstance(how, list) else ([], how)
    done = run("order_status", *arguments, cwd=tmp_path, **env)
    assert done.returncode == 0, done.stderr
    assert 'Added "order_status" to extensions in chatbot.toml' in done.stdout
    assert path.read_text() == CONF.replace("# says hello\n", '# says hello\n    "order_status",\n')
    assert path.stat().st_mode & 0o777 == 0o640
    said = subprocess.run(
        [*ZOOZL, "chat", "--conf", "chatbot.toml"], cwd=tmp_path, input="order status\n", capture_output=True, text=True
    )
    assert said.stdout.splitlines()[-1] == "Ann: On its way."


def test_it_goes_beside_the_configuration(tmp_path):
    (tmp_path / "bot").mkdir()
    (tmp_path / "bot" / "my.toml").write_bytes(b"\xef\xbb\xbfwebsocket_port = 0\r\n")
    assert run("weather", "--conf", "bot/my.toml", cwd=tmp_path).returncode == 0
    assert (tmp_path / "bot" / "weather.py").exists()
    assert (tmp_path / "bot" / "my.toml").read_bytes() == (
        b'\xef\xbb\xbfextensions = ["weather"]\r\n\r\nwebsocket_port = 0\r\n'
    )


def test_without_a_configuration_it_says_what_to_do(tmp_path):
    done = run("weather", cwd=tmp_path)
    assert 'Add "weather" to `extensions`' in done.stdout


def test_an_environment_that_wins_is_told(tmp_path):
    (tmp_path / "chatbot.toml").write_text("websocket_port = 0\n")
    done = run("weather", cwd=tmp_path, ZOOZL_EXTENSIONS="zoozl.plugins.pong")
    assert "ZOOZL_EXTENSIONS sets extensions, too" in done.stderr


@pytest.mark.parametrize("there", ["weather.py", "test_weather.py"])
def test_nothing_is_overwritten(tmp_path, there):
    (tmp_path / "chatbot.toml").write_text("websocket_port = 0\n")
    (tmp_path / there).write_text("mine")
    done = run("weather", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == f"error: {there}: is there already\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["chatbot.toml", there]
    assert (tmp_path / there).read_text() == "mine"
    assert (tmp_path / "chatbot.toml").read_text() == "websocket_port = 0\n"


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("Order-Status", "order_status can be one"),
        ("../evil", "evil can be one"),
        ("class", "cannot be a module's name"),
        ("7up", "cannot be a module's name"),
        ("json", "there is a module 'json' already"),
        ("click", "there is a module 'click' already"),
        ("zoozl", "there is a module 'zoozl' already"),
        ("slack", "the name of a table"),
        ("retention", "the name of a table"),
        ("help", "a meaning of its own"),
        ("conftest", "a meaning of its own"),
        ("test_me", "a meaning of its own"),
    ],
)
def test_a_name_that_cannot_be(tmp_path, name, why):
    done = run(name, cwd=tmp_path)
    assert done.returncode == 2
    assert why in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("toml", ["websocket_port = \n", 'extensions = "a"\n', "websocket_prot = 1\n"])
def test_a_configuration_with_a_mistake_is_told_first(tmp_path, toml):
    (tmp_path / "chatbot.toml").write_text(toml)
    done = run("weather", cwd=tmp_path)
    assert done.returncode == 2
    assert "chatbot.toml:1" in done.stderr
    assert not (tmp_path / "weather.py").exists()
