"""Import modules a second time, beside the first: the old copies stay in use until the new ones have proved good."""

from __future__ import annotations

import ast
import importlib
import os
import sys
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

INSTALLED = ("site-packages", "dist-packages")


def top(name: str) -> str:
    """The package, or the module, that `name` begins with. What it holds is imported again as one."""
    return name.partition(".")[0]


@dataclass(frozen=True, slots=True)
class Own:
    """Which modules are the user's own: those in `folders` (absolute paths) and those below the names `tops`."""

    folders: tuple[str, ...]
    tops: frozenset[str] = frozenset()

    def has(self, name: str, file: str) -> bool:
        """Whether a module is; what was installed, zoozl itself and the program are not."""
        if top(name) in ("zoozl", "__main__") or any(part in INSTALLED for part in Path(file).parts):
            return False
        return top(name) in self.tops or self.within(file)

    def within(self, file: str) -> bool:
        """Whether a file is in one of the folders."""
        return any(file.startswith(folder + os.sep) for folder in self.folders)

    def modules(self) -> dict[str, ModuleType]:
        """Those that are imported now, by name."""
        found = {}
        for name, module in list(sys.modules.items()):
            # Not getattr: some modules import others when they are asked for anything.
            about = getattr(module, "__dict__", {})
            place = about.get("__file__") or next(iter(about.get("__path__") or ()), None)
            if isinstance(place, str) and self.has(name, place):
                found[name] = module
        return found


def imported(source: bytes) -> set[str]:
    """The first names of what a module's source imports, wherever it does; none if it cannot be read."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return set()
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {top(alias.name) for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            found.add(top(node.module))
    return found


def dependents(changed: Collection[str], imports: Mapping[str, Collection[str]]) -> set[str]:
    """`changed` and all that imports it, at first or second hand. `imports`: what each one imports."""
    found = set(changed)
    while more := {name for name, names in imports.items() if name not in found and found.intersection(names)}:
        found |= more
    return found


class Copies:
    """New copies of all that is imported below `tops`; `undo` puts the old ones back.

    `sys.modules` belongs to the whole process: while copies are made, a thread that imports one of these names finds
    the new one.
    """

    def __init__(self, tops: Collection[str], own: Own) -> None:
        self._tops = frozenset(tops)
        self._own = own
        self._old: dict[str, ModuleType] = {}
        self._before: frozenset[str] | None = None

    def make(self, names: Iterable[str], load: Callable[[str], object]) -> None:
        """Import the modules of these names anew, by `load`. When that raises, `undo` is to be called."""
        self._old = {name: module for name, module in list(sys.modules.items()) if top(name) in self._tops}
        self._before = frozenset(sys.modules)
        for name in self._old:
            del sys.modules[name]
        importlib.invalidate_caches()
        for name in names:
            load(name)
        # What no plugin imports any more belongs to somebody else, such as a channel. A submodule does not come back:
        # it would be an old one in a new package.
        done = {top(name) for name in list(sys.modules)}
        sys.modules.update({name: module for name, module in self._old.items() if top(name) not in done})

    def undo(self) -> None:
        """Forget the new copies."""
        if self._before is None:
            return  # nothing was done yet
        for name in self._own.modules():
            if name not in self._before or name in self._old:
                del sys.modules[name]
        sys.modules.update(self._old)
