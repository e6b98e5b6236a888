"""The how-to's of the command line: their files work, and the commands they show exist."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

from zoozl.cli import main

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "docs" / "examples"
PAGES = [ROOT / "docs" / "howto" / name for name in ("command-line.md", "systemd.md", "write-and-test-a-plugin.md")]


def snippets(page, language):
    return re.findall(rf"```{language}\n(.*?)```", page.read_text("utf-8"), re.DOTALL)


def test_the_plugin_of_the_page_passes_its_tests():
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", "/dev/null", "--rootdir=."]
    done = subprocess.run(command, cwd=EXAMPLES / "new_plugin", capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout


@pytest.mark.parametrize("snippet", snippets(PAGES[2], "(?:python|toml)"))
def test_every_snippet_of_the_page_is_in_its_files(snippet):
    files = [path.read_text("utf-8") for path in sorted((EXAMPLES / "new_plugin").iterdir()) if path.is_file()]
    assert any(snippet.rstrip() in text for text in files)


def commands():
    for page in PAGES:
        for line in "\n".join(snippets(page, "bash")).splitlines():
            if found := re.match(r"(?:\S*/)?zoozl(?: ([^#>]*)|$)", line):
                yield (found[1] or "").split()


@pytest.mark.parametrize("words", list(commands()), ids=" ".join)
def test_every_command_that_is_shown_exists(words):
    group, context = main, click.Context(main)
    for word in words:
        if word.startswith("-"):
            known = {option for parameter in group.params for option in parameter.opts}
            assert word in known
        elif isinstance(group, click.Group) and not word.endswith(".toml"):
            found = group.get_command(context, word)
            assert found is not None, word
            group = found


def test_the_unit_is_one_that_systemd_takes(tmp_path):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("there is no systemd-analyze")
    text = (EXAMPLES / "systemd" / "zoozl.service").read_text("utf-8")
    start = re.search(r"(?m)^ExecStart=(\S+)", text)[1]
    assert start in (ROOT / "docs" / "howto" / "systemd.md").read_text("utf-8")
    unit = tmp_path / "zoozl.service"
    unit.write_text(text.replace(start, sys.executable))
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert str(unit) not in done.stderr
