"""The configuration: TOML, `.env` and environment, checked. A mistake is one ConfigError that names its place."""

import difflib
import os
import re
import sys
import typing
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tomli
from pydantic import BaseModel, SecretStr

from zoozl import redaction
from zoozl.chatbot.context import BUNDLED
from zoozl.config import environment
from zoozl.config.layers import Layers, Place, inside, leaves, spelled
from zoozl.config.locator import Path as KeyPath
from zoozl.config.locator import locate
from zoozl.config.sections import ROOT, Sections, nearest
from zoozl.config.validation import validated
from zoozl.errors import ConfigError
from zoozl.redaction import named_secrets
from zoozl.settings import RESERVED, TABLES, ChannelOptions, Retention, Settings

# What runs without a configuration.
DEFAULTS = {"websocket_port": 1601, "extensions": list(BUNDLED)}


@dataclass(frozen=True)
class Config:
    """A configuration that has been checked. Its repr holds no secret."""

    path: Path | None
    folder: Path
    settings: Settings
    retention: Retention
    tables: dict[str, BaseModel]
    """Those of `settings.TABLES` that are written, but for retention."""
    channels: dict[str, ChannelOptions]
    conf: dict[str, Any] = field(repr=False)
    warnings: tuple[str, ...]
    layers: Layers = field(repr=False, compare=False)

    def error(self, key: str, why: str) -> ConfigError:
        """An error about `key` that points at where it was set; `slack_port` and `slack.port` are the same key."""
        place, rest = self.layers.place(self._path(key))
        return ConfigError(f"{place}{inside(rest)}: {why}" if place else f"{key}: {why}")

    def origin(self, key: str) -> str:
        """Where `key` was set: "chatbot.toml:3", ".env:1", "ZOOZL_AUTHOR", or "default"."""
        place = self.layers.places.get(self._path(key))
        return (place.where or "conf") if place else "default"

    def check_tables(self, extensions: Iterable[str]) -> list[str]:
        """Warnings about tables that belong to nothing; `extensions` are all the names of the loaded plugins.

        To be called when the extensions have been imported. Raises ConfigError when the name of such a table is
        nearly that of a known one.
        """
        known = set(extensions)
        warnings = []
        for name, table in self.layers.values.items():
            if name in ROOT or name in self.layers.sections.names or _owned(name, table, known):
                continue
            place, _ = self.layers.place((name,))
            where = f"{place.where}: " if place and place.where else ""
            if near := _near(name, self.layers.sections.names | known):
                raise ConfigError(f"{where}{name}: unknown table; did you mean [{near}]?")
            warnings.append(f"{where}{name}: no loaded extension has the name of the table [{name}]")
        return warnings

    def _path(self, key: str) -> KeyPath:
        # A table may carry the dotted name of a module: the longest name that was set wins.
        parts = key.split(".")
        for size in range(len(parts), 0, -1):
            path = self.layers.sections.canonical((".".join(parts[:size]), *parts[size:]))
            if path in self.layers.places:
                return path
        return self.layers.sections.canonical(tuple(parts))


def load(
    path: str | os.PathLike[str] | None = None,
    environ: Mapping[str, str] | None = None,
    *,
    force_bind: bool = False,
    options: Mapping[str, str] | None = None,
    need_channel: bool = True,
) -> Config:
    """The configuration in the file `path`, else in the one ZOOZL_CONF names, else the bundled one.

    `environ` (os.environ unless given) and `.env` go before the file, and `force_bind` and `options` (root keys
    of the command line) before them all. With `need_channel` some channel must be on.
    Raises ConfigError, whose text has one line for each mistake.
    """
    environ = os.environ if environ is None else environ
    given: dict[str, Any] = {**(options or {}), **({"force_bind": True} if force_bind else {})}
    named = path or environ.get("ZOOZL_CONF")
    if not named:
        return _checked(_layers(DEFAULTS, {}, environ, Path.cwd(), given), None, Path.cwd(), need_channel)
    file = Path(named)
    text = _text(file, "" if path else "ZOOZL_CONF: ")
    data = _toml(file, text)
    places = {key: Place(f"{file}:{line}", spelled(key)) for key, line in locate(text).items()}
    folder = file.resolve().parent
    return _checked(_layers(data, places, environ, folder, given), file, folder, need_channel)


def from_dict(
    conf: Mapping[str, Any], environ: Mapping[str, str] | None = None, *, need_channel: bool = True
) -> Config:
    """The same from a mapping, which may hold objects for `embedder` and `operation_callback`. None is "not set"."""
    environ = os.environ if environ is None else environ
    if wrong := [path for path, _ in leaves(conf) if not all(isinstance(part, str) for part in path)]:
        raise ConfigError(f"{spelled(wrong[0])}: keys must be strings")
    data = {key: value for key, value in conf.items() if value is not None}
    places = {
        path[:size]: Place("", spelled(path[:size])) for path, _ in leaves(data) for size in range(1, len(path) + 1)
    }
    return _checked(_layers(data, places, environ, Path.cwd()), None, Path.cwd(), need_channel)


def extend_import_path(folder: Path) -> None:
    """Put `folder`, then the working directory, at the front of the import path."""
    for entry in (str(Path.cwd()), str(folder.resolve())):
        sys.path[:] = [entry, *(known for known in sys.path if known != entry)]


def _text(file: Path, via: str) -> str:
    try:
        # utf-8-sig: some editors put a byte order mark in front.
        return file.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        why = "there is no such file"
    except IsADirectoryError:
        why = "is a folder; name the file in it"
    except UnicodeDecodeError as exc:
        line = exc.object.count(b"\n", 0, exc.start) + 1
        raise ConfigError(f"{file}:{line}: is not UTF-8 text; save the file as UTF-8") from None
    except (OSError, ValueError) as exc:
        why = f"cannot be read: {getattr(exc, 'strerror', None) or exc}"
    raise ConfigError(f"{via}{file}: {why}")


def _toml(file: Path, text: str) -> dict[str, Any]:
    try:
        return tomli.loads(text)
    except tomli.TOMLDecodeError as exc:
        line = exc.doc.split("\n")[exc.lineno - 1 : exc.lineno]
        # tomli shows a dotted key as a tuple.
        text = re.sub(r"\('(.*?)',?\)", lambda keys: keys[1].replace("', '", "."), exc.msg)
        why = f"{text[:1].lower()}{text[1:]} in column {exc.colno}"
        if exc.msg == "Invalid value":
            why += " (text needs quotes around it)"
        # The line is not quoted, nor what merely looks like a key: it may be a piece of a secret.
        key = re.match(r"\s*(\w+)\s*=", line[0]) if line else None
        key = key if key and key[1] in Sections({}).words() else None
        where = f"{file}:{exc.lineno}"
    except RecursionError:
        where, key, why = str(file), None, "is nested too deeply"
    except ValueError:
        # Python reads no integer of more than 4300 digits, and tomli lets that through.
        digits = re.search(r"\d[\d_]{4300}", text)
        line_number = text.count("\n", 0, digits.start() if digits else 0) + 1
        where, key, why = f"{file}:{line_number}", None, "a number has too many digits"
    raise ConfigError(f"{where}: {key[1]}: {why}" if key else f"{where}: {why}")


def _layers(
    data: Mapping[str, Any],
    places: Mapping[KeyPath, Place],
    environ: Mapping[str, str],
    folder: Path,
    options: Mapping[str, Any] | None = None,
) -> Layers:
    """All sources in the order of their precedence, weakest first."""
    # Before anything can fail with a secret in its text.
    redaction.remember(named_secrets(data))
    redaction.remember(named_secrets(environ))
    types = {
        name: table["type"]
        for name, table in data.items()
        if isinstance(table, Mapping) and re.fullmatch(r"[\w.]+:\w+", str(table.get("type")))
    }
    if types:
        extend_import_path(folder)
    layers = Layers(Sections(types))
    layers.add(((path, value, places.get(path)) for path, value in leaves(data)), places)
    dotenv, lines = environment.read_dotenv(folder / ".env")
    redaction.remember(named_secrets(dotenv))
    layers.add_variables(environment.plain(dotenv, lines))
    layers.add_variables(environment.plain(environ))
    for prefix in environment.PREFIXES:
        foreign = prefix != "ZOOZL_"
        layers.add_variables(environment.variables(dotenv, prefix, lines), foreign)
        layers.add_variables(environment.variables(environ, prefix), foreign)
    for key, value in (options or {}).items():
        option = f"--{key.replace('_', '-')}"
        layers.add([((key,), value, Place(option, option))], {})
    redaction.remember(_declared(layers))
    return layers


def _declared(layers: Layers) -> Iterator[str]:
    """The texts at keys whose type says that they are secrets."""
    for path, value in leaves(layers.values):
        if isinstance(value, str) and _is_secret(layers.sections.annotation(path)):
            yield value


def _is_secret(annotation: Any) -> bool:
    return annotation is SecretStr or any(map(_is_secret, typing.get_args(annotation)))


def _checked(layers: Layers, path: Path | None, folder: Path, need_channel: bool) -> Config:
    """The configuration that `layers` hold. Raises ConfigError with every mistake found."""
    sections, values = layers.sections, layers.values
    settings = validated(layers, Settings, {key: values[key] for key in values if key in ROOT}, ())
    retention = validated(layers, Retention, values.get("retention", {}), ("retention",))
    tables = {
        name: validated(layers, model, values[name], (name,))
        for name, model in TABLES.items()
        if name in values and name != "retention"
    }
    for channel in retention.dedup if retention else ():
        if channel != "default" and channel not in sections.channels:
            place, rest = layers.place(("retention", "dedup", channel))
            known = nearest(channel, [*sections.channels, "default"])
            layers.problems.append(f"{place}{inside(rest)}: there is no channel of this name{known}")
    options = {
        name: validated(layers, sections.options(name), values[name], (name,))
        for name in values
        if name in sections.channels
    }
    for number, extension in enumerate(settings.extensions if settings else ()):
        if name := next((n for n in (extension, extension.rpartition(".")[2]) if n in sections.names), None):
            place, rest = layers.place(("extensions", number))
            layers.problems.append(
                f"{place}{inside(rest)}: the extension has the name of the table [{name}], which is not its own"
            )
    if layers.problems or settings is None or retention is None:
        raise ConfigError("\n".join(layers.problems))
    valid = {name: model for name, model in options.items() if model is not None}
    on = {name: model for name, model in valid.items() if model.is_on}
    warnings = [*layers.warnings, *_not_built(layers, valid)]
    channels = {name: model for name, model in on.items() if name in sections.built}
    if need_channel and not channels:
        raise ConfigError(_nothing_on(layers, path, set(on)))
    conf = {**values, **{name: getattr(settings, name) for name in ROOT}}
    for name, model in valid.items():
        conf[name] = _plain(model.model_dump(exclude_unset=True))
        conf |= {f"{name}_{key}": value for key, value in conf[name].items() if f"{name}_{key}" not in ROOT}
    written = {name: model for name, model in tables.items() if model is not None}
    return Config(path, folder, settings, retention, written, channels, conf, tuple(warnings), layers)


def _not_built(layers: Layers, options: Mapping[str, ChannelOptions]) -> list[str]:
    warnings = []
    for name in layers.values:
        if name in RESERVED:
            place, _ = layers.place((name,))
            warnings.append(f"{place}: is not built in yet; the table does nothing")
        elif name in layers.sections.planned and options[name].enabled:
            found = [layers.place((name, key))[0] for key in layers.values[name]] or [layers.place((name,))[0]]
            first, *others = [place for place in found if place]
            names = "".join(f", {place.key}" for place in others)
            warnings.append(f"{first}{names}: the {name} channel is not built in yet; nothing will come from it")
    return warnings


def _nothing_on(layers: Layers, path: Path | None, on: set[str]) -> str:
    text = f"{path or 'configuration'}: no channel is on: set websocket_port, for example websocket_port = 1601"
    for name, table in layers.values.items():
        if name in on:
            text += f"; {name} is not built in yet"
        elif name in layers.sections.built and table.get("enabled") is False:
            text += f"; {name} is switched off by enabled = false"
        elif name not in ROOT and name not in layers.sections.names and isinstance(table, dict):
            if near := _near(name, layers.sections.names):
                text += f"; {layers.place((name,))[0]}: unknown table, did you mean [{near}]?"
            for key in table:
                if layers.sections.flat(key):
                    text += f"; {layers.place((name, key))[0]} belongs above the first [table]"
    return text


def _owned(name: str, table: object, extensions: Iterable[str]) -> bool:
    """True if a table is an extension's: by its name, or unquoted by its dotted name, [my_package.my_plugin]."""
    for extension in extensions:
        found: object = {name: table}
        for part in extension.split("."):
            found = found.get(part) if isinstance(found, dict) else None
        if extension == name or found is not None:
            return True
    return False


def _near(name: str, tables: Iterable[str]) -> str | None:
    close = difflib.get_close_matches(name.lower(), sorted(tables), n=1, cutoff=0.8)
    return close[0] if close else None


def _plain(value: Any) -> Any:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list) else value
