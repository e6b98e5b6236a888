"""What Mattermost sends, as values: frames of the websocket, posts, clicks on buttons, forms, commands."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

# Ids become parts of URLs.
ID = re.compile(r"[A-Za-z0-9]{1,64}")
MOST_FILES = 100
LONGEST_TEXT = 100_000
# What this bot writes into the props of its posts, to know them again.
KEY = "zoozl"


class DecodeError(ValueError):
    """Something is not as Mattermost sends it. The text names what, and quotes nothing."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame: an event with its number, or the reply to a request."""

    event: str
    seq: int
    data: Mapping[str, Any]
    reply: bool = False
    error: str = ""


class File(NamedTuple):
    """A file of a post; `size` is -1 if it is not known."""

    id: str
    name: str
    size: int
    media_type: str


@dataclass(slots=True)
class Post:
    """One post. Times are milliseconds."""

    id: str
    channel_id: str
    user_id: str
    root_id: str
    text: str
    created: int
    deleted: bool
    type: str
    from_bot: bool
    key: str
    """What this bot knows its own post by."""
    files: tuple[File, ...]
    mentions: frozenset[str] = frozenset()
    room_type: str = ""
    """O, P, D or G; "" if that did not come with it."""
    room_name: str = ""


def loads(text: str | bytes, what: str) -> dict[str, Any]:
    """A JSON object. Raises DecodeError."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise DecodeError(f"{what} is no JSON") from exc
    return _object(value, what)


def frame(text: str) -> Frame:
    """A text frame of the websocket. Raises DecodeError."""
    raw = loads(text, "a frame")
    if "seq_reply" in raw:
        error = raw.get("error")
        message = error.get("message") if isinstance(error, dict) else ""
        failed = raw.get("status") != "OK"
        return Frame("", -1, {}, True, _text(message)[:200] or "failed" if failed else "")
    data = raw.get("data")
    return Frame(_name(raw, "event"), _int(raw, "seq"), data if isinstance(data, dict) else {})


def posted(data: Mapping[str, Any]) -> Post:
    """The post of an event; `post` and `mentions` are JSON in JSON. Raises DecodeError."""
    inner = data.get("post")
    if not isinstance(inner, str):
        raise DecodeError("an event has no post")
    found = post(loads(inner, "a post"))
    found.mentions = _mentions(data.get("mentions"))
    found.room_type, found.room_name = _text(data.get("channel_type"))[:1], _text(data.get("channel_name"))[:200]
    return found


def post(raw: Mapping[str, Any]) -> Post:
    """A post as the API has it. Raises DecodeError."""
    props = raw.get("props")
    props = props if isinstance(props, dict) else {}
    # They are texts there, and from_bot is a bool nowhere.
    from_bot = any(props.get(name) in ("true", True) for name in ("from_bot", "from_webhook"))
    root = raw.get("root_id")
    return Post(
        _id(raw, "id"),
        _id(raw, "channel_id"),
        _id(raw, "user_id"),
        _id(raw, "root_id") if root else "",
        _text(raw.get("message"))[:LONGEST_TEXT],
        _int(raw, "create_at"),
        bool(raw.get("delete_at")),
        _text(raw.get("type")),
        from_bot,
        _text(props.get(KEY))[:200],
        tuple(_files(raw)),
    )


def posts(raw: object) -> list[Post]:
    """The posts of a list as the API has it, oldest first; those that are none are left out. Raises DecodeError."""
    found = []
    for inner in _object(_object(raw, "a list of posts").get("posts") or {}, "a list of posts").values():
        try:
            found.append(post(_object(inner, "a post")))
        except DecodeError:
            continue
    return sorted(found, key=lambda one: (one.created, one.id))


def _files(raw: Mapping[str, Any]) -> Iterator[File]:
    metadata = raw.get("metadata")
    known = metadata.get("files") if isinstance(metadata, dict) else None
    tables = [info for info in known if isinstance(info, dict)] if isinstance(known, list) else []
    infos = {_text(info.get("id")): info for info in tables}
    ids = raw.get("file_ids")
    for file_id in ids[:MOST_FILES] if isinstance(ids, list) else ():
        if isinstance(file_id, str) and ID.fullmatch(file_id):
            yield file(file_id, infos.get(file_id, {}))


def file(file_id: str, info: Mapping[str, Any]) -> File:
    """A file by what the API tells of it, as far as it does; its name has no folder."""
    size = info.get("size")
    name = re.sub(r"[\x00-\x1f\x7f]", "", _text(info.get("name")).replace("\\", "/").rpartition("/")[2])
    known = isinstance(size, int) and not isinstance(size, bool) and size >= 0
    return File(file_id, name[:200].lstrip("."), size if known and isinstance(size, int) else -1, _media_type(info))


def _media_type(info: Mapping[str, Any]) -> str:
    kind = _text(info.get("mime_type")).partition(";")[0].strip().lower()
    return kind if re.fullmatch(r"[\w.+-]{1,100}/[\w.+-]{1,100}", kind) else "application/octet-stream"


def _mentions(value: object) -> frozenset[str]:
    if value is None or value == "":
        return frozenset()
    try:
        found = json.loads(value) if isinstance(value, str) else None
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, list):
        raise DecodeError("the mentions of an event are no JSON list")
    return frozenset(one for one in found if isinstance(one, str))


@dataclass(frozen=True, slots=True)
class Callback:
    """A click on a button, a choice from a menu, or a form that was sent; `sealed` is what the bot had put there."""

    sealed: object
    user_id: str
    user_name: str
    channel_id: str
    post_id: str
    trigger_id: str
    selected: str
    fields: dict[str, str]
    cancelled: bool


def callback(body: bytes) -> Callback:
    """A click or a form, as Mattermost posts it. Raises DecodeError."""
    raw = loads(body, "the request")
    context = raw.get("context")
    context = context if isinstance(context, dict) else {}
    submission = raw.get("submission")
    fields = submission if isinstance(submission, dict) else {}
    return Callback(
        raw.get("state") if "submission" in raw or raw.get("type") == "dialog_submission" else context.get(KEY),
        _id(raw, "user_id"),
        _text(raw.get("user_name"))[:200],
        _id(raw, "channel_id"),
        _id(raw, "post_id") if raw.get("post_id") else "",
        _text(raw.get("trigger_id"))[:1000],
        _text(context.get("selected_option"))[:3000],
        {name: _value(value) for name, value in list(fields.items())[:MOST_FILES]},
        raw.get("cancelled") is True,
    )


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)[:LONGEST_TEXT] if isinstance(value, str | int | float) else ""


@dataclass(frozen=True, slots=True)
class Command:
    """A slash command. `hook` is the part of the address that later answers go to; it works for half an hour."""

    command: str
    text: str
    user_id: str
    user_name: str
    channel_id: str
    channel_name: str
    trigger_id: str
    hook: str


def command(form: Mapping[str, Any]) -> Command:
    """The fields of the form that a slash command is. Raises DecodeError."""
    hook = re.search(r"/hooks/commands/([A-Za-z0-9]{1,64})$", _text(form.get("response_url")))
    return Command(
        _text(form.get("command"))[:200],
        _text(form.get("text"))[:LONGEST_TEXT],
        _id(form, "user_id"),
        _text(form.get("user_name"))[:200],
        _id(form, "channel_id"),
        _text(form.get("channel_name"))[:200],
        _text(form.get("trigger_id"))[:1000],
        hook[1] if hook else "",
    )


def _object(value: object, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise DecodeError(f"{what} is no JSON object")
    return value


def _text(value: object) -> str:
    # Half of a surrogate pair can stand in JSON, and nowhere else.
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else ""


def _name(raw: Mapping[str, Any], name: str) -> str:
    value = raw.get(name)
    if not isinstance(value, str) or not value:
        raise DecodeError(f"{name} is missing")
    return value


def _id(raw: Mapping[str, Any], name: str) -> str:
    value = raw.get(name)
    if not isinstance(value, str) or not ID.fullmatch(value):
        raise DecodeError(f"{name} is no id")
    return value


def _int(raw: Mapping[str, Any], name: str) -> int:
    value = raw.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 62:
        raise DecodeError(f"{name} is no number")
    return value
