"""Failpoints: nothing without the variable, the end of the process at the n-th hit with it."""

import os
import signal
import subprocess
import sys

import pytest

from zoozl import failpoints


def test_without_a_setting_nothing_happens():
    hit = failpoints.armed("", lambda: pytest.fail("it must not die"))
    for name in failpoints.NAMES:
        hit(name)


@pytest.mark.parametrize(("setting", "hits"), [("sent", 1), ("sent:1", 1), ("sent:3", 3)])
def test_it_dies_at_the_hit_that_is_named_and_only_there(setting, hits):
    deaths = []
    hit = failpoints.armed(setting, lambda: deaths.append("dead"))
    for _ in range(hits - 1):
        hit("sent")
        hit("accepted")
    assert deaths == []
    hit("sent")
    assert deaths == ["dead"]


@pytest.mark.parametrize("setting", ["send", "sent:0", "sent:x", "sent:-1", ":1"])
def test_a_setting_that_means_nothing_is_refused(setting):
    with pytest.raises(ValueError, match="ZOOZL_FAILPOINT is one of"):
        failpoints.armed(setting, lambda: None)


def test_the_process_dies_as_by_kill_9():
    program = "from zoozl.failpoints import hit\nhit('sent')\nhit('sent')\nprint('alive')"
    done = subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, "ZOOZL_FAILPOINT": "sent:2"}, capture_output=True
    )
    assert (done.returncode, done.stdout) == (-signal.SIGKILL, b"")


def test_every_failpoint_is_somewhere():
    from pathlib import Path

    import zoozl

    source = "".join(path.read_text("utf-8") for path in Path(zoozl.__file__).parent.rglob("*.py"))
    for name in failpoints.NAMES:
        assert source.count(f'hit("{name}")') == 1, name
