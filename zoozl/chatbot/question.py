"""A question to the talker: what it offers, how it reads as plain text, and which answer a message is to it."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple, TypeAlias

YES = frozenset(
    {"yes", "y", "yeah", "yep", "yup", "ok", "okay", "sure", "confirm", "do it", "go ahead", "1", "👍", "✅"}
)
NO = frozenset({"no", "n", "nope", "nah", "don't", "do not", "2", "👎", "❌"})
NEAR = 0.8
SHORTEST_PREFIX = 3
LONGEST_WORD = 100
NUMBER = re.compile(r"#?\s*([0-9]{1,4})\s*[.):]?")

Choices: TypeAlias = Sequence[str] | Sequence[tuple[str, str]] | Mapping[str, str]
"""Labels, pairs of (value, label), or labels by value."""


class Kind(StrEnum):
    """What an answer is."""

    TEXT = "text"
    CHOICE = "choice"
    CONFIRM = "confirm"
    FORM = "form"


@dataclass(frozen=True, slots=True)
class Choice:
    """One thing to choose: the plugin gets `value`, people see `label`."""

    value: str
    label: str


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a form."""

    name: str
    label: str
    type: str = "text"
    """text, number, date, select, checkbox or password."""
    required: bool = True
    choices: tuple[Choice, ...] = ()
    default: str = ""

    def __post_init__(self) -> None:
        if not all(isinstance(one, str) for one in (self.name, self.label, self.type, self.default)):
            raise TypeError("Field: name, label, type and default must be str")


@dataclass(slots=True)
class Question:
    """What was asked. `id` names it in commands (`/confirm_<id>`) and buttons.

    Once it was asked it does not change, but for what a form is filled in with. (Frozen it would be slow to make.)
    """

    id: str
    prompt: str
    kind: Kind = Kind.TEXT
    choices: tuple[Choice, ...] = ()
    fields: tuple[Field, ...] = ()
    deadline: float | None = None
    """Seconds since the epoch."""
    literal: bool = False
    """Any text is an answer, "cancel" too."""
    secret: bool = False
    talker: str = ""
    """Who may answer; "" for anyone in the room."""

    @property
    def text(self) -> str:
        """The question where there are no buttons: choices as a numbered list."""
        if self.kind is Kind.CONFIRM:
            return f"{self.prompt} (yes/no)"
        if self.kind is Kind.CHOICE:
            lines = (f"{n}. {choice.label}" for n, choice in enumerate(self.choices, 1))
            return "\n".join([self.prompt, "", *lines])
        return self.prompt

    def dump(self) -> dict[str, Any]:
        """As JSON, without what is as it always is."""
        # Spelled out: it is done several times for every question, and `asdict` takes ten times as long.
        packed: dict[str, Any] = {"id": self.id, "prompt": self.prompt, "kind": self.kind}
        if self.choices:
            packed["choices"] = [{"value": one.value, "label": one.label} for one in self.choices]
        if self.fields:
            packed["fields"] = [asdict(one) for one in self.fields]
        if self.deadline is not None:
            packed["deadline"] = self.deadline
        if self.literal:
            packed["literal"] = True
        if self.secret:
            packed["secret"] = True
        if self.talker:
            packed["talker"] = self.talker
        return packed

    @classmethod
    def load(cls, packed: Mapping[str, Any]) -> Question:
        """The reverse of `dump`."""
        fields = tuple(Field(**{**f, "choices": _load_choices(f["choices"])}) for f in packed.get("fields", ()))
        choices = _load_choices(packed.get("choices", ()))
        return cls(**{**packed, "kind": Kind(packed["kind"]), "choices": choices, "fields": fields})


class Answer(NamedTuple):
    """A tap on a button or a form that was sent: it names its question."""

    question: str
    value: str | dict[str, str]


@dataclass(slots=True)
class Form:
    """The fields of `Package.form`, in order: `Form().text("name", "Your name").number("age", "Your age")`."""

    fields: list[Field] = field(default_factory=list)

    def _add(self, added: Field) -> Form:
        if any(f.name == added.name for f in self.fields):
            raise ValueError(f"the form has two fields called {added.name!r}")
        self.fields.append(added)
        return self

    def text(self, name: str, label: str, *, required: bool = True, default: str = "") -> Form:
        """A line of text."""
        return self._add(Field(name, label, "text", required, (), default))

    def number(self, name: str, label: str, *, required: bool = True, default: str = "") -> Form:
        """A number, as text such as "3" or "2.5"."""
        return self._add(Field(name, label, "number", required, (), default))

    def date(self, name: str, label: str, *, required: bool = True, default: str = "") -> Form:
        """A day, as "2026-11-21"."""
        return self._add(Field(name, label, "date", required, (), default))

    def select(self, name: str, label: str, choices: Choices, *, required: bool = True, default: str = "") -> Form:
        """One of several."""
        return self._add(Field(name, label, "select", required, to_choices(choices), default))

    def checkbox(self, name: str, label: str, *, default: bool = False) -> Form:
        """Yes or no, as "yes" or "no"."""
        return self._add(Field(name, label, "checkbox", False, (), "yes" if default else "no"))

    def password(self, name: str, label: str, *, required: bool = True) -> Form:
        """A secret; needs a vault, like every secret."""
        return self._add(Field(name, label, "password", required))


def to_choices(given: Choices) -> tuple[Choice, ...]:
    """What a plugin gave as `choices=`. Raises ValueError for none, or for the same value twice."""
    pairs: Iterable[Any] = given.items() if isinstance(given, Mapping) else given
    choices = tuple(Choice(item, item) if isinstance(item, str) else Choice(*item) for item in pairs)
    if not choices or any(not isinstance(c.value, str) or not isinstance(c.label, str) for c in choices):
        raise ValueError("choices must be labels, pairs of value and label, or labels by value, and not empty")
    if len({choice.value for choice in choices}) < len(choices):
        raise ValueError("two choices have the same value")
    return choices


def _load_choices(packed: Iterable[Mapping[str, str]]) -> tuple[Choice, ...]:
    return tuple(Choice(**choice) for choice in packed)


def understand(question: Question, text: str) -> str | None:
    """The value that `text` means as an answer, None if it is none of the choices.

    A choice may be given by its number, its label or value, the beginning of it, or a near spelling; a confirmation
    by many words for "yes" (value "yes") and "no". To a question without choices everything is an answer.
    """
    if question.kind is Kind.CONFIRM:
        words = plain(text)
        return "yes" if words in YES else "no" if words in NO else None
    if question.kind is Kind.CHOICE:
        return _choose(question.choices, text, exact=question.literal)
    return text


def _choose(choices: Sequence[Choice], text: str, *, exact: bool) -> str | None:
    words = plain(text)
    names = {plain(name): choice.value for choice in choices for name in (choice.value, choice.label)}
    if words in names:
        return names[words]
    if (number := NUMBER.fullmatch(text.strip())) is not None:
        index = int(number[1]) - 1
        return choices[index].value if 0 <= index < len(choices) else None
    if exact or not words:
        return None
    begun = {value for name, value in names.items() if len(words) >= SHORTEST_PREFIX and name.startswith(words)}
    if len(begun) == 1:
        return begun.pop()
    near = {names[name] for name in difflib.get_close_matches(words, names, n=2, cutoff=NEAR)}
    near |= {value for name, value in names.items() if _swapped(words, name)}
    return near.pop() if len(near) == 1 else None


def _swapped(one: str, other: str) -> bool:
    """Whether they differ in two neighbouring letters that changed places, which the usual measure rates too low."""
    if len(one) != len(other) or not SHORTEST_PREFIX <= len(one) <= LONGEST_WORD:
        return False
    n = next((n for n, (a, b) in enumerate(zip(one, other, strict=True)) if a != b), len(one))
    pair = one[n : n + 2]
    return pair.isalpha() and one[:n] + pair[::-1] + one[n + 2 :] == other


def plain(text: str) -> str:
    """`text` in lower case without accents, blanks around it and a full stop, for comparing."""
    folded = unicodedata.normalize("NFKD", text.strip().casefold())
    return " ".join("".join(c for c in folded if not unicodedata.combining(c)).rstrip(".!").split())
