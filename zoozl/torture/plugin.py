"""What is tortured when no configuration is given: it counts, and now and then it takes its time."""

from __future__ import annotations

import asyncio

from zoozl.chatbot import Interface, Package

COMMAND = "/count"
SLOW = 7
PAUSE = 0.3


class Counter(Interface):
    """Appends every number to `conversation.data` and says it; a seventh of them in a turn with an early reply."""

    name = "counter"
    # A command needs no vector: what is measured is the store, not the model.
    aliases = (COMMAND, "help")

    async def consume(self, package: Package) -> None:
        """Take the number in "/count anna-17"."""
        number = int(package.last_message_text.rpartition("-")[2])
        package.conversation.data.setdefault("numbers", []).append(number)
        for n, text in enumerate(answers(number)):
            if n:
                await asyncio.sleep(PAUSE)
            package.callback(text)


def answers(number: int) -> list[str]:
    """All that is said to a number."""
    return [f"{number}.0", f"{number}.1"] if number % SLOW == 0 else [f"{number}.0"]
