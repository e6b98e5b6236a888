"""Lay the sources of a configuration over each other and remember where each value came from."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from zoozl.config.environment import Variable, typed
from zoozl.config.locator import Path
from zoozl.config.sections import ROOT, Sections
from zoozl.errors import ConfigError

# AilingBot's names that differ from ours by more than the prefix.
FOREIGN: dict[Path, Path] = {("log", "level"): ("log_level",), ("log", "file"): ("log_file",)}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value was set: `where` is "chatbot.toml:3" or a variable's name, `key` the key as written there."""

    where: str
    key: str

    def __str__(self) -> str:
        return self.key if self.where in ("", self.key) else f"{self.where}: {self.key}"


Leaf = tuple[Path, Any, Place | None]


def spelled(path: Path) -> str:
    """`path` as one writes it: slack.port, extensions[0]."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")


def inside(path: Path) -> str:
    """`path` as it goes on after the key it is relative to: .port, [0]."""
    return spelled(("", *path)) if path else ""


def leaves(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """The values in nested tables with their paths; a list is one value, and so is an empty table."""
    waiting: list[tuple[Path, Any]] = [(path, value)]
    while waiting:
        path, value = waiting.pop()
        if isinstance(value, Mapping) and value:
            waiting.extend(((*path, key), value[key]) for key in reversed([*value]))
        elif path:
            yield path, value


class Layers:
    """The values so far, in canonical form, weakest source first; mistakes and warnings met on the way."""

    def __init__(self, sections: Sections) -> None:
        self.sections = sections
        self.values: dict[Any, Any] = {}
        self.places: dict[Path, Place] = {}
        self.problems: list[str] = []
        self.warnings: list[str] = []

    def add(self, source: Iterable[Leaf], others: Mapping[Path, Place], lenient: bool = False) -> None:
        """Lay one source on top. `others` are the places of what is no leaf: tables, items of lists.

        Within one source a key may stand in two forms (`slack_port` and `[slack] port`) only with equal values.
        In a lenient source an unknown key is a warning.
        """
        layer: dict[Path, tuple[Any, Place | None]] = {}
        for written, value, place in source:
            try:
                path = self.sections.canonical(written)
                why = self.sections.refuse(path, value)
            except ConfigError as exc:
                # A channel cannot be loaded: the class that it names is to blame, if it names one.
                raise ConfigError(f"{others.get((written[0], 'type'), place)}: {exc}") from exc
            if lenient and not (path[0] in self.values or path[0] in ROOT or path[0] in self.sections.names):
                why = "is no key of zoozl"
            if why:
                (self.warnings if lenient else self.problems).append(f"{place}: {why}")
            elif path in layer and layer[path][0] != value:
                self.problems.append(f"{place}: is the same key as {layer[path][1]}, with another value; keep one")
            else:
                layer[path] = value, place
        for path, (value, place) in layer.items():
            self._set(path, value)
            if place:
                self.places[path] = place
        for written, place in others.items():
            self.places.setdefault(self.sections.canonical(written), place)

    def add_variables(self, variables: Iterable[Variable], lenient: bool = False) -> None:
        """Lay variables on top; the type of a key, or else its value so far, says how to read them."""
        source: list[Leaf] = []
        for variable in variables:
            place = Place(variable.where or variable.name, variable.name)
            if not all(variable.path):
                self.problems.append(f"{place}: names no key: a level of it is empty")
                continue
            written = self._written(variable.path)
            if lenient:
                written = FOREIGN.get(written, written)
            try:
                path = self.sections.canonical(written)
                annotation = self.sections.annotation(path)
            except ConfigError as exc:
                raise ConfigError(f"{place}: {exc}") from exc
            value = typed(variable.text, annotation, self._get(path))
            source.extend((inner, leaf, place) for inner, leaf in leaves(value, written))
        self.add(source, {}, lenient)

    def place(self, path: Path) -> tuple[Place | None, Path]:
        """Where `path` was set, or the nearest thing around it, and what is left of `path` inside that."""
        for size in range(len(path), 0, -1):
            if found := self.places.get(path[:size]):
                return found, path[size:]
        return next((place for known, place in self.places.items() if known[: len(path)] == path), None), ()

    def _set(self, path: Path, value: Any) -> None:
        *parents, last = path
        table = self.values
        for part in parents:
            if not isinstance(table.get(part), dict):
                table[part] = {}
            table = table[part]
        if value == {} and isinstance(table.get(last), dict):
            return
        table[last] = value
        for stale in [known for known in self.places if known[: len(path)] == path]:
            del self.places[stale]

    def _get(self, path: Path) -> Any:
        value: Any = self.values
        for part in path:
            value = value.get(part) if isinstance(value, dict) else None
        return value

    def _written(self, levels: list[str]) -> Path:
        """The levels of a variable, spelled as the keys that are there already."""
        path: Path = ()
        table: Any = self.values
        for level in levels:
            names = table if isinstance(table, dict) else {}
            name = level if level in names else next((n for n in names if n.lower() == level), level)
            path += (name,)
            table = names.get(name)
        return path
