"""The arguments that a plugin declares as a dataclass or a pydantic model: their kinds, and how they are shown."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, StrEnum
from typing import Any

from zoozl.errors import ExtensionError

# So many choices are shown in a usage line.
SHOWN = 6
TYPES: dict[Any, str] = {
    int: "NUMBER",
    float: "NUMBER",
    Decimal: "NUMBER",
    date: "DATE",
    datetime: "TIME",
    time: "TIME",
    timedelta: "DURATION",
    str: "TEXT",
}


class Kind(StrEnum):
    """Where an argument stands."""

    WORD = "word"
    REST = "rest"
    """All that is left, as it was written."""
    MANY = "many"
    """All words that are left."""
    OPTION = "option"
    FLAG = "flag"


@dataclass(frozen=True, slots=True)
class Argument:
    """One field of the declaration."""

    name: str
    key: str
    """How people call it: its alias, or its name."""
    kind: Kind
    type: Any
    """Without Optional and Annotated; of a list, that of its items."""
    listed: bool
    required: bool
    """Must be given; a flag that has no default is simply not set."""
    on: bool
    """A flag that is set unless somebody says no."""
    drawn: bool
    """Its default is made anew each time."""
    choices: dict[str, Any]
    """Values by how they are written; empty where anything may be written."""
    about: str

    @property
    def option(self) -> str:
        """How it is given by its name."""
        return "--" + self.key.replace("_", "-")

    @property
    def label(self) -> str:
        """How it is called in messages."""
        return self.option if self.kind in (Kind.OPTION, Kind.FLAG) else self.key.upper()

    @property
    def shown(self) -> str:
        """Its part of a usage line."""
        if self.kind is Kind.FLAG:
            return f"[--no-{self.option[2:]}]" if self.on else f"[{self.option}]"
        text = self.label
        if self.kind is Kind.OPTION:
            text = TYPES.get(self.type, self.key.upper())
        if 0 < len(self.choices) <= SHOWN:
            text = "|".join(self.choices)
        if self.kind is Kind.OPTION:
            text = f"{self.option} {text}"
        if self.listed or self.kind is Kind.REST:
            text += "..."
        return text if self.required else f"[{text}]"


def read(declared: Any, plugin: str) -> tuple[Argument, ...]:
    """The arguments of a dataclass or a pydantic model, in order. Raises ExtensionError naming plugin and field."""
    found: list[Argument] = []
    for name, info in _fields(declared, plugin):
        where = f"plugin {plugin}: arguments.{name}"
        kind, bare, listed = _kind(info)
        if isinstance(bare, type) and hasattr(bare, "get_secret_value"):
            raise ExtensionError(f"{where} is a secret, but commands are kept: use package.ask(..., secret=True)")
        key = info.validation_alias or name
        if not isinstance(key, str):
            raise ExtensionError(f"{where} may have one alias, a text, not {key!r}")
        required = info.is_required()
        before = [a for a in found if a.kind not in (Kind.OPTION, Kind.FLAG)]
        if kind not in (Kind.OPTION, Kind.FLAG) and before:
            if before[-1].kind is Kind.MANY:
                raise ExtensionError(f"{where} comes after {before[-1].name}, a list, which takes all words")
            if required and not before[-1].required:
                raise ExtensionError(f"{where} is required, but {before[-1].name} before it is not")
        on = kind is Kind.FLAG and info.default is True
        drawn, about = info.default_factory is not None, info.description or ""
        found.append(Argument(name, key, kind, bare, listed, required, on, drawn, _choices(bare), about))
    words = [n for n, a in enumerate(found) if a.kind is Kind.WORD]
    if words and _is_text(found[words[-1]].type) and not any(a.kind is Kind.MANY for a in found):
        found[words[-1]] = dataclasses.replace(found[words[-1]], kind=Kind.REST)
    return tuple(found)


def _fields(declared: Any, plugin: str) -> Collection[tuple[str, Any]]:
    """Names and what pydantic knows of them."""
    from pydantic import BaseModel
    from pydantic.fields import FieldInfo

    if isinstance(declared, type) and issubclass(declared, BaseModel):
        return declared.model_fields.items()
    if not (isinstance(declared, type) and dataclasses.is_dataclass(declared)):
        raise ExtensionError(f"plugin {plugin}: arguments must be a dataclass or a pydantic model, not {declared!r}")
    made = getattr(declared, "__pydantic_fields__", {})
    try:
        hints = typing.get_type_hints(declared, include_extras=True)
    except Exception as exc:  # the edge: names in annotations are the plugin's
        raise ExtensionError(f"plugin {plugin}: arguments {declared.__name__}: {exc}") from exc
    return [
        (field.name, made.get(field.name) or FieldInfo.from_annotated_attribute(hints[field.name], field))
        for field in dataclasses.fields(declared)
        if field.init
    ]


def _kind(info: Any) -> tuple[Kind, Any, bool]:
    """Where it stands, its bare type, and whether it is a list of that."""
    bare = _bare(info.annotation)
    listed = typing.get_origin(bare) in (list, set, frozenset, tuple) or bare in (list, set, frozenset, tuple)
    if listed:
        bare = _bare((*typing.get_args(bare), str)[0])
    if bare is bool and not listed:
        return Kind.FLAG, bare, False
    if info.kw_only:
        return Kind.OPTION, bare, listed
    return Kind.MANY if listed else Kind.WORD, bare, listed


def _bare(annotation: Any) -> Any:
    """A type without Annotated and without Optional."""
    while True:
        if typing.get_origin(annotation) is typing.Annotated:
            annotation = typing.get_args(annotation)[0]
            continue
        if typing.get_origin(annotation) in (typing.Union, types.UnionType):
            others = [arg for arg in typing.get_args(annotation) if arg is not type(None)]
            if len(others) == 1:
                annotation = others[0]
                continue
        return annotation


def _choices(bare: Any) -> dict[str, Any]:
    if typing.get_origin(bare) is typing.Literal:
        values = typing.get_args(bare)
        return {str(value.value if isinstance(value, Enum) else value): value for value in values}
    if isinstance(bare, type) and issubclass(bare, Enum):
        return {m.value if isinstance(m.value, str) else m.name.lower(): m for m in bare}
    return {}


def _is_text(bare: Any) -> bool:
    return isinstance(bare, type) and issubclass(bare, str) and not issubclass(bare, Enum)
