"""The keys and tables a configuration may hold: root keys, channels and their options, reserved tables."""

import difflib
import enum
import sys
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePath
from typing import Any

from pydantic import BaseModel, SecretStr

from zoozl import registry
from zoozl.channels.planned import ALIASES, PLANNED
from zoozl.config.locator import Path
from zoozl.errors import ConfigError
from zoozl.settings import RESERVED, TABLES, ChannelOptions, Settings

ROOT = Settings.model_fields


def nearest(word: object, known: Iterable[str]) -> str:
    """A hint at the known name that looks most like `word`; empty if nothing is known."""
    known = sorted(set(known))
    if close := difflib.get_close_matches(str(word).lower(), known, n=1):
        return f"; did you mean {close[0]}?"
    far = difflib.get_close_matches(str(word).lower(), known, n=1, cutoff=0.0)
    return f"; the nearest known key is {far[0]}" if far else ""


class Sections:
    """What is known. A channel's module is imported when a key of it turns up, not before."""

    def __init__(self, classes: Mapping[str, str]) -> None:
        """`classes`: the class of each channel that names one, "package.module:Class"."""
        self._classes = dict(classes)
        self._options: dict[str, type[ChannelOptions]] = {}
        self.built = frozenset(registry.names("channels")) | classes.keys()
        self.planned = PLANNED.keys() - self.built
        self.channels = self.built | self.planned
        self.names = self.channels | TABLES.keys() | set(RESERVED) | set(ALIASES)

    def options(self, channel: str) -> type[ChannelOptions]:
        """The model of a channel's options. Raises ConfigError when the channel cannot be imported."""
        if channel in self.planned:
            return PLANNED[channel]
        if channel not in self._options:
            found = registry.find("channels", self._classes.get(channel, channel))
            beside = getattr(sys.modules[found.__module__], "Options", ChannelOptions)
            options = getattr(found, "Options", beside)
            if not (isinstance(options, type) and issubclass(options, ChannelOptions)):
                raise ConfigError(f"channel {channel!r}: its Options must extend zoozl.settings.ChannelOptions")
            self._options[channel] = options
        return self._options[channel]

    def keys(self, channel: str) -> set[str]:
        """Names of a channel's options; none if it cannot be imported."""
        try:
            return _names(self.options(channel))
        except ConfigError:
            return set()

    def flat(self, key: str) -> tuple[str, str] | None:
        """The channel and option that a root key like `slack_port` stands for."""
        for name in sorted(self.channels | set(ALIASES), key=len, reverse=True):
            channel, option = ALIASES.get(name, name), key.removeprefix(f"{name}_")
            if option != key and option in _names(self.options(channel)):
                return channel, option
        return None

    def flat_keys(self) -> list[str]:
        """Every `<channel>_<option>`."""
        return [f"{channel}_{option}" for channel in self.channels for option in self.keys(channel)]

    def words(self) -> set[str]:
        """Every name of a root key, a channel's option, or both in one."""
        return {*ROOT, *self.flat_keys()}.union(*map(self.keys, self.channels))

    def canonical(self, path: Path) -> Path:
        """`path` in the one form used inside: (root key,), (channel, option) or (table, key)."""
        head = path[0]
        if not isinstance(head, str) or head in ROOT:
            return path
        if (head := ALIASES.get(head, head)) in self.names:
            return (head, *path[1:])
        option = self.flat(head)
        return (*option, *path[1:]) if option else path

    def refuse(self, path: Path, value: object) -> str | None:
        """Why nothing can be set at the canonical `path`, with the nearest key that can."""
        head, *rest = path
        is_table = bool(rest) or value == {}
        if head in ROOT:
            return None
        if head in self.channels:
            self.options(str(head))  # tells now if the channel cannot be imported
            if not is_table:
                return f"is a channel, which has keys of its own: write [{head}], or {head}_port at the top"
            return self._refuse_option(str(head), self.options(str(head)), rest[0]) if rest else None
        if head in TABLES and rest:
            return self._refuse_option(str(head), TABLES[head], rest[0])
        if is_table or (isinstance(value, list) and value and all(isinstance(v, dict) for v in value)):
            return None
        if head in RESERVED or head in TABLES:
            return f"is the name of a table: write [{head}]"
        if holders := [channel for channel in self.built if head in self.keys(channel)]:
            # The one that most people mean, if it is among them.
            holder = min(holders, key=lambda channel: (channel != "websocket", channel))
            return f"unknown key; did you mean {holder}_{head}?"
        return "unknown key" + nearest(head, [*ROOT, *self.flat_keys()])

    def _refuse_option(self, table: str, model: type[BaseModel], option: str | int) -> str | None:
        known = _names(model)
        if option in known or model.model_config.get("extra") == "allow":
            return None
        short = str(option).removeprefix(f"{table}_")
        if option in ROOT:
            return f"unknown key; {option} is a root key: write it above the first [table]"
        return f"unknown key in [{table}]" + nearest(short, known)

    def annotation(self, path: Path) -> Any:
        """The type of what is set at the canonical `path`, or None when nothing says."""
        head, *rest = path
        if head in ROOT:
            return _inner(Settings, path)
        if head in TABLES:
            return _inner(TABLES[head], rest)
        return _inner(self.options(str(head)), rest) if head in self.channels else None


def kinds(annotation: Any) -> Iterator[Any]:
    """The plain types a value of this annotation may have: str for secrets, list for every sequence."""
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        yield from kinds(typing.get_args(annotation)[0])
    elif origin in (typing.Union, types.UnionType):
        for member in typing.get_args(annotation):
            yield from kinds(member)
    elif origin is typing.Literal:
        yield from {type(value) for value in typing.get_args(annotation)}
    elif origin in (list, tuple, set, frozenset) or annotation in (list, tuple, set, frozenset):
        yield list
    elif isinstance(annotation, type) and issubclass(annotation, SecretStr | PurePath | enum.Enum):
        yield str
    else:
        yield annotation


def models(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models a value of this annotation may be."""
    return (kind for kind in kinds(annotation) if isinstance(kind, type) and issubclass(kind, BaseModel))


def _names(model: type[BaseModel]) -> set[str]:
    aliases = (field.validation_alias or field.alias for field in model.model_fields.values())
    return {*model.model_fields, *(alias for alias in aliases if isinstance(alias, str))}


def _inner(annotation: Any, path: Iterable[str | int]) -> Any:
    """The annotation of what lies at `path` inside a value of `annotation`."""
    for part in path:
        found = None
        for kind in kinds(annotation):
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                field = kind.model_fields.get(str(part))
                found = field.annotation if field else found
            elif typing.get_origin(kind) is dict:
                found = typing.get_args(kind)[1]
        if found is None:
            return None
        annotation = found
    return annotation
