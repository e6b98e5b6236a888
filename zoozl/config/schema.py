"""The options of the configuration as data, made from the models that check them: for people and as a JSON schema."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from zoozl.channels.planned import ALIASES
from zoozl.config.sections import Sections
from zoozl.settings import RESERVED, TABLES, Settings

# Root keys that only Python can give, to `zoozl.server.start(conf)`.
PYTHON_ONLY = {"operation_callback"}
DIALECT = "https://json-schema.org/draft/2020-12/schema"


@dataclass(frozen=True, slots=True)
class Option:
    """One key of a table."""

    name: str
    kind: str
    """What may be written, in words."""
    default: Any
    """As one would write it; None if the key has no value unless it is given one."""
    about: str
    secret: bool


def options(model: type[BaseModel]) -> list[Option]:
    """The keys of a table in the order of its model."""
    schema = model.model_json_schema()
    return [
        Option(name, _words(found, schema.get("$defs", {})), found.get("default"), found["description"], _secret(found))
        for name, found in _properties(model, schema).items()
    ]


def summary(model: type[BaseModel]) -> str:
    """What a table is for: the first sentence of its model, without the name of the table."""
    text = " ".join((model.__doc__ or "").strip().partition("\n\n")[0].split())
    head, _, rest = text.partition("`: ")
    text = rest if head.startswith("`[") else text
    return text[:1].upper() + text[1:]


def json_schema(sections: Sections) -> dict[str, Any]:
    """A JSON schema of the whole file, which accepts whatever `zoozl.config.load` accepts."""
    channels = {name: sections.options(name) for name in sorted(sections.channels)}
    models: dict[str, type[BaseModel]] = {**TABLES, **channels}
    every: list[type[BaseModel]] = [Settings, *models.values()]
    refs, definitions = models_json_schema([(model, "validation") for model in dict.fromkeys(every)])
    defs = definitions.get("$defs", {})

    def define(model: type[BaseModel]) -> dict[str, Any]:
        # The definition itself is tidied, so that all who refer to it see it so.
        found = defs[refs[model, "validation"]["$ref"].rpartition("/")[2]]
        found["properties"] = _properties(model, found)
        return {name: value for name, value in found["properties"].items() if name not in PYTHON_ONLY}

    root = define(Settings)
    del defs[refs[Settings, "validation"]["$ref"].rpartition("/")[2]]
    for name, model in models.items():
        keys = define(model)
        root[name] = refs[model, "validation"]
        if name in channels:
            root |= {f"{name}_{key}": value for key, value in keys.items() if f"{name}_{key}" not in root}
    for other, name in ALIASES.items():
        same = [key for key in root if key == name or key.startswith(f"{name}_")]
        root |= {other + key.removeprefix(name): root[key] for key in same}
    for name in RESERVED:
        root.setdefault(name, {"type": "object", "description": "Is not built in yet."})
    tables = {"type": "array", "minItems": 1, "items": {"type": "object"}}
    return {
        "$schema": DIALECT,
        "title": "Configuration of zoozl",
        "type": "object",
        "properties": root,
        # Tables of plugins, by the plugin's name.
        "additionalProperties": {"anyOf": [{"type": "object"}, tables]},
        "$defs": defs,
    }


def _properties(model: type[BaseModel], schema: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """What the schema of a model says of each key, as TOML sees it: without null, defaults as one writes them."""
    defaults = model.model_construct().model_dump(mode="json")
    return {
        name: _tidy(found, defaults.get(name))
        for name, found in schema.get("properties", {}).items()
        if name not in PYTHON_ONLY
    }


def _tidy(found: dict[str, Any], default: Any) -> dict[str, Any]:
    choices = [choice for choice in found.get("anyOf", ()) if choice != {"type": "null"}]
    tidy = {key: value for key, value in found.items() if key not in ("title", "default", "anyOf")}
    if len(choices) == 1:
        # What is said of the key itself goes before what is said of its type.
        tidy = {**choices[0], **tidy}
    elif choices:
        tidy["anyOf"] = choices
    if default is not None:
        tidy["default"] = default
    tidy.setdefault("description", "")
    return tidy


def _words(found: dict[str, Any], defs: dict[str, Any]) -> str:
    """The type of a value in words, like "number from 0 to 65535"."""
    if "anyOf" in found:
        return " or ".join(dict.fromkeys(_words(choice, defs) for choice in found["anyOf"]))
    if "enum" in found or "const" in found:
        return " or ".join(f'"{value}"' for value in found.get("enum", [found.get("const")]))
    if "$ref" in found:
        return _words(defs.get(found["$ref"].rpartition("/")[2], {}), defs)
    match found.get("type"):
        case "string":
            if found.get("title") == "age" or str(found.get("pattern", "")).startswith("^(never"):
                return 'time like "30d", or "never"'
            return "secret text" if _secret(found) else "text"
        case "boolean":
            return "true or false"
        case "integer" | "number":
            return " ".join(["whole number" if found["type"] == "integer" else "number", *_bounds(found)])
        case "array":
            return f"list of {_words(found.get('items', {}), defs)}"
        case "object":
            return "table"
    return "anything"


def _bounds(found: dict[str, Any]) -> Iterator[str]:
    low, high = found.get("minimum"), found.get("maximum")
    if low is not None and high is not None:
        yield f"from {low} to {high}"
    elif low is not None:
        yield f"from {low} up"
    elif high is not None:
        yield f"up to {high}"
    if "exclusiveMinimum" in found:
        yield f"above {found['exclusiveMinimum']}"


def _secret(found: dict[str, Any]) -> bool:
    return found.get("format") == "password" or any(map(_secret, found.get("anyOf", ())))
