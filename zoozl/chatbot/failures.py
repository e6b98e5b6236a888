"""What a step raised, as a journal keeps it: its class by name, its arguments and its attributes as JSON."""

from __future__ import annotations

import importlib
import json
from functools import reduce
from typing import Any, cast


def dump(exc: Exception) -> dict[str, Any]:
    """An exception as JSON; of what JSON cannot take, the text of an argument is kept, and no attribute."""
    kind = type(exc)
    return {
        "error": [kind.__module__, kind.__qualname__],
        "args": [arg if _is_json(arg) else str(arg) for arg in exc.args],
        "attributes": {name: value for name, value in vars(exc).items() if _is_json(value)},
    }


def load(packed: dict[str, Any]) -> Exception:
    """The reverse of `dump`, as far as it goes; for a thread, because it may import the module of the class.

    Raises LookupError if there is no such exception to be made.
    """
    module, name = packed["error"]
    try:
        kind: Any = reduce(getattr, name.split("."), cast(Any, importlib.import_module(module)))
        if not issubclass(kind, Exception):
            raise TypeError("it is no exception")
        # Without its __init__, which may take other arguments than those that it left in `args`.
        exc: Exception = kind.__new__(kind, *packed["args"])
        exc.args = tuple(packed["args"])
        vars(exc).update(packed["attributes"])
    except Exception as fault:  # the edge: a module, or a class, of anybody's
        raise LookupError(f"{module}.{name} cannot be made: {fault}") from fault
    return exc


def _is_json(value: Any) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return False
    return True
