"""The merged configuration for people: every key with its value, as one writes it, and where that was set.

Secrets are masked: what a model calls secret, what a plugin's table calls so, and passwords in addresses.
"""

import re
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr

from zoozl.config.layers import leaves, spelled
from zoozl.config.loading import Config
from zoozl.config.locator import Path
from zoozl.config.schema import options
from zoozl.config.sections import ROOT, models
from zoozl.errors import ConfigError
from zoozl.redaction import STARS as MASK
from zoozl.redaction import clean, is_secret_name
from zoozl.settings import TABLES, Settings

# scheme://name:password@host, also where the password has an unescaped slash, and scheme://token@host.
USERINFO = re.compile(r"(?<=://)(?:([^/?#\s:@]*):\S*|[^/?#\s]+)(?=@)")
QUERY = re.compile(r"(?i)(?<=[?&])((?:[\w-]*[_-])?(?:password|passwd|secret|token|key|sig|signature)=)[^&#\s]+")


@dataclass(frozen=True, slots=True)
class Row:
    """One key: its path, the value that holds (None: it has none), and where that was set."""

    path: Path
    value: Any
    origin: str


def rows(config: Config, also: str = "") -> list[Row]:
    """Root keys, then zoozl's own tables, the channels and plugins' tables that were mentioned; secrets masked.

    `also` is a channel to show even if nobody mentioned it.
    """
    layers = config.layers
    found = [_row(config, (option.name,), option.default) for option in options(Settings)]
    for name in dict.fromkeys([*TABLES, *layers.values, also]):
        if name not in TABLES and name not in layers.sections.channels:
            continue
        model = TABLES.get(name) or layers.sections.options(name)
        found += [_row(config, (name, option.name), option.default) for option in options(model)]
    for name, table in layers.values.items():
        if name in ROOT or name in TABLES or name in layers.sections.channels:
            continue
        found += [_row(config, path, value) for path, value in leaves(table, (name,))]
    return found


def select(all_rows: list[Row], key: str) -> list[Row]:
    """The row of `key`, or those of the table `key`; none if there is no such thing."""
    return [row for row in all_rows if (name := spelled(row.path)) == key or name.startswith(f"{key}.")]


def masked(value: Any, annotation: Any = None, key: str = "") -> Any:
    """`value` without what must not be shown; `annotation` is its type if that is known, `key` its name."""
    inner = {name: field.annotation for model in models(annotation) for name, field in model.model_fields.items()}
    if isinstance(value, Mapping):
        of_all = None if inner else annotation
        return {name: masked(item, inner.get(name, of_all), str(name)) for name, item in value.items()}
    if isinstance(value, list | tuple):
        items = next(iter(typing.get_args(annotation)), None) or annotation
        return [masked(item, items, key) for item in value]
    if value in (None, "") or isinstance(value, bool):
        return value
    if _is_secret(annotation):
        return MASK
    if not isinstance(value, str):
        return value
    return MASK if annotation is None and is_secret_name(key) else clean(without_passwords(value))


def without_passwords(text: str) -> str:
    """`text` with passwords and tokens in addresses masked."""
    text = USERINFO.sub(lambda found: f"{found[1]}:{MASK}" if found[1] is not None else MASK, text)
    return QUERY.sub(lambda found: found[1] + MASK, text)


def _row(config: Config, path: Path, default: Any) -> Row:
    layers = config.layers
    value: Any = layers.values
    for part in path:
        value = value.get(part) if isinstance(value, Mapping) else None
    try:
        annotation = layers.sections.annotation(path)
    except ConfigError:
        annotation = SecretStr  # its channel cannot be loaded: nobody knows what this is
    if value is None:
        return Row(path, masked(default, annotation, str(path[-1])), "default")
    return Row(path, masked(value, annotation, str(path[-1])), ", ".join(_origins(config, path, value)))


def _origins(config: Config, path: Path, value: Any) -> Iterator[str]:
    """Where a key was set; a table as a value may come from several places."""
    known = config.layers.places
    places = [known[inner] for inner, _ in leaves(value, path) if inner in known]
    for where in dict.fromkeys((place.where, place.key) for place in places):
        yield f"environment {where[0]}" if where[0] == where[1] and not where[0].startswith("-") else where[0]
    if not places:
        yield "default"


def _is_secret(annotation: Any) -> bool:
    if isinstance(annotation, type):
        return issubclass(annotation, SecretStr)
    return any(_is_secret(part) for part in typing.get_args(annotation))
