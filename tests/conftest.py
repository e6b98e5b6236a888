"""What all tests share."""

import os
from pathlib import Path

import pytest
from blockbuster import blockbuster_ctx

from zoozl import config
from zoozl.server import serving
from zoozl.testing import bundled_embedder

# Tests start hundreds of processes; each would compile everything anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


@pytest.fixture(autouse=True)
def no_zoozl_in_the_environment(monkeypatch):
    for name in list(os.environ):
        if name.upper().startswith(("ZOOZL_", "AILINGBOT_")) and not name.upper().startswith("ZOOZL_TEST_"):
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def blocking_calls_on_the_loop_fail():
    """Blocking code runs in four named places, and none of them is the event loop."""
    with blockbuster_ctx("zoozl") as blockers:
        for function in blockers.functions.values():
            # Before anybody is served: extensions are imported, files of the package are read.
            function.can_block_in("zoozl/chatbot/context.py", {"__init__", "load"})
            function.can_block_in("zoozl/config/loading.py", {"from_dict"})
            function.can_block_in("zoozl/registry.py", {"find"})
            function.can_block_in("zoozl/server.py", {"__init__"})
        yield


@pytest.fixture
def serve(monkeypatch):
    """`async with serve(websocket_port=0) as server`: a server with the plugins of tests/fakes, on free ports."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent / "fakes"))

    def make(**conf):
        conf.setdefault("extensions", ["fake_plugins"])
        conf.setdefault("websocket_port", 0)
        conf.setdefault("embedder", bundled_embedder())
        return serving(config.from_dict(conf))

    return make


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Half a surrogate pair in what a test logged cannot travel between the processes of pytest-xdist."""
    report = yield
    report.sections = [(name, text.encode("utf-8", "replace").decode()) for name, text in report.sections]
    return report
