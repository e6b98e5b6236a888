"""Find a class by name: a dotted path, an entry point, or the built-in module of that name."""

import importlib
import inspect
import pkgutil
import re
import sys
from collections.abc import Mapping
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from types import MappingProxyType
from typing import Any

from zoozl.errors import ConfigError, describe

# What a module of each kind calls its class.
KINDS = {"channels": "Channel", "embedders": "Embedder", "stores": "Store"}
# What such a class must have at least.
METHODS = {"channels": ("send", "close"), "embedders": ("embed",), "stores": ("commit", "close")}
NOTHING: Mapping[str, Any] = MappingProxyType({})


def _points(kind: str) -> metadata.EntryPoints:
    """What installed packages offer of a kind.

    It is read once for an import path: a package that is installed while the process lives is not found.
    """
    return _read_points(kind, tuple(sys.path))


@lru_cache(maxsize=16)
def _read_points(kind: str, path: tuple[str, ...]) -> metadata.EntryPoints:
    # Cached: it reads a file of every package that is installed, and a start asks several times.
    return metadata.entry_points(group=f"zoozl.{kind}")


def names(kind: str) -> list[str]:
    """Names that `find` knows for `kind` ("channels", "embedders" or "stores"), sorted."""
    package = importlib.import_module(f"zoozl.{kind}")
    builtin = {m.name for m in pkgutil.iter_modules(package.__path__) if m.name not in package.NOT_LISTED}
    return sorted(builtin | {e.name for e in _points(kind)})


def find(kind: str, name: str) -> type[Any]:
    """The class called `name`: "pkg.mod:Class", else an entry point of group `zoozl.<kind>`, else a built-in.

    A package that is installed while the process lives is not found by its entry points.

    Raises ConfigError when there is none, when importing it fails, or when it is no such class.
    """
    what = kind.rstrip("s")
    if ":" in name and not re.fullmatch(r"\w+(\.\w+)*:\w+", name):
        raise ConfigError(f"{what} {name!r} must be written package.module:Class")
    try:
        if ":" in name:
            module, _, attribute = name.partition(":")
            found = getattr(importlib.import_module(module), attribute)
        elif points := _points(kind).select(name=name):
            found = next(iter(points)).load()
        elif name in names(kind):
            found = getattr(importlib.import_module(f"zoozl.{kind}.{name}"), KINDS[kind])
        else:
            raise ConfigError(f"there is no {what} called {name!r} (known: {', '.join(names(kind))})")
    except ConfigError:
        raise
    except (ImportError, AttributeError) as exc:
        raise ConfigError(f"{what} {name!r} cannot be loaded: {exc}") from exc
    except (Exception, SystemExit) as exc:  # the edge of foreign code: a module may do anything when it is imported
        raise ConfigError(f"{what} {name!r} cannot be loaded: {describe(exc)}") from exc
    if not inspect.isclass(found):
        raise ConfigError(f"{what} {name!r} is no class")
    _check(kind, name, found)
    return found


def embedder(
    given: object,
    tables: Mapping[str, Any] = NOTHING,
    folder: Path | None = None,
    environ: Mapping[str, str] = NOTHING,
) -> Any:
    """The embedder that a configuration means: an object as it is, a name as a new object of the class it names.

    "NAME:MODEL" is `Class.configured(MODEL, tables[NAME], folder, environ)` of an embedder that takes a model: the
    table of its name, the folder that relative paths start at, the variables that keys are in.

    Raises ConfigError when there is none, when it cannot be made, or when it is no embedder.
    """
    made = given
    if isinstance(given, str):
        name, model = _model(given)
        cls = find("embedders", name)
        try:
            if hasattr(cls, "configured"):
                made = cls.configured(model, tables.get(name, {}), folder or Path(), environ)
            else:
                made = cls()
        except ConfigError:
            raise
        except (Exception, SystemExit) as exc:  # the edge of foreign code
            raise ConfigError(f"embedder {given!r} cannot be made: {describe(exc)}") from exc
    _check("embedders", given, made)
    if not isinstance(getattr(made, "name", None), str):
        raise ConfigError(f"embedder {given!r} has no `name`, the text that tells its vectors from others")
    return made


def _model(given: str) -> tuple[str, str]:
    """The embedder's name and the model that is named after it, if any."""
    name, colon, model = given.partition(":")
    if not colon or name not in names("embedders"):
        return given, ""
    cls = find("embedders", name)
    if hasattr(cls, "configured"):
        return name, model
    try:
        # It may still be a class in a module of this name.
        find("embedders", given)
    except ConfigError:
        raise ConfigError(f"embedder {name!r} takes no model: write {name!r}") from None
    return given, ""


def _check(kind: str, name: object, found: object) -> None:
    missing = [f"no {method}()" for method in METHODS[kind] if not callable(getattr(found, method, None))]
    if missing:
        raise ConfigError(f"{name!r} is no {kind.rstrip('s')}: it has {' and '.join(missing)}")
