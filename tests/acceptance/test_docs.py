"""The snippets of the documentation are the files that are run here."""

import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from zoozl.chatbot import Interface, Package

ZOOZL = [sys.executable, "-m", "zoozl"]
ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "docs" / "examples"


PYTEST = [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", "-c", "/dev/null", "--rootdir=."]
PAGES = {
    "tutorial/first-plugin.md": ["first_plugin"],
    "tutorial/dialog.md": ["first_dialog"],
    "howto/write-and-test-a-plugin.md": ["new_plugin"],
    "howto/ask-and-confirm.md": ["food", "booking", "onboarding", "../../zoozl/plugins"],
    "howto/group-conversations.md": ["thread"],
    "howto/write-a-channel.md": ["own_channel"],
}


def test_the_tests_and_transcripts_of_the_examples_pass_as_they_stand():
    found = [path for pattern in ("*/test_*.py", "*/*.chat") for path in EXAMPLES.glob(pattern)]
    tested = {path.parent.name for path in found}
    assert tested == {path.parent.name for path in EXAMPLES.glob("*/chatbot.toml")}, "every example has a test"
    # In one process, which loads the model once.
    done = subprocess.run(PYTEST, cwd=EXAMPLES, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    for path in found:
        name = re.escape(str(path.relative_to(EXAMPLES)))
        assert re.search(rf"^{name}::[\w:]+ PASSED", done.stdout, re.MULTILINE), path


@pytest.mark.parametrize("folder", sorted(path.parent.name for path in EXAMPLES.glob("*/chatbot.toml")))
def test_the_configuration_of_an_example_is_in_order(folder, tmp_path):
    shutil.copytree(EXAMPLES / folder, tmp_path, dirs_exist_ok=True)
    if "[vault]" in (tmp_path / "chatbot.toml").read_text("utf-8"):
        subprocess.run([*ZOOZL, "vault", "new-key", "vault.key"], cwd=tmp_path, check=True, capture_output=True)
    done = subprocess.run([*ZOOZL, "config", "--conf", "chatbot.toml"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""


def snippets(page, language):
    """The blocks of a page in a language (a regular expression)."""
    blocks = re.findall(r"^```(.*)\n((?:.*\n)*?)```$", (ROOT / page).read_text("utf-8"), re.MULTILINE)
    return [text for name, text in blocks if re.fullmatch(language, name)]


@pytest.mark.parametrize(
    ("page", "snippet"),
    # What is in no language is a conversation.
    [(page, text) for page in PAGES for text in snippets(f"docs/{page}", "python|toml|")],
)
def test_every_snippet_of_a_page_is_in_its_files(page, snippet):
    folders = [EXAMPLES / name for name in PAGES[page]]
    files = [path.read_text("utf-8") for folder in folders for path in sorted(folder.iterdir()) if path.is_file()]
    for block in re.split(r"\n\n\n+", snippet.strip("\n")):
        # A method stands on a page without the indentation of its class.
        wanted = (block, textwrap.indent(block, "    "))
        assert any(form in text for text in files for form in wanted), block


def test_the_readmes_conversation_runs(chatbot):
    _, dialog, _ = snippets("README.md", "python")
    space = {"Interface": Interface, "Package": Package}
    exec(dialog, space)
    text = (ROOT / "README.md").read_text("utf-8")
    sentence = re.search(r"^Choices are buttons .*?\.", text, re.DOTALL | re.MULTILINE)[0]
    answers = re.findall('"(.*?)"', sentence)
    assert len(answers) == 3
    bot = chatbot(space["Order"])
    for talker, answer in enumerate(answers):
        assert bot.say("/order", str(talker)) == ["What will it be?\n\n1. Soup\n2. Fish\n3. Cake"]
        assert bot.say(answer, str(talker)) == ["One Fish, right? (yes/no)"]
    assert bot.tap("Yes", "0") == ["Fish is coming."]
    bot.pass_time(301)
    assert bot.say("/pending", "1") == ["Nothing is waiting for your answer."]


def test_the_readmes_plugin_runs(chatbot, tmp_path, monkeypatch):
    plugin, _, test = snippets("README.md", "python")
    (tmp_path / "my_plugin.py").write_text(plugin)
    monkeypatch.syspath_prepend(str(tmp_path))
    space = {}
    exec(test, space)
    space["test_my_plugin"](chatbot)
    sentence = re.search(r"^Now .*?:", (ROOT / "README.md").read_text("utf-8"), re.DOTALL | re.MULTILINE)[0]
    quoted = re.findall('"(.*?)"', sentence)
    assert len(quoted) == 2
    bot = chatbot("my_plugin", "zoozl.plugins.helpers")
    for text in quoted:
        assert f'"{text}"' in plugin + test, "what the text promises is what the snippets show"
        assert bot.say(" ".join(text.split())) == ["Hello this is my plugin response"]
        assert bot.last.route.score > 0.6
