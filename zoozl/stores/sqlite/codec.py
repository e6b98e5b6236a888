"""Messages, addresses and events as JSON text, and back."""

from __future__ import annotations

import base64
from functools import lru_cache
from typing import Any

import orjson

from zoozl.chatbot.identity import Identity
from zoozl.chatbot.message import Address, Event, Message, MessagePart
from zoozl.chatbot.ports import Dialog
from zoozl.chatbot.question import Answer, Question
from zoozl.stores.jsontext import dump, load


def dump_parts(parts: list[MessagePart]) -> str:
    """All parts of a message; bytes as base64."""
    return orjson.dumps([_part(part) for part in parts]).decode()


def load_parts(text: str) -> list[MessagePart]:
    """The reverse of `dump_parts`."""
    return [_load_part(part) for part in orjson.loads(text)]


def _part(part: MessagePart) -> dict[str, Any]:
    packed = {
        "text": _unicode(part.text),
        "binary": base64.b64encode(part.binary).decode(),
        "media_type": part.media_type,
        "filename": _unicode(part.filename),
        "consumed": part.consumed,
    }
    if part.full:
        packed["full"] = _unicode(part.full)
    return packed


def _unicode(text: str) -> str:
    """`text` with what is not Unicode (half a surrogate pair) replaced: no database takes that."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def plain_text(message: Message) -> str | None:
    """The text of a message that is nothing else, None for one with files or several parts."""
    text = message.plain()
    return text if text is None or text.isascii() else _unicode(text)


def dump_message(message: Message) -> str:
    """A whole message."""
    return dump(_message(message))


def load_message(text: str) -> Message:
    """The reverse of `dump_message`."""
    return _load_message(load(text))


def _message(message: Message) -> dict[str, Any]:
    text = plain_text(message)
    packed: dict[str, Any] = {
        "author": _unicode(message.author),
        "sent": message.timestamp,
        "id": message.id,
        "from_bot": message.from_bot,
    }
    if message.question is not None:
        packed["question"] = message.question.dump()
    if message.stream:
        packed["stream"] = message.stream
    if message.closes:
        packed["closes"] = message.closes
    if message.envelope is not None:
        packed["envelope"] = message.envelope
    if text is None:
        packed["parts"] = [_part(part) for part in message.parts]
    else:
        packed["text"] = text
    return packed


def _load_message(packed: dict[str, Any]) -> Message:
    parts = packed["text"] if "text" in packed else [_load_part(part) for part in packed["parts"]]
    message = Message(parts, packed["author"], packed["sent"], packed["id"], packed["from_bot"])
    if "question" in packed:
        message.question = Question.load(packed["question"])
    message.stream = packed.get("stream", "")
    message.closes = tuple(packed.get("closes", ()))
    message.envelope = packed.get("envelope")
    return message


def _load_part(packed: dict[str, Any]) -> MessagePart:
    return MessagePart(**{**packed, "binary": base64.b64decode(packed["binary"])})


@lru_cache(maxsize=1024)
def dump_address(address: Address) -> str:
    """An address."""
    return orjson.dumps([address.channel, address.account, address.room, address.thread, address.talker]).decode()


def load_address(text: str) -> Address:
    """The reverse of `dump_address`."""
    return Address(*orjson.loads(text))


def dump_dialog(dialog: Dialog, now: float, last: int) -> tuple[Any, ...]:
    """The row of a dialog."""
    question = dialog.question
    return (
        dialog.id,
        dialog.lane,
        dialog.address.talker,
        dialog.plugin,
        dialog.alias,
        dump_address(dialog.address),
        dialog.start,
        dialog.data,
        dump(question.dump()) if question is not None else None,
        question.id if question is not None else None,
        dialog.deadline,
        now,
        last,
    )


def dump_change(dialog: Dialog, now: float, last: int) -> tuple[Any, ...]:
    """What most turns change of it, after its id."""
    question = dialog.question
    if question is None:
        return dialog.id, dialog.data, None, None, dialog.deadline, now, last
    return dialog.id, dialog.data, dump(question.dump()), question.id, dialog.deadline, now, last


DIALOG = (
    "id, lane, plugin, alias, address, start, data, question, deadline,"
    " coalesce((SELECT n + json_array_length(entries) FROM journal WHERE journal.id = last), 0)"
)


def load_dialog(row: tuple[Any, ...]) -> Dialog:
    """A dialog of the columns `DIALOG`."""
    number, lane, plugin, alias, address, start, data, question, deadline, entries = row
    asked = Question.load(load(question)) if question is not None else None
    return Dialog(number, lane, plugin, alias, load_address(address), start, data, asked, deadline, entries)


def dump_event(event: Event) -> str:
    """An event, without its keys: they are taken when it is accepted."""
    address = event.address
    packed: dict[str, Any] = {
        "kind": event.kind,
        "address": [address.channel, address.account, address.room, address.thread, address.talker],
        "message": _message(event.message),
    }
    if event.identity is not None:
        packed["identity"] = [event.identity.talker, event.identity.claims, sorted(event.identity.roles)]
    if event.answer is not None:
        packed["answer"] = list(event.answer)
    return orjson.dumps(packed).decode()


def load_event(text: str) -> Event:
    """The reverse of `dump_event`."""
    packed = orjson.loads(text)
    identity = None
    if "identity" in packed:
        talker, claims, roles = packed["identity"]
        identity = Identity(talker, claims, frozenset(roles))
    answer = Answer(*packed["answer"]) if "answer" in packed else None
    return Event(Address(*packed["address"]), _load_message(packed["message"]), (), packed["kind"], identity, answer)
