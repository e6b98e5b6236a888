"""`zoozl chat`: dialogs in a terminal and from a pipe."""

import os
import pty
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest

FAKES = Path(__file__).parents[1] / "fakes"


@pytest.fixture
def command(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(FAKES))
    monkeypatch.setenv("TERM", "dumb")
    key = "5CJ_kbj3ZrZ7zCgAUXv7R_dCHxZkl2pUcs3Rt3zLd0Q="
    (tmp_path / "chatbot.toml").write_text(f'extensions = ["fake_dialogs"]\n[vault]\nkey = "{key}"\n')
    return [sys.executable, "-m", "zoozl", "chat", "--conf", str(tmp_path / "chatbot.toml")]


@pytest.fixture
def piped(command):
    """`piped("hello", "there")`: what the bot says to these lines."""

    def run(*lines):
        done = subprocess.run(command, input="\n".join(lines), capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout.removesuffix("\n").removeprefix("bot: ").split("\nbot: ")

    return run


def test_a_choice_is_its_number_and_yes_is_yes(piped):
    said = piped("/order", "lobster", "2", "many", "3", "what?", "yep")
    assert said == [
        "What will it be?\n\n1. Soup\n2. Fish of the *day*\n3. Cake",
        "Please choose one of these:\n\n1. Soup\n2. Fish of the *day*\n3. Cake",
        "How many?",
        "A number, please.",
        "3 times f, right? (yes/no)",
        "Please answer yes or no.",
        "3 f coming.",
    ]


def test_a_form_is_asked_one_by_one(piped):
    said = piped("/table", "Ann", "two", "2", "2026-12-24", "2", "y", "-")
    assert said == [
        "A table for you",
        "Your name",
        "How many people",
        "How many people: this must be a number.",
        "Which day",
        "Where\n\n1. Inside\n2. Outside",
        "With a dog (yes/no)",
        "Anything else (- to leave it out)",
        "name=Ann, people=2, day=2026-12-24, place=out, dog=yes, wish=",
    ]


def test_what_waits_is_listed_and_confirmed_by_its_id(piped):
    said = piped("/order", "cake", "1", "/pending")
    assert said[-1].startswith("Waiting for your answer:\n- ")
    assert "1 times c, right?" in said[-1]
    assert "/confirm_" in said[-1]


class Terminal:
    """A process with a terminal."""

    def __init__(self, command):
        self.fd, inner = pty.openpty()
        self.process = subprocess.Popen(command, stdin=inner, stdout=inner, stderr=subprocess.DEVNULL)
        os.close(inner)
        self.text = ""

    def type(self, text):
        os.write(self.fd, text.encode())

    def until(self, text, since=0):
        """Read until `text` is there, after the first `since` characters."""
        end = time.monotonic() + 30
        while text not in self.text[since:]:
            assert select.select([self.fd], [], [], end - time.monotonic())[0], self.text
            self.text += os.read(self.fd, 4096).decode()
        return len(self.text)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.process.terminate()
        self.process.wait(20)
        os.close(self.fd)


def test_a_secret_is_not_shown_while_it_is_typed(command, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("PROMPT_TOOLKIT_NO_CPR", "1")
    with Terminal(command) as terminal:
        terminal.until(">")
        terminal.type("/login\r")
        asked = terminal.until("Your word?")
        terminal.until(">", asked)
        terminal.type("hunter2\r")
        terminal.until("7 characters.")
        assert "/login" in terminal.text
        assert "hunter2" not in terminal.text


COUNT = """
import asyncio
import os

from zoozl.chatbot import Interface


class Count(Interface):
    aliases = ("/count",)

    async def consume(self, package):
        async with package.stream() as out:
            await out.write("one, ")
            while not os.path.exists({seen!r}):
                await asyncio.sleep(0.01)
            await out.write("two.")
"""


def test_an_answer_is_printed_as_it_grows(command, tmp_path):
    seen = tmp_path / "seen"
    (tmp_path / "counting.py").write_text(COUNT.format(seen=str(seen)))
    (tmp_path / "chatbot.toml").write_text('extensions = ["counting"]\n')
    with Terminal(command) as terminal:
        terminal.until("> ")
        terminal.type("/count\r")
        terminal.until("bot: one, ")
        seen.touch()
        terminal.until("bot: one, two.\r\n")
