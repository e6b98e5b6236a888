"""The benchmarks are not run by the tests; that they can be imported is."""

import importlib
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"
MODULES = sorted(path.stem for path in FOLDER.glob("*.py"))


@pytest.fixture
def _importable(monkeypatch):
    # Their names are common ones: they must not stay behind.
    monkeypatch.syspath_prepend(str(FOLDER))
    before = {name: sys.modules.pop(name) for name in MODULES if name in sys.modules}
    yield
    for name in MODULES:
        sys.modules.pop(name, None)
    sys.modules.update(before)


@pytest.mark.usefixtures("_importable")
@pytest.mark.parametrize("name", MODULES)
def test_a_benchmark_can_be_imported(name):
    pytest.importorskip("picows")
    pytest.importorskip("psutil")
    assert importlib.import_module(name).__file__ == str(FOLDER / f"{name}.py")
