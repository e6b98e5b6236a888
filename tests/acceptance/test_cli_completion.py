"""The completion scripts, in the shells they are for."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from process import ZOOZL

BASH = """
source <(zoozl completion bash)
COMP_WORDS=(zoozl {words}) COMP_CWORD={number}
_zoozl_completion zoozl
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
FISH = "zoozl completion fish | source; complete --do-complete 'zoozl {words}'"
# compadd and _describe are what the script ends in; without a terminal they have nowhere to show it.
ZSH = """
compdef() {{ }}
source <(zoozl completion zsh)
_describe() {{ print -l -- ${{(P)3}} }}
compadd() {{ print -l -- ${{(P)@[-1]}} }}
words=(zoozl {words}) CURRENT=$(({number} + 1))
_zoozl_completion
"""


def run(*command):
    # `zoozl` of this installation, wherever the tests run.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env={**os.environ, "PATH": path})
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(("shell", "script"), [("bash", BASH), ("zsh", ZSH), ("fish", FISH)])
@pytest.mark.parametrize(
    ("words", "expected"),
    [("do", "doctor"), ("store ba", "backup"), ("completion z", "zsh"), ("config --sch", "--schema")],
)
def test_words_are_completed(shell, script, words, expected):
    if shutil.which(shell) is None:
        pytest.skip(f"there is no {shell}")
    option = ["--norc"] if shell == "bash" else ["-f"] if shell == "zsh" else ["--no-config"]
    out = run(shell, *option, "-c", script.format(words=words, number=len(words.split())))
    assert any(line.split("\t")[0].split(":")[0].strip() == expected for line in out.splitlines()), out


def test_another_shell_is_refused():
    done = subprocess.run([*ZOOZL, "completion", "tcsh"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "'bash', 'zsh', 'fish'" in done.stderr


def test_help_knows_every_command_and_is_quick():
    times = []
    for _ in range(5):
        before = os.times()
        done = subprocess.run([*ZOOZL, "--help"], capture_output=True, text=True, timeout=60)
        after = os.times()
        times.append(after.children_user + after.children_system - before.children_user - before.children_system)
    for command in ("chat", "completion", "config", "doctor", "init", "new", "serve", "store", "torture"):
        assert f"\n  {command} " in done.stdout
    # Seconds of a processor, which is what it takes on a computer that does nothing else.
    assert min(times) <= 0.3
