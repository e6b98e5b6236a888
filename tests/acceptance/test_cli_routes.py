"""`zoozl explain` and `zoozl routes`, at the command line, alone and beside a running server that learns."""

import json
import os
import sqlite3
import subprocess
from contextlib import closing

import pytest
from process import ZOOZL, Started
from websockets.sync.client import connect

PLUGINS = """
from zoozl.chatbot import Interface

class Weather(Interface):
    name = "weather"
    aliases = ("what is the weather like", "will it rain tomorrow", "is it going to be sunny")
    def consume(self, package): package.callback("sunny")

class Wages(Interface):
    name = "wages"
    aliases = ("pay the wages", "send the salaries", "transfer money to the staff")
    def consume(self, package): package.callback("paid")

class Order(Interface):
    name = "order"
    aliases = ("order food", "bring me something to eat", "I am hungry")
    async def consume(self, package):
        package.callback(await package.ask("What will it be?"))

class Helper(Interface):
    name = "helper"
    aliases = ("help",)
    def consume(self, package): package.callback("what?")
"""
MESSAGES = """is it going to rain tomorrow?\tweather
pay my salary, please\tPay the wages
hungry, bring food\torder
my grandmother paints fences\t-
the train is late\t-
"""


@pytest.fixture
def bot(tmp_path, free_port):
    (tmp_path / "mine.py").write_text(PLUGINS)
    (tmp_path / "chatbot.toml").write_text(
        f'websocket_port = {free_port}\nextensions = ["mine"]\n[routing]\nlearn = true\n'
    )
    (tmp_path / "messages.tsv").write_text(MESSAGES)
    return tmp_path


def zoozl(cwd, *arguments, code=0):
    done = subprocess.run(
        [*ZOOZL, *arguments, "--conf", "chatbot.toml"],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
    )
    assert "Traceback" not in done.stderr
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout if code == 0 else done.stdout + done.stderr


def test_explain_tells_rule_ranking_embedder_and_time(bot):
    shown = zoozl(bot, "explain", "is it going to rain tomorrow?")
    assert '-> weather, by rule 7 of 8, nearest alias: "will it rain tomorrow", score 0.' in shown
    assert [line.split()[1] for line in shown.splitlines() if line.startswith("*")] == ["weather"]
    assert "minilm (bundled)" in shown
    assert " ms for the vector" in shown
    found = json.loads(zoozl(bot, "explain", "--json", "never mind"))
    assert (found["rule"], found["number"]) == ("literal cancel", 2)
    assert not (bot / "zoozl.db").exists(), "nothing is written"


def test_explain_says_what_it_misses(bot):
    assert "Give a text, or a stored message" in zoozl(bot, "explain", code=2)
    assert "there is no store yet" in zoozl(bot, "explain", "hi", "--talker", "anna", code=1)


def test_routes_shows_and_checks(bot):
    shown = zoozl(bot, "routes")
    assert "weather (mine)\n  what is the weather like\n" in shown
    assert "  help  (special)" in shown
    assert json.loads(zoozl(bot, "routes", "--json"))[0]["aliases"][0]["kind"] == "phrase"
    assert zoozl(bot, "routes", "--check") == "nothing to warn about\n"
    with (bot / "mine.py").open("a") as file:
        file.write(
            "class Twin(Interface):\n    name = 'twin'\n    aliases = ('will it be raining tomorrow',)\n"
            "    def consume(self, package): pass\n"
        )
    found = zoozl(bot, "routes", "--check", code=1)
    assert {line.split()[0] for line in found.splitlines()} >= {"collision", "few"}
    assert "to look at" in found


def test_eval_measures_and_fails_a_build(bot):
    shown = zoozl(bot, "routes", "eval", "messages.tsv", "--min-accuracy", "0.9", "--min-rejection", "0.9")
    assert "accuracy   100.0%  of 3 messages" in shown
    assert "rejection  100.0%  of 2 messages" in shown
    assert "0.9-1.0" in shown
    (bot / "messages.tsv").write_text(MESSAGES + "it is sunny\twages\n")
    found = zoozl(bot, "routes", "eval", "messages.tsv", "--min-accuracy", "0.9", code=1)
    assert "1  wages -> weather" in found
    assert "error: the accuracy is 75.0%, less than 90.0%" in found
    assert json.loads(zoozl(bot, "routes", "eval", "messages.tsv", "--json"))["accuracy"] == 0.75
    (bot / "talk.chat").write_text("# -> wages\nanna: send the salary\nbot: paid\n")
    assert "accuracy   100.0%" in zoozl(bot, "routes", "eval", "talk.chat")


def test_eval_draws_a_picture(bot):
    pytest.importorskip("matplotlib")
    zoozl(bot, "routes", "eval", "messages.tsv", "--plot", "plot.png")
    assert (bot / "plot.png").read_bytes().startswith(b"\x89PNG")


def test_eval_says_what_is_wrong_with_the_file(bot):
    (bot / "messages.tsv").write_text("hello\tnobody\nno tab\n")
    assert "messages.tsv:2: must be a message, a tab" in zoozl(bot, "routes", "eval", "messages.tsv", code=1)
    (bot / "messages.tsv").write_text("hello\tnobody\n")
    assert "messages.tsv:1: there is no plugin or alias 'nobody'" in zoozl(
        bot, "routes", "eval", "messages.tsv", code=1
    )


def test_beside_a_server_it_knows_the_talker_and_what_was_said_in_vain(bot, free_port):
    vain = ["translate a text to French", "translate this text to French please", "mail me: anna@example.com"]
    with Started("--conf", "chatbot.toml", cwd=bot):
        with connect(f"ws://127.0.0.1:{free_port}/") as client:
            client.send(json.dumps({"hello": {"resume": None, "last": 0}}))
            for number, text in enumerate([*vain, "order food"]):
                client.send(json.dumps({"id": f"m{number}", "text": text}))
                while "text" not in (frame := json.loads(client.recv(10))):
                    pass
            assert frame["text"] == "What will it be?"
            exported = [json.loads(line) for line in zoozl(bot, "store", "export").splitlines()]
            talker = next(row["talker"] for row in exported if row["type"] == "conversation")
            found = json.loads(zoozl(bot, "explain", "--json", "--talker", talker, "will it rain tomorrow"))
            assert (found["rule"], found["plugin"]) == ("open question", "order")
            assert zoozl(bot, "explain", "will it rain tomorrow").splitlines()[1].startswith("-> weather")
            with closing(sqlite3.connect(bot / "zoozl.db")) as db:
                (turn,) = db.execute("SELECT seq FROM message WHERE text = ?", (vain[0],)).fetchone()
            said = zoozl(bot, "explain", "--message", str(turn))
            assert said.startswith('"translate a text to French"')
            assert f"said by {talker}" in said
            shown = zoozl(bot, "routes", "suggest")
            assert shown.startswith("2 messages, ")
            assert '"translate a text to French",' in shown
            assert "example.com" not in zoozl(bot, "routes", "suggest", "--least", "1")


def test_suggest_needs_consent(bot):
    (bot / "chatbot.toml").write_text((bot / "chatbot.toml").read_text().replace("learn = true", "learn = false"))
    with Started("--conf", "chatbot.toml", cwd=bot):
        pass
    done = subprocess.run(
        [*ZOOZL, "routes", "suggest", "--conf", "chatbot.toml"], cwd=bot, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0
    assert "only with `learn = true`" in done.stderr


def test_a_background_that_cannot_be_read_is_told_with_its_line(bot):
    text = (bot / "chatbot.toml").read_text()
    (bot / "chatbot.toml").write_text(f'background = "strangers.txt"\n{text}')
    assert "chatbot.toml:1: background: " in zoozl(bot, "routes", code=2)
    (bot / "strangers.txt").write_text("\n".join(f"the train number {n} is late" for n in range(30)))
    assert "weather" in zoozl(bot, "explain", "is it going to rain tomorrow?")
