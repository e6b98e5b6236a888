"""Runs that are watched: what a dialog does when it is replayed after a restart must be what it did the first time."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from zoozl.chatbot.message import Event, Message
from zoozl.chatbot.run import Run, Unfit, to_json
from zoozl.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from zoozl.chatbot.interface import Plugin
    from zoozl.chatbot.ports import Dialog, Entry, Step
    from zoozl.chatbot.question import Question
    from zoozl.chatbot.services import Services
    from zoozl.chatbot.turn import Turn

ADVICE = """\
After a restart a dialog runs again from its start, and must do the same up to its open question. Take the time from
package.now(), chance from package.random(), and wrap whatever else may change in package.step(); keep nothing that the
dialog needs on the plugin's instance."""


class NotDeterministic(AssertionError):
    """A dialog did something else when it was replayed."""


def different_texts(first: Iterable[tuple[int, str]], again: Iterable[tuple[int, str]]) -> str:
    """How what was said (turn and text) differs, "" if it does not."""
    before, after = list(first), list(again)
    if before == after:
        return ""
    n = next((n for n, (a, b) in enumerate(zip(before, after, strict=False)) if a != b), min(len(before), len(after)))
    said = [repr(texts[n][1]) if n < len(texts) else "nothing more" for texts in (before, after)]
    return f"  it said        {said[0]}\n  in the replay  {said[1]}"


def different_data(first: str, again: str) -> str:
    """How two states of `conversation.data`, as JSON, differ, "" if they do not."""
    before, after = json.loads(first), json.loads(again)
    lines = []
    for key in sorted(before.keys() | after.keys()):
        if key not in before or key not in after or before[key] != after[key]:
            had, has = (repr(data[key]) if key in data else "missing" for data in (before, after))
            lines.append(f"  conversation.data[{key!r}] was {had}\n  in the replay it is {has}")
    return "\n".join(lines)


class Replays:
    """What is known of the dialogs that wait, and what was found out about them."""

    def __init__(self) -> None:
        self.latest: dict[int, Watched] = {}
        self.found: list[str] = []

    def run(self, services: Services, plugin: Plugin, turn: Turn, number: int) -> Watched:
        """A new run; see Chatbot's `new_run`."""
        return Watched(services, plugin, turn, number, self)

    def check(self) -> None:
        """Raise NotDeterministic if a dialog was."""
        if self.found:
            found, self.found = self.found, []
            raise NotDeterministic("\n".join([*found, ADVICE]))


class Watched(Run):
    """A run that notes what it says. In a replay it compares that, and `data`, with what the run before it left.

    Nothing is run for this that a restart would not run: the comparison takes place where the replay comes to the
    question that is open, and what is beyond has not happened before.
    """

    def __init__(self, services: Services, plugin: Plugin, turn: Turn, number: int, replays: Replays) -> None:
        super().__init__(services, plugin, turn, number)
        self._replays = replays
        self._before: Watched | None = None
        self._misfit = "it ended, or failed, before it came to its open question; the log says more"
        self.said: list[tuple[int, str]] = []

    def replay(self, dialog: Dialog, entries: list[Entry]) -> None:
        """See Run."""
        super().replay(dialog, entries)
        before = self._replays.latest.get(self.number)
        # A plugin that was loaded anew from a changed file may differ.
        if before is not None and type(before.plugin.interface) is type(self.plugin.interface):
            self._before = before

    def say(self, message: str | Message, question: Question | None = None) -> None:
        """See Run."""
        heard = self.turn is not None and not self.detached and not self.silenced
        super().say(message, question)
        # Questions are compared by the journal, and not said again.
        if heard and question is None and not _asks(message):
            self.said.append((self._at, message if isinstance(message, str) else _shown(message)))

    def recorded(self, *kinds: str) -> Entry | None:
        """See Run."""
        try:
            return super().recorded(*kinds)
        except Unfit as exc:
            self._misfit = str(exc)
            raise

    def misfit(self, what: str) -> Unfit:
        """See Run."""
        unfit = super().misfit(what)
        self._misfit = str(unfit)
        return unfit

    async def wait(self, question: Question | None, deadline: float | None) -> Event:
        """See Run."""
        if self._before is not None:
            self._compare(self._before)
            self._before = None
        return await super().wait(question, deadline)

    def step(self, turn: Turn, data: str, *, ended: bool = False) -> Step:
        """See Run."""
        if ended:
            if self._before is not None:
                self._report(self._misfit)
                self._before = None
            self._replays.latest.pop(self.number, None)
        else:
            self._replays.latest[self.number] = self
        return super().step(turn, data, ended=ended)

    def _compare(self, before: Watched) -> None:
        assert self.package is not None
        assert before.dialog is not None
        try:
            data = different_data(before.dialog.data, to_json(self.plugin, self.package.conversation.data))
        except DataError as exc:
            data = f"  {exc}"
        for difference in (different_texts(before.said, self.said), data):
            if difference:
                self._report(difference)

    def _report(self, difference: str) -> None:
        dialog = self.dialog
        alias = dialog.alias if dialog is not None else ""
        what = f"plugin {self.plugin.name} ({alias!r}) did something else when its dialog was replayed:"
        self._replays.found.append(f"{what}\n  {difference.strip()}")


def _asks(message: Any) -> bool:
    return isinstance(message, Message) and message.question is not None


def _shown(message: Message) -> str:
    files = [f"<{part.filename or part.media_type}, {len(part.binary)} bytes>" for part in message.files]
    return " ".join([message.text, *files])
