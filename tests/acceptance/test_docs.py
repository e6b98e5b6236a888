"""The snippets of the documentation are the files that are run here."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "docs" / "examples"


def test_the_tutorials_tests_pass_as_they_stand():
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", "/dev/null", "--rootdir=."]
    done = subprocess.run(command, cwd=EXAMPLES / "first_plugin", capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout


def snippets(page, language):
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / page).read_text("utf-8"), re.DOTALL)


@pytest.mark.parametrize("snippet", snippets("docs/tutorial/first-plugin.md", "(?:python|toml)"))
def test_every_snippet_of_the_tutorial_is_in_its_files(snippet):
    files = [path.read_text("utf-8") for path in sorted((EXAMPLES / "first_plugin").iterdir()) if path.is_file()]
    for block in re.split(r"\n\n\n+", snippet.strip()):
        assert any(block in text for text in files), block


def test_the_readmes_plugin_runs(chatbot, tmp_path, monkeypatch):
    plugin, test = snippets("README.md", "python")
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
