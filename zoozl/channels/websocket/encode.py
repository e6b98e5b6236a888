"""What goes over the websocket: a reply, a page of the history, an acknowledgement ... as a frame."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import orjson

from zoozl.channels.websocket.frames import Listing
from zoozl.chatbot.message import Message, MessagePart
from zoozl.chatbot.question import Choice, Field, Kind, Question
from zoozl.errors import Undeliverable

# Bytes of files that one page of the history may carry; what is beyond comes without its bytes.
HISTORY_BYTES = 16 << 20
YES_NO = (Choice("yes", "Yes"), Choice("no", "No"))
# A secret is asked for by a form of one field, which does not show what is typed.
SECRET = (Field("answer", "Answer", "password"),)


def encode(message: Message, seq: int = 0, html: str = "") -> bytes:
    """The frame of a reply; for clients that said hello with its `seq` and all that they can show of it.

    `html` is what `shown(message)` looks like. Raises Undeliverable for invalid Unicode.
    """
    packet: dict[str, Any] = {"author": message.author, "text": message.text}
    if seq:
        if html:
            packet["html"] = html
        packet["seq"] = seq
        packet["sent"] = message.timestamp
        if message.question is not None:
            packet |= _encode_question(message.question, message.text)
        if message.stream:
            packet["stream"] = message.stream
        if message.closes:
            packet["answered"] = message.closes
    files = message.files
    if files:
        packet["files"] = [_encode_file(file) | {"data": base64.b64encode(file.binary).decode()} for file in files]
    return _dump(packet)


def _dump(packet: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(packet)
    except TypeError as exc:
        raise Undeliverable(f"the reply cannot be encoded: {exc}") from exc


def shown(message: Message) -> str:
    """The text of a reply beside its buttons: without the list of what there is to choose."""
    question = message.question
    return question.prompt if question is not None and question.kind is not Kind.TEXT else message.text


def _encode_question(question: Question, text: str) -> dict[str, Any]:
    """What clients with buttons and forms are given instead of the `text` that is there for all, now as "plain"."""
    if question.kind is Kind.TEXT and not question.secret:
        return {}
    packet: dict[str, Any] = {}
    if question.kind is not Kind.TEXT and text != question.prompt:
        packet = {"text": question.prompt, "plain": text}
    if question.kind is Kind.CHOICE or question.kind is Kind.CONFIRM:
        options = question.choices if question.kind is Kind.CHOICE else YES_NO
        return packet | {"choices": {"question": question.id, "options": [_encode_choice(one) for one in options]}}
    fields = question.fields if question.kind is Kind.FORM else SECRET
    form = {"question": question.id, "title": question.prompt, "fields": [_encode_field(one) for one in fields]}
    return packet | {"form": form}


def _encode_choice(choice: Choice) -> dict[str, str]:
    return {"value": choice.value, "label": choice.label}


def _encode_field(field: Field) -> dict[str, Any]:
    packet: dict[str, Any] = {"name": field.name, "label": field.label, "type": field.type, "required": field.required}
    if field.type == "checkbox":
        packet["default"] = field.default == "yes"
    elif field.default:
        packet["default"] = field.default
    if field.choices:
        packet["options"] = [_encode_choice(one) for one in field.choices]
    return packet


def encode_typing(on: bool) -> bytes:
    """The frame that says whether the bot is at work."""
    return b'{"typing":true}' if on else b'{"typing":false}'


def encode_stream(key: str, text: str, html: str) -> bytes:
    """The frame of an answer that grows, as it is now. Raises Undeliverable for invalid Unicode."""
    stream = {"id": key, "text": text, "html": html} if html else {"id": key, "text": text}
    return _dump({"stream": stream})


def _encode_file(file: MessagePart) -> dict[str, Any]:
    return {"filename": file.filename, "media_type": file.media_type}


def encode_history(
    listing: Listing, messages: Sequence[Message], total: int, talker: str, html: Sequence[str] | None
) -> bytes:
    """One page of a conversation; `messages` are oldest first, and `html` is what they look like.

    Without `html` it is for a plain client: newest first and with the names it has always had as well.
    """
    data, room = [], HISTORY_BYTES if listing.with_files else 0
    for n in reversed(range(len(messages))):
        message = messages[n]
        text, sent = message.text, message.timestamp
        record: dict[str, Any] = {"author": message.author, "text": text, "sent": sent, "from_bot": message.from_bot}
        if html is None:
            date = datetime.fromtimestamp(sent, UTC).isoformat()
            record |= {"date": date, "user": talker, "message": text, "response": "n/a", "status": "completed"}
        else:
            if html[n]:
                record["html"] = html[n]
            if message.id and not message.from_bot:
                # By it the page knows its own messages again after a reload.
                record["id"] = message.id
        files = []
        for file in message.files:
            room -= len(file.binary)
            content: dict[str, Any] = {"size": len(file.binary)}
            if room >= 0:
                content["data"] = base64.b64encode(file.binary).decode()
            files.append(_encode_file(file) | content)
        if files:
            record["files"] = files
        data.append(record)
    if html is not None:
        data.reverse()
    packet = {
        "operation": "list_messages",
        "data": data,
        "page": listing.page,
        "page_size": listing.page_size,
        "total_count": total,
    }
    if listing.number:
        packet["id"] = listing.number
    return orjson.dumps(packet)


def encode_error(reason: str, number: str = "", retry_after: float = 0.0) -> bytes:
    """The frame of a refusal, of the message `number` if it had one; to be tried again in `retry_after` seconds."""
    packet: dict[str, Any] = {"error": reason}
    if number:
        packet["id"] = number
    if retry_after:
        packet["retry_after"] = round(retry_after, 3)
    return orjson.dumps(packet)


def encode_ack(number: str) -> bytes:
    """The frame that says: this message cannot be lost any more."""
    return orjson.dumps({"ack": number})


def encode_welcome(resume: str, talker: str = "") -> bytes:
    """The answer to hello, with the token to come back with, and who the talker has proved to be."""
    welcome = {"resume": resume, "talker": talker} if talker else {"resume": resume}
    return orjson.dumps({"welcome": welcome})
