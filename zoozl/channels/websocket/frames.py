"""What comes over the websocket: a frame in, what it says out, or a reason why not."""

from __future__ import annotations

import base64
import binascii
from typing import Any, NamedTuple

import orjson

from zoozl.chatbot import question as questions
from zoozl.chatbot.message import Message, MessagePart

LONGEST_ID = 200
LARGEST_PAGE = 100
LAST_PAGE = 10**9
MOST_VALUES = 200
# Beyond it a float has no fraction, and its digits are not those that were typed.
LARGEST_WHOLE = 1e15


class FrameError(ValueError):
    """A frame that cannot be understood; the text is for its sender."""


class Hello(NamedTuple):
    """{"hello": {"resume", "last", "auth"?}}: a client that can lose its connection without losing anything."""

    resume: str | None
    last: int
    token: str | None = None


class Auth(NamedTuple):
    """{"auth": {"token"}}: who speaks."""

    token: str


class Ack(NamedTuple):
    """{"ack": seq}: everything up to that reply has arrived."""

    seq: int


class Listing(NamedTuple):
    """{"operation": "list_messages", "page", "page_size", "id"?, "with_files"?}: page 1 has the latest messages."""

    page: int
    page_size: int
    number: str
    with_files: bool


class Answer(NamedTuple):
    """A message that answers a question by a button or a form."""

    message: Message
    question: str
    value: str | None
    """Of the button; None for a form."""
    values: dict[str, Any]
    """Of the form's fields: texts, numbers, true or false, or null."""

    @property
    def answer(self) -> questions.Answer:
        """As the core takes it: every value of a form is a text."""
        given = self.value if self.value is not None else {name: _words(v) for name, v in self.values.items()}
        return questions.Answer(self.question, given)


def _words(value: str | float | None) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float) and value.is_integer() and abs(value) < LARGEST_WHOLE:
        return str(int(value))
    return str(value)


def decode(frame: str | bytes) -> Message | Answer | Hello | Auth | Ack | Listing:
    """A text frame: {"text", "files"?, "id"?} is a message, whose `id` is "" for a plain client. Raises FrameError."""
    try:
        packet = orjson.loads(frame)
    except ValueError:
        raise FrameError("a frame must be JSON") from None
    if not isinstance(packet, dict):
        raise FrameError("a frame must be a JSON object")
    text = packet.get("text")
    files = packet.get("files")
    if text is None and files is None:
        return _decode_other(packet)
    if text is not None and not isinstance(text, str):
        raise FrameError("'text' must be a string")
    number = _id(packet) if "id" in packet else ""
    if files is None:
        message = Message(text or "", "", None, number)
    elif isinstance(files, list):
        parts = [MessagePart(text)] if text else []
        message = Message([*parts, *map(_decode_file, files)], id=number)
    else:
        raise FrameError("'files' must be a list")
    if "choice" in packet or "form" in packet:
        return _decode_answer(packet, message)
    return message


def _id(packet: dict[str, Any]) -> str:
    number = packet.get("id", "")
    if not isinstance(number, str) or len(number) > LONGEST_ID:
        raise FrameError(f"'id' must be a string of at most {LONGEST_ID} characters")
    return number


def _decode_answer(packet: dict[str, Any], message: Message) -> Answer:
    """{"choice": {"question", "value"}} or {"form": {"question", "values": {name: value}}} of a message."""
    kind = "choice" if "choice" in packet else "form"
    given = packet[kind]
    question = given.get("question") if isinstance(given, dict) else None
    if not isinstance(question, str) or len(question) > LONGEST_ID:
        raise FrameError(f"'{kind}' must be an object with the 'question' it answers")
    if kind == "choice":
        value = given.get("value")
        if not isinstance(value, str):
            raise FrameError("'value' of a choice must be a string")
        return Answer(message, question, value, {})
    values = given.get("values")
    if not isinstance(values, dict) or len(values) > MOST_VALUES:
        raise FrameError(f"'values' of a form must be an object of at most {MOST_VALUES} fields")
    if not all(value is None or isinstance(value, str | int | float) for value in values.values()):
        raise FrameError("a value of a form must be a text, a number, true, false or null")
    return Answer(message, question, None, values)


def _decode_other(packet: dict[str, Any]) -> Hello | Auth | Ack | Listing:
    if "hello" in packet:
        hello = packet["hello"]
        if not isinstance(hello, dict):
            raise FrameError("'hello' must be an object")
        resume, last = hello.get("resume"), hello.get("last", 0)
        if resume is not None and not isinstance(resume, str):
            raise FrameError("'resume' must be a string or null")
        token = _token(hello["auth"]) if hello.get("auth") is not None else None
        return Hello(resume, _number(last, "last"), token)
    if "ack" in packet:
        return Ack(_number(packet["ack"], "ack"))
    if "auth" in packet:
        return Auth(_token(packet["auth"]))
    if "operation" in packet:
        return _decode_listing(packet)
    raise FrameError("a frame needs 'text'")


def _token(auth: Any) -> str:
    token = auth.get("token") if isinstance(auth, dict) else None
    if not isinstance(token, str):
        raise FrameError("'auth' must be an object with a 'token', a string")
    return token


def _decode_listing(packet: dict[str, Any]) -> Listing:
    if packet["operation"] != "list_messages":
        raise FrameError("'operation' must be \"list_messages\"")
    size = _number(packet.get("page_size", 10), "page_size")
    page = _number(packet.get("page", 1), "page")
    if not 1 <= size <= LARGEST_PAGE:
        raise FrameError(f"'page_size' must be from 1 to {LARGEST_PAGE}")
    if page > LAST_PAGE:
        raise FrameError("there are not so many pages")
    # The first zoozl took page 0 for page 1.
    return Listing(max(page, 1), size, _id(packet), packet.get("with_files") is True)


def _number(value: Any, name: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise FrameError(f"{name!r} must be a number")
    return value


def _decode_file(given: Any) -> MessagePart:
    if not isinstance(given, dict):
        raise FrameError("a file must be an object")
    name, media_type, data = (given.get(key, "") for key in ("filename", "media_type", "data"))
    if not (isinstance(name, str) and isinstance(media_type, str) and isinstance(data, str)):
        raise FrameError("'filename', 'media_type' and 'data' of a file must be strings")
    try:
        binary = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise FrameError("'data' of a file must be base64") from None
    # The name is the sender's: only its last part, so that nobody is led to write elsewhere.
    name = name.replace("\\", "/").rpartition("/")[2].replace("\0", "")
    return MessagePart("", binary, media_type or "application/octet-stream", name)
