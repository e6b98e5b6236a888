"""A server as a process of its own, for tests that start and stop it."""

import os
import signal
import subprocess
import sys

ZOOZL = [sys.executable, "-m", "zoozl"]


class Started:
    """A server process; `lines` is what it said until it was up."""

    def __init__(self, *arguments, cwd, command=None, **env):
        self.process = subprocess.Popen(
            [*(command or ZOOZL), *arguments],
            cwd=cwd,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **env},
        )
        self.lines = []
        for line in self.process.stdout:
            self.lines.append(line.rstrip())
            if "Ctrl+C" in line:
                break
        else:
            raise AssertionError(self.process.stderr.read())

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.process.send_signal(signal.SIGTERM)
        self.output = self.process.communicate(timeout=20)
        assert self.process.returncode == 0, self.output[1]
