"""Answers that grow: what there is so far is shown now and then, and the whole is said at the end."""

from __future__ import annotations

import itertools
import logging
import secrets
import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

from zoozl.chatbot.message import Message
from zoozl.errors import DeliveryError

if TYPE_CHECKING:
    from zoozl.chatbot.run import Run

log = logging.getLogger(__name__)

# Seconds between two looks at it: platforms count edits.
INTERVAL = 0.25
# Not the same again after a restart: a client may still show one of before.
_process = secrets.token_hex(4)
_keys = itertools.count(1)


class Stream:
    """Made by `package.stream()`. Leaving it says the whole text as one answer, also when it ends by an error."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._text: list[str] = []
        self._shown = 0.0
        self._works = True
        self.key = f"{_process}-{next(_keys)}"

    @property
    def text(self) -> str:
        """All that was written."""
        return "".join(self._text)

    async def __aenter__(self) -> Self:
        """Begin."""
        return self

    async def write(self, text: str) -> None:
        """Add to the answer."""
        self._text.append(text)
        now = time.monotonic()
        if self._works and now - self._shown >= INTERVAL:
            self._shown = now
            try:
                await self._run.show(self.key, self.text)
            except (DeliveryError, OSError) as exc:
                # What counts is the answer at the end, which is kept and tried again.
                self._works = False
                log.info("an answer cannot be shown while it grows: %s", exc)

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Say the whole."""
        if self._text:
            message = Message(self.text)
            message.stream = self.key
            self._run.say(message)
