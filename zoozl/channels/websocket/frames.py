"""What goes over the websocket, without a socket: frames in, frames out."""

from __future__ import annotations

import base64
import binascii
from typing import Any, NamedTuple

import orjson

from zoozl.chatbot.message import Message, MessagePart
from zoozl.errors import Undeliverable

LONGEST_ID = 200


class FrameError(ValueError):
    """A frame that cannot be understood; the text is for its sender."""


class Hello(NamedTuple):
    """{"hello": {"resume", "last"}}: a client that can lose its connection without losing anything."""

    resume: str | None
    last: int


class Ack(NamedTuple):
    """{"ack": seq}: everything up to that reply has arrived."""

    seq: int


def decode(frame: str) -> Message | Hello | Ack:
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
    number = packet.get("id", "")
    if not isinstance(number, str) or len(number) > LONGEST_ID:
        raise FrameError(f"'id' must be a string of at most {LONGEST_ID} characters")
    if files is None:
        return Message(text or "", id=number)
    if not isinstance(files, list):
        raise FrameError("'files' must be a list")
    parts = [MessagePart(text)] if text else []
    return Message([*parts, *map(_decode_file, files)], id=number)


def _decode_other(packet: dict[str, Any]) -> Hello | Ack:
    if "hello" in packet:
        hello = packet["hello"]
        if not isinstance(hello, dict):
            raise FrameError("'hello' must be an object")
        resume, last = hello.get("resume"), hello.get("last", 0)
        if resume is not None and not isinstance(resume, str):
            raise FrameError("'resume' must be a string or null")
        return Hello(resume, _number(last, "last"))
    if "ack" in packet:
        return Ack(_number(packet["ack"], "ack"))
    raise FrameError("a frame needs 'text'")


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


def encode(message: Message, seq: int = 0) -> bytes:
    """The frame of a reply, with its `seq` for clients that said hello. Raises Undeliverable for invalid Unicode."""
    packet: dict[str, Any] = {"author": message.author, "text": message.text}
    if seq:
        packet["seq"] = seq
    files = message.files
    if files:
        packet["files"] = [
            {"filename": f.filename, "media_type": f.media_type, "data": base64.b64encode(f.binary).decode()}
            for f in files
        ]
    try:
        return orjson.dumps(packet)
    except TypeError as exc:
        raise Undeliverable(f"the reply cannot be encoded: {exc}") from exc


def encode_error(reason: str, number: str = "") -> bytes:
    """The frame of a refusal, of the message `number` if it had one."""
    return orjson.dumps({"error": reason, "id": number} if number else {"error": reason})


def encode_ack(number: str) -> bytes:
    """The frame that says: this message cannot be lost any more."""
    return orjson.dumps({"ack": number})


def encode_welcome(resume: str) -> bytes:
    """The answer to hello, with the token to come back with."""
    return orjson.dumps({"welcome": {"resume": resume}})
