"""What is tortured when no configuration is given: it counts, and it leads dialogs; now and then it takes its time."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

from zoozl.chatbot import Interface, InterfaceRoot, Package

COMMAND = "/count"
SLOW = 7
PAUSE = 0.3

ORDER = "/order"
TABLE = "orders"
NAP = 0.2
# Between what a step does and its end, and after it: long enough that kills come in between.
GAP = 0.05


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


class Orders(Interface):
    """A dialog with everything in it: asks, steps, a sleep, a confirmation.

    Each step writes a line to a file outside of the store, as a shop would take an order, and another one when its
    result has come back to the dialog.
    """

    name = TABLE
    aliases = (ORDER,)
    _file: Path | None = None

    def load(self, context: InterfaceRoot) -> None:
        """`effects` is the path of the file."""
        effects = context.config(TABLE).get("effects")
        self._file = Path(effects) if effects else None

    async def consume(self, package: Package) -> None:
        """Take the name in "/order anna-17"."""
        name = package.last_message_text.partition(" ")[2]
        package.callback(f"{name} begun")
        first = await package.step(self.effect, name, "first")
        await self.returned(first)
        dish = await package.ask(f"{name} which?", choices=["soup", "fish"])
        second = await package.step(self.effect, name, "second")
        await self.returned(second)
        await package.sleep(NAP)
        third = await package.step(self.effect, name, "third")
        await self.returned(third)
        if await package.confirm(f"{name} {dish}, sure?"):
            package.callback(f"{name} done {first} {second} {third}")
        else:
            package.callback(f"{name} not done")

    async def effect(self, name: str, step: str, key: str) -> str:
        """What must not be done twice without being cut in between; its result differs from run to run."""
        result = os.urandom(4).hex()
        await self._note({"name": name, "step": step, "key": key, "result": result})
        await asyncio.sleep(GAP)
        return result

    async def returned(self, result: str) -> None:
        """The journal has it; said again when the dialog begins again."""
        await self._note({"returned": result})
        await asyncio.sleep(GAP)

    async def _note(self, line: dict[str, str]) -> None:
        if self._file is not None:
            await asyncio.to_thread(_append, self._file, json.dumps({**line, "process": os.getpid()}) + "\n")


def _append(path: Path, line: str) -> None:
    # One write to a file that is open for appending: a kill leaves the whole line or nothing.
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(file, line.encode())
    finally:
        os.close(file)
