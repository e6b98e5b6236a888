"""What Slack's Events API tells: something was said, a thread was opened, or nothing that matters."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

# Kinds of messages that people write; the others tell of joins, topics, edits and the like.
SUBTYPES = frozenset({"", "file_share", "thread_broadcast", "me_message"})
IDENTIFIER = re.compile(r"[\w.-]{1,64}", re.ASCII)
TIMESTAMP = re.compile(r"[0-9]{1,16}\.[0-9]{1,8}")
LONGEST_TEXT = 100_000
MOST_FILES = 20
ANGLE = re.compile(r"<([^<>]*)>")


class Malformed(ValueError):
    """That is nothing Slack sends."""


@dataclass(frozen=True, slots=True)
class FileRef:
    """A file that can be fetched."""

    id: str
    name: str
    media_type: str
    size: int
    url: str


@dataclass(frozen=True, slots=True)
class Said:
    """Somebody wrote something. `text` is as Slack has it, `thread` the timestamp of the thread's parent or ""."""

    team: str
    channel: str
    kind: str
    """im, channel, group, mpim; "" if the event does not say."""
    user: str
    text: str
    ts: str
    thread: str
    mention: bool
    """It came as app_mention."""
    event_id: str
    bot: str = ""
    """The bot who wrote it; "" for a person."""
    me: str = ""
    """The user id of this bot, if the event names it."""
    files: tuple[FileRef, ...] = ()

    @property
    def direct(self) -> bool:
        """Whether nobody else hears it."""
        return self.kind == "im" or (not self.kind and self.channel.startswith("D"))


@dataclass(frozen=True, slots=True)
class Opened:
    """Somebody opened a conversation with the assistant."""

    team: str
    channel: str
    user: str
    thread: str
    event_id: str


@dataclass(frozen=True, slots=True)
class Challenge:
    """Slack looks whether the address is ours."""

    text: str


@dataclass(frozen=True, slots=True)
class Edited:
    """Somebody changed the text of what he had said; `ts` names it."""

    team: str
    channel: str
    user: str
    text: str
    ts: str
    me: str


@dataclass(frozen=True, slots=True)
class Nothing:
    """To be acknowledged, and that is all; `why` is for the log."""

    why: str


Happening: TypeAlias = Said | Edited | Opened | Challenge | Nothing


def table(value: Any) -> Mapping[str, Any]:
    """A JSON object, {} for what is absent. Raises Malformed."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Malformed("an object was expected")
    return value


def text_of(where: Mapping[str, Any], key: str, longest: int = 4_000) -> str:
    """A text, "" if it is absent. Raises Malformed."""
    value = where.get(key)
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > longest:
        raise Malformed(f"{key} is no text of a sane length")
    return value


def identifier(where: Mapping[str, Any], key: str, *, needed: bool = False) -> str:
    """An id of Slack's, "" if it is absent and not needed. Raises Malformed."""
    value = text_of(where, key)
    if not IDENTIFIER.fullmatch(value) if value else needed:
        raise Malformed(f"{key} is no id")
    return value


def timestamp(where: Mapping[str, Any], key: str, *, needed: bool = False) -> str:
    """A message's timestamp, which is its name in a channel. Raises Malformed."""
    value = text_of(where, key)
    if not TIMESTAMP.fullmatch(value) if value else needed:
        raise Malformed(f"{key} is no timestamp")
    return value


def decode(payload: Any) -> Happening:
    """The outer envelope of the Events API. Raises Malformed."""
    if payload is None:
        raise Malformed("there is nothing in it")
    envelope = table(payload)
    kind = text_of(envelope, "type")
    if kind == "url_verification":
        return Challenge(text_of(envelope, "challenge"))
    if kind != "event_callback":
        return Nothing(f"an envelope of type {kind[:40]!r}")
    event = table(envelope.get("event"))
    team = identifier(envelope, "team_id", needed=True)
    event_id = identifier(envelope, "event_id", needed=True)
    kind = text_of(event, "type")
    if kind == "assistant_thread_started":
        thread = table(event.get("assistant_thread"))
        channel, user = identifier(thread, "channel_id", needed=True), identifier(thread, "user_id", needed=True)
        return Opened(team, channel, user, timestamp(thread, "thread_ts", needed=True), event_id)
    if kind not in ("message", "app_mention"):
        return Nothing(f"an event of type {kind[:40]!r}")
    subtype = text_of(event, "subtype")
    if subtype == "bot_message":
        # An old way for apps to speak; the bot's id tells whether it may be listened to.
        subtype = ""
    if subtype == "message_changed":
        return _edited(table(event.get("message")), event, team, _own_user(envelope))
    if subtype not in SUBTYPES:
        return Nothing(f"a message of subtype {subtype[:40]!r}")
    if event.get("edited") is not None:
        return Nothing("an edit")
    return _said(event, team, event_id, _own_user(envelope), mention=kind == "app_mention")


def _edited(message: Mapping[str, Any], event: Mapping[str, Any], team: str, me: str) -> Edited | Nothing:
    user = identifier(message, "user")
    if message.get("edited") is None or not user:
        return Nothing("a message that was changed by nobody, as when a link is unfurled")
    channel, ts = identifier(event, "channel", needed=True), timestamp(message, "ts", needed=True)
    return Edited(team, channel, user, text_of(message, "text", LONGEST_TEXT), ts, me)


def _said(event: Mapping[str, Any], team: str, event_id: str, me: str, *, mention: bool) -> Said | Nothing:
    user, bot = identifier(event, "user"), identifier(event, "bot_id")
    if not user and not bot:
        return Nothing("a message of nobody")
    files = event.get("files")
    if files is not None and not isinstance(files, list):
        raise Malformed("files is no list")
    return Said(
        team,
        identifier(event, "channel", needed=True),
        text_of(event, "channel_type"),
        user or bot,
        text_of(event, "text", LONGEST_TEXT),
        timestamp(event, "ts", needed=True),
        timestamp(event, "thread_ts"),
        mention,
        event_id,
        bot,
        me,
        tuple(ref for ref in map(_file, (files or [])[:MOST_FILES]) if ref is not None),
    )


def _own_user(envelope: Mapping[str, Any]) -> str:
    """Who the event was sent to."""
    given = envelope.get("authorizations")
    for one in given if isinstance(given, list) else ():
        if isinstance(one, dict) and one.get("is_bot") is True:
            return identifier(one, "user_id")
    return ""


def _file(value: Any) -> FileRef | None:
    """A file of a message; None for one that is no longer there."""
    file = table(value)
    if text_of(file, "mode") == "tombstone":
        return None
    size = file.get("size")
    url = text_of(file, "url_private_download") or text_of(file, "url_private")
    return FileRef(
        identifier(file, "id", needed=True),
        text_of(file, "name"),
        text_of(file, "mimetype", 200),
        size if isinstance(size, int) and size >= 0 else 0,
        url,
    )


def mentions(text: str, user: str) -> bool:
    """Whether `text` names this user."""
    return bool(user) and (f"<@{user}>" in text or f"<@{user}|" in text)


def readable(text: str, me: str = "") -> str:
    """What a person sees: mentions, channels and links as words, without the mention of `me`, escapes undone."""
    plain = ANGLE.sub(lambda found: _word(found[1], me), text)
    plain = plain.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    return re.sub(r"[ \t]{2,}", " ", plain).strip() if me and mentions(text, me) else plain.strip()


def _word(inside: str, me: str) -> str:
    target, bar, label = inside.partition("|")
    if target.startswith("@"):
        return "" if target[1:] == me and me else f"@{label.removeprefix('@') or target[1:]}"
    if target.startswith("#"):
        return f"#{label or target[1:]}"
    if target.startswith("!"):
        # <!here>, <!subteam^S1|@team>, <!date^...|today>
        return label if bar else f"@{target[1:].partition('^')[0]}"
    if not bar or not label:
        return target.removeprefix("mailto:")
    # Slack makes links of what looks like one, and keeps what was written as the label.
    return label if target.endswith(label) or target.endswith(f"{label}/") else f"{label} ({target})"
