"""How a plugin asks: the question is recorded and said, and answers are tried until one is accepted."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from zoozl.chatbot.message import Message
from zoozl.chatbot.question import Answer, Choice, Field, Kind, Question, plain, understand
from zoozl.chatbot.run import as_kept, maybe
from zoozl.errors import AskTimeout

if TYPE_CHECKING:
    from zoozl.chatbot.ports import Entry
    from zoozl.chatbot.run import Run

Validate = Callable[[Any], Any]
MISSING: Any = object()

TRY_AGAIN = "Sorry, that does not fit. Please try again."
CHOOSE = "Please choose one of these:"
YES_OR_NO = "Please answer yes or no."
REASONS = {Kind.TEXT: TRY_AGAIN, Kind.CHOICE: CHOOSE, Kind.CONFIRM: YES_OR_NO, Kind.FORM: TRY_AGAIN}
SKIP = frozenset({"-", "skip", "none"})


async def ask(run: Run, question: Question, seconds: float | None, validate: Validate | None, default: Any) -> Any:
    """The answer: text, the value of a choice, "yes" or "no", or what `validate` made of it.

    Raises AskTimeout or DialogEnded.
    """
    if run.is_over:
        await run.linger()
    entry = run.recorded("ask")
    live = entry is None
    if entry is None:
        question = _put(run, question, seconds)
    else:
        asked = Question.load(entry.value)
        if asked.prompt != question.prompt or asked.kind is not question.kind:
            raise run.misfit(f"asks {asked.prompt!r}, and the plugin asks {question.prompt!r}")
        # As it is stored: what a form was filled in with is not in the journal.
        stored = run.dialog.question if run.dialog is not None else None
        question = stored if stored is not None and stored.id == asked.id else asked
    while True:
        entry = None if live else run.recorded("reject", "answer", "timeout")
        if entry is None:
            live = True
            entry = await _live(run, question, validate)
        elif entry.kind == "answer" and "said" in entry.value:
            run.heard(Message(*entry.value["said"]), entry.value.get("by", run.talker))
        if entry.kind == "timeout":
            if default is MISSING:
                raise AskTimeout
            return default
        if entry.kind == "answer":
            return _open(run, entry)


def _put(run: Run, question: Question, seconds: float | None) -> Question:
    if not isinstance(question.prompt, str):
        raise TypeError(f"a question is a str, not a {type(question.prompt).__name__}")
    question.id = run.new_id()
    if seconds is not None:
        question.deadline = run.now() + seconds
    run.record("ask", question.dump())
    if text := question.text:
        run.say(text, question)
    return question


async def _live(run: Run, question: Question, validate: Validate | None) -> Entry:
    """Wait for one message, and judge it."""
    event = await run.wait(question, question.deadline)
    if event.kind == "deadline":
        return run.record("timeout", None)
    text = event.message.text
    value = understand(question, text) if event.answer is None else _tapped(question, event.answer)
    reason = ""
    if value is None:
        reason = REASONS[question.kind]
    elif validate is not None:
        run.judging = True
        try:
            value, reason = await _valid(value, validate)
        finally:
            run.judging = False
    if reason:
        # The reason first, then what there is to choose from.
        again = replace(question, prompt=reason, fields=_filled(question, event.answer))
        run.say(again.text if question.kind is Kind.CHOICE else reason, again)
        # What was filled in is there, too, where the form is opened by a button later.
        question.fields = again.fields
        return run.record("reject", reason)
    if question.secret:
        run.keep_secret()
        return run.record("answer", run.seal(value))
    message, talker = event.message, event.address.talker
    run.heard(message, talker)
    # Heard again in a replay, so that `last_message` is what it was; its files stay with the history.
    said = [text, message.author, message.timestamp, message.id]
    return run.record("answer", {"value": value, "said": said, "by": talker})


def _tapped(question: Question, answer: Answer) -> Any:
    """What a button or a form means as the answer to `question`; None if nothing."""
    value = answer.value
    if isinstance(value, dict):
        if question.kind is Kind.FORM:
            return value
        # A secret is asked for by a form of one field where there are forms.
        if len(value) != 1:
            return None
        (value,) = value.values()
    if any(choice.value == value for choice in question.choices):
        return value
    return understand(question, value)


def _filled(question: Question, answer: Answer | None) -> tuple[Field, ...]:
    """The fields of a form that is shown again, with what was filled in, unless there is a secret among it."""
    if answer is None or not isinstance(answer.value, dict) or question.secret:
        return question.fields
    return tuple(replace(one, default=answer.value.get(one.name, one.default)) for one in question.fields)


async def _valid(value: Any, validate: Validate) -> tuple[Any, str]:
    """The value to keep and "", or why it is not accepted. Raises DataError for a value that cannot be kept."""
    try:
        result = await maybe(validate(value))
    except ValueError as exc:
        return None, str(exc) or TRY_AGAIN
    if result is False:
        return None, TRY_AGAIN
    return (value if result is None or result is True else as_kept(result, "validate")), ""


def _open(run: Run, entry: Entry) -> Any:
    if "sealed" in entry.value:
        return run.unseal(entry.value)
    value = entry.value["value"]
    # A copy: what the plugin makes of it before the turn ends must not get into the journal.
    return value if isinstance(value, str) else deepcopy(value)


async def form(
    run: Run, title: str, fields: list[Field], seconds: float | None, checks: Mapping[str, Validate]
) -> dict[str, Any]:
    """The values by name: from a form where there are forms, else asked one by one."""
    # Noted, because it may be another device that is there when the dialog begins again.
    entry = run.recorded("form")
    if entry is None:
        entry = run.record("form", run.shows("forms"))
    if entry.value:
        question = Question("", title, Kind.FORM, fields=tuple(fields), talker=run.talker, secret=_has_secret(fields))
        given = await ask(run, question, seconds, lambda values: _complete(fields, values, checks), MISSING)
        if isinstance(given, dict):
            return given
        # It was answered in words: that is the first field, and the others follow.
        first = {fields[0].name: given}
    else:
        first = {}
        run.say(title)
    for one in fields:
        if one.name not in first:
            first[one.name] = await _field(run, one, seconds, checks)
    return first


async def _field(run: Run, one: Field, seconds: float | None, checks: Mapping[str, Validate]) -> Any:
    hint = "" if one.required or one.type == "checkbox" else " (- to leave it out)"
    kind = Kind.CHOICE if one.type == "select" else Kind.CONFIRM if one.type == "checkbox" else Kind.TEXT
    question = Question(
        "",
        one.label + hint,
        kind,
        one.choices if one.required or not one.choices else (*one.choices, Choice("", "-")),
        secret=one.type == "password",
        talker=run.talker,
        literal=kind is Kind.TEXT,
    )
    return await ask(run, question, seconds, lambda text: _fits(one, text, checks), MISSING)


async def _complete(fields: list[Field], given: Any, checks: Mapping[str, Validate]) -> Any:
    if not isinstance(given, dict):
        return await _fits(fields[0], given, checks)
    return {one.name: await _fits(one, str(given.get(one.name, "")), checks) for one in fields}


async def _fits(one: Field, text: str, checks: Mapping[str, Validate]) -> Any:
    """The value of a field, also by what the plugin says of it. Raises ValueError with the reason."""
    value = check_field(one, text)
    if not value or one.name not in checks:
        return value
    result, reason = await _valid(value, checks[one.name])
    if reason:
        raise ValueError(f"{one.label}: {reason}")
    return result


def check_field(one: Field, text: str) -> str:
    """The value of a field. Raises ValueError with the reason."""
    text = text.strip()
    if not text or (not one.required and plain(text) in SKIP):
        if one.required:
            raise ValueError(f"{one.label}: this is needed.")
        return one.default
    if one.type == "number":
        try:
            float(text.replace(",", "."))
        except ValueError:
            raise ValueError(f"{one.label}: this must be a number.") from None
        return text.replace(",", ".")
    if one.type == "date":
        from datetime import date

        try:
            return date.fromisoformat(text).isoformat()
        except ValueError:
            raise ValueError(f"{one.label}: please write the day like 2026-11-21.") from None
    if one.type == "select" and text not in {choice.value for choice in one.choices}:
        raise ValueError(f"{one.label}: please choose one of {', '.join(choice.label for choice in one.choices)}.")
    if one.type == "checkbox" and text not in ("yes", "no"):
        raise ValueError(f"{one.label}: yes or no?")
    return text


def _has_secret(fields: list[Field]) -> bool:
    return any(one.type == "password" for one in fields)


def name_of(call: Callable[..., Any]) -> str:
    """How a step is called in the journal."""
    return str(getattr(call, "__qualname__", type(call).__qualname__))


def takes_key(call: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
    """Whether a step's function wants its stable key: a parameter `key` that has not been given anything."""
    try:
        signature = inspect.signature(call)
        return "key" in signature.parameters and "key" not in signature.bind_partial(*args, **kwargs).arguments
    except (TypeError, ValueError):
        return False
