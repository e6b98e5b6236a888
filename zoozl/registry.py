"""Find a class by name: a dotted path, an entry point, or the built-in module of that name."""

import importlib
import pkgutil
from importlib import metadata
from typing import Any

from zoozl.errors import ConfigError

# What a module of each kind calls its class.
KINDS = {"channels": "Channel", "embedders": "Embedder", "stores": "Store"}


def names(kind: str) -> list[str]:
    """Names that `find` knows for `kind` ("channels", "embedders" or "stores"), sorted."""
    package = importlib.import_module(f"zoozl.{kind}")
    builtin = {m.name for m in pkgutil.iter_modules(package.__path__) if m.name not in package.NOT_LISTED}
    return sorted(builtin | {e.name for e in metadata.entry_points(group=f"zoozl.{kind}")})


def find(kind: str, name: str) -> type[Any]:
    """The class called `name`: "pkg.mod:Class", else an entry point of group `zoozl.<kind>`, else a built-in.

    Raises ConfigError when there is none, or when importing it fails for a missing optional library.
    """
    try:
        if ":" in name:
            module, _, attribute = name.partition(":")
            found = getattr(importlib.import_module(module), attribute)
        else:
            points = metadata.entry_points(group=f"zoozl.{kind}", name=name)
            if points:
                found = next(iter(points)).load()
            elif name in names(kind):
                found = getattr(importlib.import_module(f"zoozl.{kind}.{name}"), KINDS[kind])
            else:
                known = ", ".join(names(kind))
                raise ConfigError(f"there is no {kind.rstrip('s')} called {name!r} (known: {known})")
    except (ImportError, AttributeError) as exc:
        raise ConfigError(f"{kind.rstrip('s')} {name!r} cannot be loaded: {exc}") from exc
    return found  # type: ignore[no-any-return]
