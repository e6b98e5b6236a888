"""The bot's message as what chat.postMessage takes: mrkdwn in parts, the last one with the question's widgets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from zoozl.channels.render.slack import parts
from zoozl.channels.slack.view import Block, widgets
from zoozl.chatbot.message import Message
from zoozl.chatbot.question import Question

# Characters: a message's text, and that of one section when there are blocks.
LONGEST, LONGEST_SECTION = 4_000, 3_000


def posts(message: Message, *, with_widgets: bool = True) -> list[dict[str, Any]]:
    """The messages to post, in order, without channel and thread; none if there is no text."""
    block = widgets(message.question) if with_widgets and message.question is not None else None
    if block is None or message.question is None:
        return [{"text": part} for part in parts(message.text, LONGEST)]
    texts = parts(without_numbers(message.text, message.question), LONGEST_SECTION) or ["…"]
    return [*({"text": part} for part in texts[:-1]), {"text": texts[-1], "blocks": blocks(texts[-1], [block])}]


def blocks(text: str, more: Sequence[Block]) -> list[Block]:
    """One section of mrkdwn and what follows it."""
    return [{"type": "section", "text": {"type": "mrkdwn", "text": text}}, *more]


def without_numbers(text: str, question: Question) -> str:
    """What is said to a question, without the list (or "yes/no") that the buttons show."""
    shown = question.text.removeprefix(question.prompt)
    return text.removesuffix(shown) if shown and question.text != shown else text
