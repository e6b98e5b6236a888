"""What the bot says, as Mattermost takes it: posts, buttons and menus, dialogs, answers to commands."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from zoozl.channels.mattermost.decode import KEY
from zoozl.channels.mattermost.taking import CODE, EVERYBODY
from zoozl.channels.render.split import split
from zoozl.chatbot.message import Message, MessagePart
from zoozl.chatbot.question import Field, Kind, Question

# Characters of a post, and files with it.
LONGEST_POST = 16_383
MOST_FILES = 5
# More choices than that are a menu.
MOST_BUTTONS = 5
LONGEST_LABEL, LONGEST_TITLE, LONGEST_OPTION = 80, 24, 64
LONGEST_PROMPT = 300
STYLES = {"yes": "primary", "no": "default"}
TYPES = {"select": "select", "checkbox": "bool"}
SUBTYPES = {"number": "number", "password": "password"}
Seal = Callable[[Mapping[str, Any]], str]


@dataclass(frozen=True, slots=True)
class Draft:
    """One post to be: a text, the files with it, and the question whose buttons it has."""

    text: str
    files: tuple[MessagePart, ...] = ()
    question: Question | None = None


def drafts(message: Message, *, buttons: bool) -> list[Draft]:
    """The posts that a message becomes, in order; with `buttons` a question shows its choices by them."""
    question = message.question if buttons and message.question is not None else None
    if question is not None and question.kind is Kind.TEXT:
        question = None
    texts = split(harmless(question.prompt if question is not None else message.text), LONGEST_POST)
    files = message.files
    groups = [tuple(files[at : at + MOST_FILES]) for at in range(0, len(files), MOST_FILES)]
    if not texts and (groups or question is not None):
        texts = [""]
    found = [Draft(text) for text in texts[:-1]]
    if texts:
        found.append(Draft(texts[-1], groups[0] if groups else (), question))
    return found + [Draft("", group) for group in groups[1:]]


def harmless(text: str) -> str:
    """`text` with @all, @channel and @here in backticks: what a talker can make the bot say must not ring everybody."""
    pieces, at = [], 0
    for code in CODE.finditer(text):
        pieces += [EVERYBODY.sub(r"`@\1`", text[at : code.start()]), code[0]]
        at = code.end()
    pieces.append(EVERYBODY.sub(r"`@\1`", text[at:]))
    return "".join(pieces)


def attachments(question: Question, url: str, place: Mapping[str, Any], seal: Seal) -> list[dict[str, Any]]:
    """The buttons or the menu of a question; `place` is what is sealed into each besides the answer."""
    about = {"q": question.id, "t": question.talker, "p": question.prompt[:LONGEST_PROMPT], **place}

    def integration(**more: Any) -> dict[str, Any]:
        return {"url": url, "context": {KEY: seal({**about, **more})}}

    if question.kind is Kind.FORM:
        form = [{"id": "form", "type": "button", "name": "Fill in", "style": "primary"}]
        return [{"actions": [{**form[0], "integration": integration(f=question.dump())}]}]
    if question.kind is Kind.CONFIRM:
        choices = [("yes", "Yes"), ("no", "No")]
    else:
        choices = [(choice.value, choice.label) for choice in question.choices]
    if len(choices) > MOST_BUTTONS:
        options = [{"text": label[:LONGEST_LABEL], "value": value} for value, label in choices]
        menu = {"id": "menu", "type": "select", "name": "Choose", "options": options, "integration": integration()}
        return [{"actions": [menu]}]
    return [
        {
            "actions": [
                {
                    "id": f"choice{number}",
                    "type": "button",
                    "name": label[:LONGEST_LABEL],
                    "style": STYLES.get(value, "default") if question.kind is Kind.CONFIRM else "default",
                    "integration": integration(v=value, l=label[:LONGEST_LABEL]),
                }
                for number, (value, label) in enumerate(choices)
            ]
        }
    ]


def answered(text: str, label: str, user_name: str) -> str:
    """The text of a question whose buttons are gone, with what was chosen."""
    return f"{text}\n\n✔ {label}" + (f" (@{user_name})" if user_name else "")


def dialog(question: Question, url: str, trigger_id: str, state: str) -> dict[str, Any]:
    """The request that opens a form at the one who clicked."""
    return {
        "trigger_id": trigger_id,
        "url": url,
        "dialog": {
            "callback_id": question.id,
            "title": _cut(question.prompt.replace("\n", " "), LONGEST_TITLE) or "Form",
            "elements": [_element(field) for field in question.fields],
            "submit_label": "Send",
            "notify_on_cancel": False,
            "state": state,
        },
    }


def _element(field: Field) -> dict[str, Any]:
    element: dict[str, Any] = {
        "display_name": _cut(field.label, LONGEST_TITLE) or field.name,
        "name": field.name,
        "type": TYPES.get(field.type, "text"),
        "optional": not field.required,
        "default": field.default,
    }
    if field.type in SUBTYPES:
        element["subtype"] = SUBTYPES[field.type]
    if field.type == "date":
        element["placeholder"] = "2026-12-31"
    if field.type == "select":
        element["options"] = [{"text": c.label[:LONGEST_OPTION], "value": c.value} for c in field.choices]
    if field.type == "checkbox":
        element["default"] = "true" if field.default == "yes" else "false"
        element["placeholder"] = _cut(field.label, 150)
    if len(field.label) > LONGEST_TITLE:
        element["help_text"] = _cut(field.label, 150)
    return element


def to_one(text: str, shown: list[dict[str, Any]]) -> dict[str, Any]:
    """An answer that only the one who gave the command sees."""
    return {"response_type": "ephemeral", "text": text, **({"attachments": shown} if shown else {})}


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"
