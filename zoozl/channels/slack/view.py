"""A question's widgets in Block Kit: buttons, a list to choose from, and a modal for a form."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from zoozl.channels.slack.decode import IDENTIFIER, TIMESTAMP, table, text_of
from zoozl.chatbot.question import Choice, Field, Kind, Question

Block = dict[str, Any]

# The beginning of each block's id of ours: zoozl:QUESTION:WHO MAY ANSWER.
MARK = "zoozl"
CALLBACK = "zoozl"
FORM = "form"
CHOSEN = "choice"
# Slack's limits.
MOST_BUTTONS, MOST_OPTIONS = 25, 100
LONGEST_LABEL, LONGEST_VALUE, LONGEST_OPTION = 75, 2_000, 150
LONGEST_TITLE, LONGEST_FIELD_LABEL, LONGEST_BLOCK_ID = 24, 2_000, 255
CONFIRM = (Choice("yes", "Yes"), Choice("no", "No"))
YES = "yes"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a modal was opened from, for its answer: Slack keeps it in the modal."""

    question: str
    room: str
    thread: str
    channel: str
    ts: str

    def dump(self) -> str:
        """As JSON, well below the 3,000 characters that there are."""
        return json.dumps(asdict(self))

    @classmethod
    def load(cls, text: str) -> Origin | None:
        """The reverse, None for anything else."""
        try:
            packed = json.loads(text)
            origin = cls(**packed)
        except (ValueError, TypeError, RecursionError):
            return None
        ids = (origin.question, origin.room, origin.thread.removeprefix("/"), origin.channel, origin.ts)
        fine = all(isinstance(one, str) and (not one or IDENTIFIER.fullmatch(one)) for one in ids)
        return origin if fine and (not origin.ts or TIMESTAMP.fullmatch(origin.ts)) else None


def plain(text: str, longest: int) -> Block:
    """A text object without markup, cut at `longest` characters."""
    return {"type": "plain_text", "text": text if len(text) <= longest else text[: longest - 1] + "…", "emoji": True}


def widgets(question: Question) -> Block | None:
    """The block to answer with; None if words must do."""
    if question.kind is Kind.FORM:
        button = {"type": "button", "action_id": FORM, "text": plain("Fill in", LONGEST_LABEL), "value": FORM}
        return _actions(question, [{**button, "style": "primary"}])
    if question.kind not in (Kind.CHOICE, Kind.CONFIRM):
        return None
    choices = CONFIRM if question.kind is Kind.CONFIRM else question.choices
    if any(not choice.label.strip() or not choice.value for choice in choices):
        return None
    longest = max(len(choice.value) for choice in choices)
    if len(choices) <= MOST_BUTTONS and longest <= LONGEST_VALUE:
        return _actions(question, [_button(n, choice) for n, choice in enumerate(choices)])
    if len(choices) <= MOST_OPTIONS and longest <= LONGEST_OPTION:
        return _actions(question, [{"type": "static_select", "action_id": CHOSEN, "options": _options(choices)}])
    return None


def _actions(question: Question, elements: Sequence[Block]) -> Block:
    block_id = f"{MARK}:{question.id}:{question.talker}"[:LONGEST_BLOCK_ID]
    return {"type": "actions", "block_id": block_id, "elements": list(elements)}


def _button(number: int, choice: Choice) -> Block:
    text = plain(choice.label, LONGEST_LABEL)
    return {"type": "button", "action_id": f"{CHOSEN}:{number}", "text": text, "value": choice.value}


def _options(choices: Sequence[Choice]) -> list[Block]:
    return [{"text": plain(choice.label, LONGEST_LABEL), "value": choice.value} for choice in choices]


def answered(blocks: Sequence[Mapping[str, Any]], label: str, *, opened: bool = False) -> list[Block]:
    """A message's blocks with `label` in the place of the widgets."""
    kept = [dict(block) for block in blocks if block.get("type") != "actions"]
    mark = "✅ " + ("Sent" if opened else label)
    return [*kept, {"type": "context", "elements": [plain(mark, LONGEST_VALUE)]}]


def modal(question: Question, origin: Origin) -> Block:
    """The form as a modal; each field's block is called like the field."""
    title = " ".join(question.prompt.split())
    blocks = [_input(field) for field in question.fields]
    if len(title) > LONGEST_TITLE:
        blocks.insert(0, {"type": "section", "text": plain(title, 3_000)})
    return {
        "type": "modal",
        "callback_id": CALLBACK,
        "private_metadata": origin.dump(),
        "title": plain(title or "Form", LONGEST_TITLE),
        "submit": plain("Send", LONGEST_TITLE),
        "close": plain("Cancel", LONGEST_TITLE),
        "blocks": blocks,
    }


def _input(field: Field) -> Block:
    element: Block = {"action_id": "value"}
    default = field.default
    if field.type == "select" and len(field.choices) <= MOST_OPTIONS:
        options = _options(field.choices)
        element |= {"type": "static_select", "options": options}
        if chosen := [option for option in options if option["value"] == default]:
            element["initial_option"] = chosen[0]
    elif field.type == "checkbox":
        option = {"text": plain(field.label, LONGEST_LABEL), "value": YES}
        element |= {"type": "checkboxes", "options": [option]}
        if default == YES:
            element["initial_options"] = [option]
    elif field.type == "date":
        element |= {"type": "datepicker"} | ({"initial_date": default} if default else {})
    elif field.type == "number":
        element |= {"type": "number_input", "is_decimal_allowed": True}
        element |= {"initial_value": default} if default else {}
    else:
        element |= {"type": "plain_text_input"} | ({"initial_value": default} if default else {})
    return {
        "type": "input",
        "block_id": field.name[:LONGEST_BLOCK_ID],
        "label": plain(field.label, LONGEST_FIELD_LABEL),
        # A box that is not ticked is an answer.
        "optional": not field.required or field.type == "checkbox",
        "element": element,
    }


def values_of(state: Mapping[str, Any]) -> dict[str, str]:
    """What was filled in, by field, out of `view.state.values`. Raises Malformed."""
    values = {}
    for name, actions in state.items():
        given = table(table(actions).get("value"))
        if text_of(given, "type") == "checkboxes":
            selected = given.get("selected_options")
            values[name] = YES if isinstance(selected, list) and selected else "no"
        elif given.get("selected_option") is not None:
            values[name] = text_of(table(given["selected_option"]), "value")
        else:
            values[name] = text_of(given, "selected_date") or text_of(given, "value")
    return values
