"""Check values against their model and say each mistake in one sentence, without the value: it may be a secret."""

from collections.abc import Mapping
from datetime import date, time
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from zoozl.config.layers import Layers, Place, inside, spelled
from zoozl.config.locator import Path
from zoozl.config.sections import models, nearest

M = TypeVar("M", bound=BaseModel)

# Errors about numbers and switches: their value is harmless and helps.
HARMLESS = ("int_", "float_", "bool_", "greater_", "less_", "finite_", "multiple_")


def validated(layers: Layers, model: type[M], data: dict[str, Any], base: Path) -> M | None:
    """The model of the values `data` at the path `base`, or None when mistakes were added to `layers.problems`."""
    try:
        return model.model_validate(data)
    except ValidationError as exc:
        errors = exc.errors(include_url=False)
    seen = set()
    for error in errors:
        inner = _subject(error, data)
        if inner in seen:
            continue
        seen.add(inner)
        if error["type"] == "requires":
            inner = (error["ctx"]["because"],)
        place, rest = layers.place(base + inner)
        # A default cannot be wrong, so there is a place: at least that of the table.
        where = f"{place}{inside(rest)}" if place else spelled(base + inner)
        if error["type"] == "requires":
            why = _required(place, error["ctx"])
        elif error["type"] == "missing":
            why = f"{error['loc'][-1]} is missing"
        elif error["type"] == "extra_forbidden":
            known = [name for m in models(layers.sections.annotation((base + inner)[:-1])) for name in m.model_fields]
            why = "unknown key" + nearest(inner[-1], known)
        else:
            why = _reason(error)
        layers.problems.append(f"{where}: {why}")
    return None


def _required(place: Place | None, context: Mapping[str, Any]) -> str:
    """What else must be set, each key written in the form in which the one that calls for it was written."""
    because = context["because"]
    stem = place.key[: -len(because)] if place and place.key.lower().endswith(because) else ""
    groups = (
        " or ".join(stem + (name.upper() if stem.isupper() else name) for name in names) for names in context["missing"]
    )
    return f"needs {', and '.join(groups)} to be set too"


def _reason(error: Mapping[str, Any]) -> str:
    """The reason in an error of pydantic: "must be a valid integer, is a string"."""
    kind, text = error["type"], str(error["msg"])
    if kind in ("value_error", "assertion_error"):
        return str(error["ctx"]["error"])
    if kind.endswith(("_parsing", "_type")):
        text = text.partition(",")[0]
    text = text.replace("Input should be", "must be", 1)
    # To a string of the wrong content it is no help that it is a string.
    content = isinstance(error["input"], str) and error["input"] and not kind.endswith(("_parsing", "_type"))
    if text.startswith("must be") and not content:
        text = f"{text}, is {_described(error['input'], kind.startswith(HARMLESS))}"
    return text[:1].lower() + text[1:]


def _described(value: object, harmless: bool) -> str:
    if harmless and isinstance(value, bool):
        return "true" if value else "false"
    if harmless and isinstance(value, int | float):
        return str(value)
    names: dict[type | tuple[type, ...], str] = {
        bool: "true or false",
        int: "a number",
        float: "a number",
        list: "a list",
        dict: "a table",
        (date, time): "a date or time",
    }
    if isinstance(value, str):
        return "a string" if value else "an empty string"
    return next((name for kind, name in names.items() if isinstance(value, kind)), f"a {type(value).__name__}")


def _subject(error: Mapping[str, Any], data: Any) -> Path:
    """The path in `data` of what is wrong: the location, less the names pydantic adds for members of a union."""
    path: Path = ()
    for part in error["loc"]:
        inside = isinstance(data, dict) and part in data
        if not inside and not (isinstance(data, list) and isinstance(part, int) and part < len(data)):
            break
        path, data = (*path, part), data[part]
    return path
