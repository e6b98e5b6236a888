"""What is said and where: MessagePart, Message, Address, Event."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from time import time
from typing import Any
from urllib.parse import quote

from zoozl.chatbot.identity import Identity
from zoozl.chatbot.question import Answer, Question


@dataclass(slots=True)
class MessagePart:
    """One piece of a message: a text, or a file with its media type and name."""

    text: str = ""
    binary: bytes = b""
    media_type: str = ""
    filename: str = ""
    consumed: bool = False
    """A plugin's own mark: `Package.get_attachments(consumed=False)` finds what it has not dealt with yet."""
    full: str = ""
    """The text as it was written, where a channel took quotations and signatures off; "" if nothing was taken off."""

    def __post_init__(self) -> None:
        self.check()

    def check(self) -> None:
        """Raise TypeError if something in it is of another type, as a plugin may have made it."""
        if not (
            isinstance(self.text, str)
            and isinstance(self.binary, bytes)
            and isinstance(self.media_type, str)
            and isinstance(self.filename, str)
            and isinstance(self.full, str)
        ):
            raise TypeError("MessagePart: text, full, media_type and filename must be str, binary must be bytes")


class Message:
    """Something said: `Message("text")`, or a list of parts.

    `author` is shown to people, `sent` is aware (UTC), `id` is the platform's own id or "".
    `from_bot` tells the bot's answers from the talker's words in a history.
    """

    # What most messages never have is a default of the class: two are made in every turn.
    question: Question | None = None
    """What a reply asks; channels with buttons show them."""
    closes: tuple[str, ...] = ()
    """The ids of the questions that are no longer open since this reply."""
    envelope: Mapping[str, Any] | None = None
    """JSON of the channel's own: what it needs in order to answer this; every reply to it carries the same."""
    stream = ""
    """The key of the growing answer that a reply takes the place of."""
    row = 0
    """Where a store keeps it; 0 before."""

    def __init__(
        self,
        parts: str | Iterable[MessagePart | dict[str, Any]] = (),
        author: str = "",
        sent: datetime | float | None = None,
        id: str = "",  # noqa: A002 - the field's standard name
        from_bot: bool = False,
    ) -> None:
        """`sent` may be seconds since the epoch; now if it is not given."""
        # A text stays one until somebody asks for its part: hardly anybody does.
        self._content: str | list[MessagePart] = (
            parts
            if isinstance(parts, str)
            else [MessagePart(**part) if isinstance(part, dict) else part for part in parts]
        )
        self.author = author
        # Kept as it came: hardly anybody asks, and a datetime costs as much as the rest of a message.
        self._sent = time() if sent is None else sent
        self.id = id
        self.from_bot = from_bot

    @property
    def parts(self) -> list[MessagePart]:
        """What it is made of; the list may be changed."""
        # Without a lock: only one plugin at a time has a message in its hands.
        content = self._content
        if isinstance(content, str):
            content = self._content = [MessagePart(content)]
        return content

    @parts.setter
    def parts(self, parts: list[MessagePart]) -> None:
        self._content = parts

    @property
    def sent(self) -> datetime:
        """When it was said."""
        sent = self._sent
        return sent if isinstance(sent, datetime) else datetime.fromtimestamp(sent, UTC)

    @property
    def timestamp(self) -> float:
        """The same in seconds since the epoch."""
        sent = self._sent
        return sent.timestamp() if isinstance(sent, datetime) else sent

    def size(self) -> int:
        """Characters of its texts and bytes of its files, for keeping memory within bounds."""
        content = self._content
        if isinstance(content, str):
            return len(content)
        return sum(len(part.text) + len(part.binary) for part in content)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Message):
            return NotImplemented
        return (self.parts, self.author, self.id, self.timestamp, self.from_bot) == (
            other.parts,
            other.author,
            other.id,
            other.timestamp,
            other.from_bot,
        )

    def __repr__(self) -> str:
        return f"Message({self.parts!r}, author={self.author!r}, from_bot={self.from_bot})"

    def plain(self) -> str | None:
        """Its text if it is nothing but a text, else None."""
        content = self._content
        if isinstance(content, str):
            return content
        if len(content) != 1:
            return None
        part = content[0]
        return None if part.binary or part.filename or part.media_type or part.full else part.text

    def check(self) -> None:
        """Raise TypeError if something in it is of another type, as a plugin may have made it."""
        # Without an author it is the bot's own: None has always done for that.
        if not (isinstance(self.author or "", str) and isinstance(self.id, str)):
            raise TypeError("Message: author and id must be str")
        if not isinstance(self._sent, float | int | datetime):
            raise TypeError("Message: sent must be a datetime, or seconds since the epoch")
        for part in self.parts:
            if not isinstance(part, MessagePart):
                raise TypeError(f"Message: its parts must be MessageParts, not {type(part).__name__}")
            part.check()

    @property
    def text(self) -> str:
        """The texts of all parts, joined by a space; "" for a message of files only."""
        content = self._content
        if isinstance(content, str):
            return content
        return " ".join(part.text for part in content if part.text)

    @property
    def files(self) -> list[MessagePart]:
        """The parts that carry bytes."""
        content = self._content
        return [] if isinstance(content, str) else [part for part in content if part.binary]


@dataclass(frozen=True, slots=True)
class Address:
    """Where to answer. Frozen: two equal addresses are the same place.

    `account` is the workspace, team or mailbox of the channel; `room` is "" in a direct conversation;
    `thread` is "" outside a thread; `talker` is who speaks, unique within channel and account.
    """

    channel: str
    account: str = ""
    room: str = ""
    thread: str = ""
    talker: str = ""


SCOPES = ("user", "room", "thread", "user_in_thread")


@lru_cache(maxsize=8192)
def scope_key(address: Address, scope: str = "") -> str:
    """Whose state an address means under `scope`; the key of the lane and of the conversation.

    Without a scope: the talker in a direct conversation, the thread in a room.
    """
    if not scope:
        scope = "thread" if address.room else "user"
    if scope == "user":
        rest: tuple[str, ...] = (address.talker,)
    elif scope == "room":
        rest = (address.room,)
    elif scope == "thread":
        rest = (address.room, address.thread)
    elif scope == "user_in_thread":
        rest = (address.room, address.thread, address.talker)
    else:
        raise ValueError(f"scope must be one of {', '.join(SCOPES)}, not {scope!r}")
    return ":".join((address.channel, _part(address.account), scope, *map(_part, rest)))


def _part(text: str) -> str:
    """`text` without the separator, so that no two addresses share a key."""
    return quote(text, safe="@+ ") if ":" in text or "%" in text else text


# Frozen it would be slow to make, and a NamedTuple slow to read.
@dataclass(slots=True)
class Event:
    """Something that happened in a conversation, as a channel decoded it. Nobody changes it.

    `keys` are all identities under which the platform may deliver it again; they are checked and taken in
    one step. No key means that the transport itself never repeats (a plain websocket frame).
    """

    address: Address
    message: Message
    keys: tuple[str, ...] = ()
    kind: str = "message"
    """"message"; "connect": the talker arrived and has said nothing yet; "deadline": a dialog's time has come."""
    identity: Identity | None = None
    """Who the talker has proved to be, to the channel."""
    answer: Answer | None = None
    """A tap on a button, or a form that was sent."""
