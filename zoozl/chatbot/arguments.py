"""What a plugin's command takes: the declaration's values from a line, or a usage error in plain words."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from zoozl.chatbot.declared import Argument, Kind, read
from zoozl.chatbot.words import Word, split
from zoozl.errors import ExtensionError

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

NEAR = 0.75
# Names that nobody declared are compared so often; a message may have thousands.
MOST_STRANGE = 20
MOST_ERRORS = 5
MOST_CHOICES = 20
SHOWN = 40

EXPECTED: dict[Any, str] = {
    int: "a whole number",
    float: "a number",
    Decimal: "a number",
    date: "a date like 2026-12-24",
    datetime: "a date and time like 2026-12-24T18:00",
    time: "a time like 18:00",
    timedelta: "a duration like 1:30:00",
    bool: "yes or no",
}
NUMERIC = re.compile(r"[-+]?[\d.]*")
DAY = re.compile(r"\d{4}-\d\d-\d\d")
CLOCK = re.compile(r"\d?\d:\d\d(:\d\d)?")
NO_NUMBERS = frozenset({"nan", "inf", "infinity"})
NOTHING: Mapping[str, Any] = {}


class UsageError(ValueError):
    """A command was not written as its plugin takes it; the text is for the talker."""


class Arguments:
    """The declaration of one plugin, read once."""

    def __init__(self, declared: Any, plugin: str) -> None:
        """Raises ExtensionError naming plugin and field."""
        # Imported here: most plugins have no arguments, and the core needs no pydantic.
        from pydantic import PydanticSchemaGenerationError, PydanticUserError, TypeAdapter

        self._all = read(declared, plugin)
        try:
            self._adapter: TypeAdapter[Any] = TypeAdapter(declared)
        except (PydanticSchemaGenerationError, PydanticUserError, NameError, TypeError) as exc:
            reason = str(exc).splitlines()[0]
            raise ExtensionError(f"plugin {plugin}: arguments {declared.__name__}: {reason}") from exc
        self._by_key = {argument.key: argument for argument in self._all}
        self._by_option = {argument.option[2:].casefold(): argument for argument in self._all}
        self._words = [a for a in self._all if a.kind is Kind.WORD]
        self._last = next((a for a in self._all if a.kind in (Kind.REST, Kind.MANY)), None)

    @property
    def usage(self) -> str:
        """What follows the command in a usage line."""
        positional = [a.shown for a in self._all if a.kind not in (Kind.OPTION, Kind.FLAG)]
        named = [a.shown for a in self._all if a.kind in (Kind.OPTION, Kind.FLAG)]
        return " ".join(positional + named)

    @property
    def details(self) -> list[str]:
        """A line for each argument that has something said about it."""
        lines = []
        for argument in self._all:
            about = [argument.about] if argument.about else []
            if argument.choices:
                about.append("one of " + ", ".join(argument.choices))
            if about:
                lines.append(f"{argument.label}: {'; '.join(about)}")
        return lines

    def parse(self, line: str, drawn: Mapping[str, Any] = NOTHING) -> Any:
        """An instance of the declaration. Raises UsageError, and whatever a validator of the plugin's raises.

        `drawn` is what its defaults were, in a line that was parsed before.
        """
        from pydantic import ValidationError

        given, errors = self._take(line)
        values: dict[str, Any] = {a.key: False for a in self._all if a.kind is Kind.FLAG and a.required}
        values |= drawn
        for key, texts in given.items():
            argument = self._by_key[key]
            converted = [_convert(argument, text, errors) for text in texts]
            values[key] = converted if argument.listed else converted[0]
        if not errors:
            try:
                return self._adapter.validate_python(values)
            except ValidationError as exc:
                errors += [self._reason(error) for error in exc.errors(include_url=False)]
        else:
            errors += [f"{a.label} is missing." for a in self._all if a.required and a.key not in {*given, *values}]
        raise UsageError("\n".join(list(dict.fromkeys(errors))[:MOST_ERRORS]))

    def drawn(self, line: str, arguments: Any) -> dict[str, Any]:
        """The defaults, as JSON, that would be others if `line` was parsed again (today, a random number)."""
        drawn = [argument for argument in self._all if argument.drawn]
        if not drawn:
            return {}
        given, _ = self._take(line)
        names = {argument.name for argument in drawn if argument.key not in given}
        values = self._adapter.dump_python(arguments, mode="json", include=names)
        return {argument.key: values[argument.name] for argument in drawn if argument.name in names}

    def _take(self, line: str) -> tuple[dict[str, list[str]], list[str]]:
        """What was written for each argument, and what was wrong."""
        given: dict[str, list[str]] = {}
        plain: list[Word] = []
        errors: list[str] = []
        strange, over = 0, False
        words = split(line)
        n = 0
        while n < len(words):
            word = words[n]
            n += 1
            argument = None if over else self._named(word.option)
            if argument is not None:
                value = word.value
                if argument.kind is Kind.FLAG:
                    value = ("no" if self._is_no(word.option) else "yes") if value is None else value
                elif value is None and n < len(words) and self._named(words[n].option) is None:
                    value, used = _value(argument, words[n : n + 2])
                    n += used
                if value is None:
                    errors.append(f"{argument.option} needs a value.")
                elif argument.key in given and not argument.listed:
                    errors.append(f"{argument.option} is there twice.")
                else:
                    given.setdefault(argument.key, []).append(value)
            elif word.text == "--" and not over and len(plain) <= len(self._words):
                # What follows is no option, whatever it looks like. In the midst of a text it is a dash.
                over = True
            elif word.option and not over and strange < MOST_STRANGE and (wrong := self._strange(word)):
                strange += 1
                errors.append(wrong)
            else:
                strange += bool(word.option)
                plain.append(word)
        self._place(line, plain, given, errors)
        return given, errors

    def _named(self, option: str) -> Argument | None:
        if not option:
            return None
        name = option.casefold().replace("_", "-")
        return self._by_option.get(name) or (self._by_option.get(name[3:]) if self._is_no(option) else None)

    def _is_no(self, option: str) -> bool:
        name = option.casefold().replace("_", "-")
        flag = self._by_option.get(name[3:]) if name.startswith("no-") and name not in self._by_option else None
        return flag is not None and flag.kind is Kind.FLAG

    def _strange(self, word: Word) -> str:
        """What is wrong with a name that nobody declared; "" if it may be part of a text."""
        if not word.text.startswith("--"):
            return ""  # a dash
        near = difflib.get_close_matches(word.option.casefold()[:SHOWN], self._by_option, n=1, cutoff=NEAR)
        if near:
            return f"There is no --{_short(word.option)}. Did you mean --{near[0]}?"
        return f"There is no --{_short(word.option)}." if self._last is None else ""

    def _place(self, line: str, plain: list[Word], given: dict[str, list[str]], errors: list[str]) -> None:
        """Give the words without a name to the arguments in their order."""
        left = plain
        for argument in self._words:
            if argument.key not in given and left:
                text, used = _value(argument, left)
                given[argument.key] = [text]
                left = left[used:]
        last = self._last
        if not left:
            return
        if last is None or (last.key in given and not last.listed):
            errors.append(f'"{_short(line[left[0].start : left[-1].end])}" is too much.')
        elif last.kind is Kind.MANY:
            given.setdefault(last.key, []).extend(word.text for word in left)
        else:
            given[last.key] = [left[0].text if len(left) == 1 else _text(line, left)]

    def _reason(self, error: ErrorDetails) -> str:
        argument = self._by_key.get(str(error["loc"][0])) if error["loc"] else None
        raised = error.get("ctx", {}).get("error")
        if error["type"] in ("value_error", "assertion_error"):
            said = str(raised) or "This does not fit."
            return f"{argument.label}: {said}" if argument is not None else said
        if argument is None:
            return str(error["msg"])
        if error["type"] == "missing":
            return f"{argument.label} is missing."
        must = re.sub(r"^.*? should ", "must ", str(error["msg"]))
        if argument.type in EXPECTED and ("pars" in error["type"] or "_type" in error["type"]):
            must = f"must be {EXPECTED[argument.type]}"
        elif not must.startswith("must "):
            must = f"does not fit ({must})"
        return f'{argument.label} {must}, not "{_short(str(error["input"]))}".'


def _value(argument: Argument, words: Sequence[Word]) -> tuple[str, int]:
    """The text for an argument, and how many words it takes: a day and the time of the day are two."""
    text = words[0].text
    if argument.type is datetime and len(words) > 1 and DAY.fullmatch(text) and CLOCK.fullmatch(words[1].text):
        return f"{text}T{words[1].text.zfill(5)}", 2
    return text, 1


def _convert(argument: Argument, text: str, errors: list[str]) -> Any:
    """What pydantic is given for a text; what it would take too kindly is an error here."""
    if argument.choices:
        wanted = text.casefold()
        found = next((name for name in argument.choices if name.casefold() == wanted), None)
        if found is None:
            choices = list(argument.choices)
            said = ", ".join(choices[:MOST_CHOICES] + ["..."] * (len(choices) > MOST_CHOICES))
            errors.append(f'{argument.label} must be one of {said}, not "{_short(text)}".')
            return None
        return argument.choices[found]
    # A number would be seconds since 1970.
    dated = argument.type in (date, datetime, time) and NUMERIC.fullmatch(text)
    if dated or (argument.type is float and text.strip("+- ").casefold() in NO_NUMBERS):
        errors.append(f'{argument.label} must be {EXPECTED[argument.type]}, not "{_short(text)}".')
    return text


def _text(line: str, words: Sequence[Word]) -> str:
    """Words as they were written, without what stood between them by its name."""
    runs: list[list[int]] = []
    for word in words:
        if runs and not line[runs[-1][1] : word.start].strip():
            runs[-1][1] = word.end
        else:
            runs.append([word.start, word.end])
    return " ".join(line[start:end] for start, end in runs)


def _short(text: str) -> str:
    text = " ".join(text[: 2 * SHOWN].split())
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"
