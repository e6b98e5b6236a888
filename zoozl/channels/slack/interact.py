"""What Slack's forms tell: a slash command, a tap on a button, a modal that was sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from zoozl.channels.slack.decode import (
    LONGEST_TEXT,
    Malformed,
    Nothing,
    identifier,
    table,
    text_of,
    timestamp,
)
from zoozl.channels.slack.view import CALLBACK, FORM, MARK, Origin, values_of

MOST_BLOCKS = 60


@dataclass(frozen=True, slots=True)
class Commanded:
    """A slash command."""

    team: str
    channel: str
    user: str
    command: str
    text: str
    response_url: str
    trigger: str


@dataclass(frozen=True, slots=True)
class Tapped:
    """A button, or one of a list; `asker` is the one who may answer, "" for all."""

    team: str
    channel: str
    user: str
    ts: str
    thread: str
    ephemeral: bool
    question: str
    asker: str
    value: str
    label: str
    opens_form: bool
    response_url: str
    trigger: str
    blocks: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Submitted:
    """A modal was sent."""

    team: str
    user: str
    view: str
    origin: Origin
    values: dict[str, str]


Interaction: TypeAlias = Tapped | Submitted | Nothing


def decode_command(form: Mapping[str, str]) -> Commanded:
    """The fields of a slash command's POST. Raises Malformed."""
    return Commanded(
        identifier(form, "team_id", needed=True),
        identifier(form, "channel_id", needed=True),
        identifier(form, "user_id", needed=True),
        text_of(form, "command", 100),
        text_of(form, "text", LONGEST_TEXT),
        text_of(form, "response_url"),
        identifier(form, "trigger_id", needed=True),
    )


def decode_interaction(payload: Any) -> Interaction:
    """The JSON in the field `payload`, or of an envelope of Socket Mode. Raises Malformed."""
    outer = table(payload)
    kind = text_of(outer, "type")
    if kind == "block_actions":
        return _tapped(outer)
    if kind == "view_submission":
        return _submitted(outer)
    return Nothing(f"an interaction of type {kind[:40]!r}")


def _tapped(outer: Mapping[str, Any]) -> Tapped | Nothing:
    actions = outer.get("actions")
    action = table(actions[0] if isinstance(actions, list) and actions else None)
    mark, _, rest = text_of(action, "block_id").partition(":")
    question, _, asker = rest.partition(":")
    if mark != MARK or not question:
        return Nothing("a button that is not ours")
    container, message = table(outer.get("container")), table(outer.get("message"))
    chosen = table(action.get("selected_option"))
    opens_form = text_of(action, "action_id") == FORM
    blocks = message.get("blocks")
    return Tapped(
        identifier(table(outer.get("team")), "id") or identifier(table(outer.get("user")), "team_id", needed=True),
        identifier(table(outer.get("channel")), "id") or identifier(container, "channel_id", needed=True),
        identifier(table(outer.get("user")), "id", needed=True),
        timestamp(container, "message_ts"),
        timestamp(message, "thread_ts") or timestamp(container, "thread_ts"),
        container.get("is_ephemeral") is True,
        question,
        asker,
        text_of(chosen or action, "value"),
        text_of(table(chosen.get("text") if chosen else action.get("text")), "text"),
        opens_form,
        text_of(outer, "response_url"),
        identifier(outer, "trigger_id", needed=True),
        tuple(table(block) for block in blocks[:MOST_BLOCKS]) if isinstance(blocks, list) else (),
    )


def _submitted(outer: Mapping[str, Any]) -> Submitted | Nothing:
    view = table(outer.get("view"))
    if text_of(view, "callback_id") != CALLBACK:
        return Nothing("a modal that is not ours")
    user = table(outer.get("user"))
    origin = Origin.load(text_of(view, "private_metadata"))
    if origin is None:
        raise Malformed("private_metadata is not what was sent")
    state = table(view.get("state"))
    return Submitted(
        identifier(table(outer.get("team")), "id") or identifier(user, "team_id", needed=True),
        identifier(user, "id", needed=True),
        identifier(view, "id", needed=True),
        origin,
        values_of(table(state.get("values"))),
    )
