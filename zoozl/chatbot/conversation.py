"""The conversation a plugin sees during a turn."""

from __future__ import annotations

import uuid as _uuid
from dataclasses import dataclass, field
from typing import Any

from zoozl.chatbot.message import Message


def new_uuid() -> str:
    """A fresh conversation id."""
    return str(_uuid.uuid4())


@dataclass(slots=True)
class Conversation:
    """One talker's conversation: this turn's own copy, saved when the turn ends well.

    `subject` is the alias that called the plugin, "" when nothing is going on. `data` belongs to the plugin
    that holds the floor; it must be JSON and is emptied when the subject ends. `messages` are the latest
    messages of both sides, oldest first, a bounded number of them.
    """

    uuid: str = field(default_factory=new_uuid)
    talker: str = ""
    ongoing: bool = False
    subject: str = ""
    messages: list[Message] = field(default_factory=list)
    data: dict[str, Any] = field(default_factory=dict)
