"""Messages, addresses and events as JSON text, and back."""

from __future__ import annotations

import base64
from functools import lru_cache
from typing import Any

import orjson

from zoozl.chatbot.message import Address, Event, Message, MessagePart


def dump_parts(parts: list[MessagePart]) -> str:
    """All parts of a message; bytes as base64."""
    return orjson.dumps([_part(part) for part in parts]).decode()


def load_parts(text: str) -> list[MessagePart]:
    """The reverse of `dump_parts`."""
    return [_load_part(part) for part in orjson.loads(text)]


def _part(part: MessagePart) -> dict[str, Any]:
    return {
        "text": _unicode(part.text),
        "binary": base64.b64encode(part.binary).decode(),
        "media_type": part.media_type,
        "filename": _unicode(part.filename),
        "consumed": part.consumed,
    }


def _unicode(text: str) -> str:
    """`text` with what is not Unicode (half a surrogate pair) replaced: no database takes that."""
    return text.encode("utf-8", "replace").decode()


def plain_text(message: Message) -> str | None:
    """The text of a message that is nothing else, None for one with files or several parts."""
    parts = message.parts
    if len(parts) == 1 and not parts[0].binary and not parts[0].filename and not parts[0].media_type:
        return _unicode(parts[0].text)
    return None


def dump_message(message: Message) -> str:
    """A whole message."""
    return orjson.dumps(_message(message)).decode()


def load_message(text: str) -> Message:
    """The reverse of `dump_message`."""
    return _load_message(orjson.loads(text))


def _message(message: Message) -> dict[str, Any]:
    text = plain_text(message)
    packed: dict[str, Any] = {
        "author": _unicode(message.author),
        "sent": message.timestamp,
        "id": message.id,
        "from_bot": message.from_bot,
    }
    if text is None:
        packed["parts"] = [_part(part) for part in message.parts]
    else:
        packed["text"] = text
    return packed


def _load_message(packed: dict[str, Any]) -> Message:
    parts = packed["text"] if "text" in packed else [_load_part(part) for part in packed["parts"]]
    return Message(parts, packed["author"], packed["sent"], packed["id"], packed["from_bot"])


def _load_part(packed: dict[str, Any]) -> MessagePart:
    return MessagePart(**{**packed, "binary": base64.b64decode(packed["binary"])})


@lru_cache(maxsize=1024)
def dump_address(address: Address) -> str:
    """An address."""
    return orjson.dumps([address.channel, address.account, address.room, address.thread, address.talker]).decode()


def load_address(text: str) -> Address:
    """The reverse of `dump_address`."""
    return Address(*orjson.loads(text))


def dump_event(event: Event) -> str:
    """An event, without its keys: they are taken when it is accepted."""
    address = event.address
    return orjson.dumps(
        {
            "kind": event.kind,
            "address": [address.channel, address.account, address.room, address.thread, address.talker],
            "message": _message(event.message),
        }
    ).decode()


def load_event(text: str) -> Event:
    """The reverse of `dump_event`."""
    packed = orjson.loads(text)
    return Event(Address(*packed["address"]), _load_message(packed["message"]), (), packed["kind"])
