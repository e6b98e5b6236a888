"""A real conversation as a transcript, without what is personal in it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from zoozl.testing.masks import Masks
from zoozl.testing.transcript import Arrives, Heard, Later, Said, Step, render

# Seconds: a shorter silence is left out.
GAP = 300.0
MINUTE = 60.0


class Line(Protocol):
    """One message as it was kept."""

    @property
    def talker(self) -> str:
        """Who said it, or to whom the bot said it."""
        ...

    @property
    def from_bot(self) -> bool:
        """Whether the bot said it."""
        ...

    @property
    def author(self) -> str:
        """What people call the one who said it."""
        ...

    @property
    def at(self) -> float:
        """When, in seconds since the epoch."""
        ...

    @property
    def text(self) -> str:
        """What."""
        ...

    @property
    def files(self) -> tuple[str, ...]:
        """The media types of its files."""
        ...

    @property
    def room(self) -> str:
        """Where; "" when they were by themselves."""
        ...

    @property
    def thread(self) -> str:
        """See room."""
        ...


def write(lines: Iterable[Line], masks: Masks, *, cut: bool = False) -> str:
    """The transcript of `lines`, which are in their order. With `cut` there were others before them."""
    found = list(lines)
    if cut:
        # Answers to what is not there.
        first = next((n for n, line in enumerate(found) if not line.from_bot), len(found))
        found = found[first:]
    # All names first: the first message may speak of somebody who speaks later.
    for line in found:
        masks.talker(line.talker, "" if line.from_bot else line.author)
    written = ["# Recorded. Names, addresses, long numbers and tokens have stand-ins; read it before you pass it on.\n"]
    if cut:
        written.append("# What was said before is left out.\n")
    return "".join([*written, "\n", *_lines(found, masks)])


def _lines(lines: list[Line], masks: Masks) -> Iterable[str]:
    rooms, threads = dict[str, str](), dict[str, str]()
    here = ("", "", "")
    before: float | None = None
    for line in lines:
        who = masks.talker(line.talker)
        room = rooms.setdefault(line.room, f"room{len(rooms) + 1}") if line.room else ""
        thread = threads.setdefault(line.thread, f"thread{len(threads) + 1}") if line.thread else ""
        there = (who, room, thread)
        if before is not None and line.at - before >= GAP:
            yield from _shown([Later(0, _minutes(line.at - before, up=line.from_bot) * MINUTE)])
        if line.from_bot and not here[0] and not room:
            yield from _shown([Arrives(0, who)])
            here = there
        for kind in line.files:
            yield f"# {'the bot' if line.from_bot else who} sent a file here: {kind}\n"
        if not line.from_bot:
            yield from _shown([Said(0, who, masks.said(line.text), room, thread)])
            here = there
        else:
            text, pattern = masks.answered(line.text)
            elsewhere = (who, room, thread) if there != here else ("", "", "")
            yield from _shown([Heard(0, text, pattern, not text, *elsewhere)])
        before = line.at


def _shown(steps: list[Step]) -> Iterable[str]:
    # A blank line before each thing that a talker does.
    yield render(steps) if isinstance(steps[0], Heard) else f"\n{render(steps)}"


def _minutes(seconds: float, *, up: bool) -> int:
    """Whole minutes; for the bot's own words as many as it surely waited, for an answer no more than there were."""
    minutes = int((seconds + 2) // MINUTE)
    return minutes + 1 if up and seconds - minutes * MINUTE > 2 else minutes
