"""`zoozl config` as one uses it."""

import json
import os
import subprocess

import pytest
import tomli
from process import ZOOZL

from zoozl import config


def run(*arguments, cwd, **env):
    return subprocess.run(
        [*ZOOZL, "config", *arguments], cwd=cwd, capture_output=True, text=True, timeout=60, env={**os.environ, **env}
    )


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "chatbot.toml").write_text(
        'author = "Ann"\nwebsocket_port = 0\n[weather]\n"a b" = 1\ntoken = "hunter2hunter2"\n[slack]\nenabled = false\n'
        'bot_token = "xoxb-hunter2"\n'
    )
    return tmp_path


def test_it_shows_each_value_with_its_origin_and_no_secret(folder):
    done = run("--conf", "chatbot.toml", cwd=folder, ZOOZL_HOST="::1")
    assert done.returncode == 0, done.stderr
    lines = dict(line.rsplit("  # ", 1) for line in done.stdout.splitlines())
    origins = {text.strip(): origin for text, origin in lines.items()}
    assert origins['author = "Ann"'] == "chatbot.toml:1"
    assert origins['host = "::1"'] == "environment ZOOZL_HOST"
    assert origins["lane_depth = 100"] == "default"
    assert origins['slack.bot_token = "***"'] == "chatbot.toml:8"
    assert origins['weather."a b" = 1'] == "chatbot.toml:4"
    assert "hunter2" not in done.stdout + done.stderr


def test_what_it_shows_is_a_configuration_with_the_same_meaning(folder):
    shown = tomli.loads(run("--conf", "chatbot.toml", cwd=folder).stdout)
    ours = config.load(folder / "chatbot.toml", {})
    again = config.from_dict(shown, {})
    assert again.settings == ours.settings
    assert again.retention == ours.retention
    assert again.channels == ours.channels


@pytest.mark.parametrize("key", ["websocket_port", "websocket.port"])
def test_one_key_by_either_of_its_names(folder, key):
    done = run("--conf", "chatbot.toml", "-k", key, cwd=folder)
    assert done.stdout.split() == ["websocket.port", "=", "0", "#", "chatbot.toml:2"]


def test_a_table(folder):
    done = run("--conf", "chatbot.toml", "--config-key", "weather", cwd=folder)
    assert len(done.stdout.splitlines()) == 2


def test_a_key_that_is_none(folder):
    done = run("--conf", "chatbot.toml", "-k", "lane_deph", cwd=folder)
    assert done.returncode == 2
    assert done.stderr == "error: there is no key lane_deph; did you mean lane_depth?\n"


def test_json_is_for_programs(folder):
    done = run("--conf", "chatbot.toml", "--json", cwd=folder)
    assert json.loads(done.stdout)["author"] == {"value": "Ann", "origin": "chatbot.toml:1"}


def test_the_schema_needs_no_configuration(tmp_path):
    done = run("--schema", cwd=tmp_path)
    assert json.loads(done.stdout)["properties"]["websocket_port"]["maximum"] == 65535
    assert run("--schema", "-k", "x", cwd=tmp_path).returncode == 2


def test_a_configuration_with_a_mistake(folder):
    (folder / "chatbot.toml").write_text("websocket_prot = 1\n")
    done = run("--conf", "chatbot.toml", cwd=folder)
    assert done.returncode == 2
    assert "chatbot.toml:1" in done.stderr
    assert "Traceback" not in done.stderr
