"""What a plugin holds during a turn: the conversation, and the way to answer."""

from __future__ import annotations

from collections.abc import Callable

from zoozl.chatbot.conversation import Conversation
from zoozl.chatbot.message import Address, Message, MessagePart


class Package:
    """One message for one plugin.

    `callback(text_or_message)` answers; it may be called any number of times, from the event loop or from a
    thread, until the turn has ended. Raises TypeError for anything but a str or a Message.
    """

    def __init__(
        self,
        conversation: Conversation,
        callback: Callable[[str | Message], None],
        *,
        address: Address | None = None,
        message: Message | None = None,
        matched: bool = False,
    ) -> None:
        self.conversation = conversation
        self.callback = callback
        self.address = address if address is not None else Address("", talker=conversation.talker)
        """Where this message came from; keep it to `context.tell(address, ...)` something later."""
        self._message = message if message is not None else _latest(conversation)
        self.matched = matched
        """Whether the message called for this plugin; False if it only falls back to it."""
        self.finished = False
        self._seen: list[tuple[Message, MessagePart, bool]] = []

    @property
    def talker(self) -> str:
        """Who speaks."""
        return self.conversation.talker

    @property
    def last_message(self) -> Message | None:
        """The talker's message that this turn is about; None when greeting on connect."""
        return self._message

    @property
    def last_message_text(self) -> str:
        """Its text, or ""."""
        return self._message.text if self._message is not None else ""

    def get_attachments(self, msg_count: int = 1, consumed: bool | None = None) -> list[MessagePart]:
        """Files of the talker's last `msg_count` messages, oldest first.

        `consumed` selects by the parts' mark of that name; None takes all.
        """
        if msg_count < 1:
            return []
        said = [m for m in self.conversation.messages if not m.from_bot]
        files = [(message, part) for message in said[-msg_count:] for part in message.files]
        self._seen += [(message, part, part.consumed) for message, part in files]
        return [part for _, part in files if consumed is None or part.consumed == consumed]

    def marked(self) -> list[Message]:
        """Messages with files whose `consumed` mark was changed through this package."""
        return [message for message, part, before in self._seen if part.consumed != before]

    def unmark(self) -> None:
        """Set these marks back to what they were."""
        for _, part, before in reversed(self._seen):
            part.consumed = before

    def finish(self) -> None:
        """End the subject with this turn: the next message is routed afresh and `data` is emptied."""
        self.finished = True


def _latest(conversation: Conversation) -> Message | None:
    return next((m for m in reversed(conversation.messages) if not m.from_bot), None)
