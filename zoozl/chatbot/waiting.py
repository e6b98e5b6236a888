"""The rules that know of dialogs: who answers which question, by its id or in plain words, and when one is over."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import TYPE_CHECKING

from zoozl.chatbot import beginning
from zoozl.chatbot.excuses import CANCELLED
from zoozl.chatbot.message import Event, Message
from zoozl.chatbot.question import Answer, Kind
from zoozl.chatbot.router import Route, Rule
from zoozl.chatbot.run import Ending

if TYPE_CHECKING:
    from zoozl.chatbot.ports import Dialog
    from zoozl.chatbot.turn import Turn

# "!" because some platforms swallow what begins with "/".
BY_ID = re.compile(r"[/!](confirm|cancel)_([0-9a-f]{1,16})", re.IGNORECASE)
PENDING = re.compile(r"[/!]pending", re.IGNORECASE)

OVER = "That question has been answered already, or has expired."
NOT_YOURS = "Only the one who was asked can answer that."
IN_WORDS = "That question wants an answer in words: {}"
NOTHING_PENDING = "Nothing is waiting for your answer."
SHOWN = 50


def may_answer(dialog: Dialog, talker: str) -> bool:
    """Whether a dialog has a question for this talker."""
    return dialog.question is not None and dialog.question.talker in ("", talker)


async def open_question(turn: Turn, event: Event) -> Dialog | None:
    """The dialog that a plain message answers: the latest question to its talker, in the same thread if there is one.

    One whose time was over before the message came is told so first.
    """
    # What an expired one asks next was not asked yet when the message came: each is looked at once.
    thread, latest_first = event.address.thread, turn.dialogs[::-1]
    if len(latest_first) > 1:
        latest_first = tuple(sorted(latest_first, key=lambda dialog: dialog.address.thread != thread))
    for dialog in latest_first:
        if not may_answer(dialog, event.address.talker):
            continue
        if dialog.deadline is None or turn.receipt.at < dialog.deadline:
            return dialog
        await _expire(turn, dialog)
    return None


async def cancel(turn: Turn) -> bool:
    """End the latest dialog that its talker may answer or has begun; False if there is none."""
    talker = turn.receipt.event.address.talker
    mine = [d for d in turn.dialogs if may_answer(d, talker) or d.address.talker == talker]
    if not mine:
        return False
    await turn.go_on(mine[-1], None, Route(None, mine[-1].alias, 1.0, Rule.CANCEL), end="cancelled")
    return True


async def at_deadline(turn: Turn, event: Event) -> None:
    """A dialog's time has come, unless it was answered meanwhile."""
    assert event.answer is not None
    dialog = turn.find(int(str(event.answer.value)))
    asked = dialog.question.id if dialog is not None and dialog.question is not None else ""
    if dialog is None or asked != event.answer.question or dialog.deadline is None:
        return
    if turn.services.clock.time() < dialog.deadline:
        # The clock was set back.
        turn.services.dialogs.due_at(dialog.deadline)
        return
    begun_with = beginning.load_start(dialog.start).message if dialog.start else None
    if begun_with is not None:
        turn.answers.envelope = begun_with.envelope
    await _expire(turn, dialog)


async def _expire(turn: Turn, dialog: Dialog) -> None:
    route = Route(turn.plugin_of(dialog), dialog.alias, 1.0, Rule.DEADLINE)
    question = dialog.question
    idle = question is not None and question.deadline != dialog.deadline
    if idle:
        await turn.go_on(dialog, None, route, end="idle")
    else:
        await turn.go_on(dialog, Event(dialog.address, Message(), kind="deadline"), route)


async def by_id(turn: Turn, event: Event) -> bool:
    """A button, or a command that names a question: dealt with here, or False."""
    text = event.message.text.strip()
    if event.answer is not None:
        await _answer(turn, event, event.answer, ends=False)
        return True
    named = BY_ID.fullmatch(text)
    if named is not None:
        yes = named[1].lower() == "confirm"
        await _answer(turn, event, Answer(named[2].lower(), "yes" if yes else "no"), ends=not yes)
        return True
    if PENDING.fullmatch(text) and turn.services.router.holder("/pending") is None:
        await _list(turn, event)
        return True
    return False


async def _answer(turn: Turn, event: Event, answer: Answer, *, ends: bool) -> None:
    question_id, talker = answer.question, event.address.talker
    dialog = next((d for d in turn.dialogs if d.question is not None and d.question.id == question_id), None)
    elsewhere = dialog is None
    if dialog is None:
        dialog = await turn.services.store.dialog_of(question_id)
    question = dialog.question if dialog is not None else None
    if dialog is None or question is None or dialog.address.channel != event.address.channel:
        _say(turn, OVER)
    elif not may_answer(dialog, talker):
        _say(turn, NOT_YOURS)
    elif elsewhere:
        # In its own lane, so that it takes its turn there. The key makes it one event if this turn is run again.
        address = replace(dialog.address, talker=talker)
        if turn.services.lane_of(address) != turn.services.lane_of(dialog.address):
            address = dialog.address
        forwarded = replace(event, address=address, keys=(f"forward:{turn.receipt.seq}",), answer=answer)
        turn.services.receive(forwarded)
    elif dialog.deadline is not None and turn.receipt.at >= dialog.deadline:
        await _expire(turn, dialog)
        _say(turn, OVER)
    elif event.answer is None and question.kind is not Kind.CONFIRM:
        if ends:
            await turn.go_on(dialog, None, Route(None, dialog.alias, 1.0, Rule.BUTTON), end="cancelled")
            turn.answer(CANCELLED)
        else:
            _say(turn, IN_WORDS.format(question.prompt))
    else:
        route = Route(turn.plugin_of(dialog), dialog.alias, 1.0, Rule.BUTTON)
        await turn.go_on(dialog, replace(event, answer=answer), route)


def _say(turn: Turn, text: str) -> None:
    turn.answer(text)
    turn.report(Route(None, "", 1.0, Rule.BUTTON), Ending.DONE)


async def _list(turn: Turn, event: Event) -> None:
    now = turn.services.clock.time()
    lines = []
    for dialog in await turn.services.store.dialogs_of(event.address.channel, event.address.talker):
        question = dialog.question
        if question is None or not may_answer(dialog, event.address.talker):
            continue
        if dialog.deadline is not None and dialog.deadline <= now:
            continue
        left = f", {math.ceil((dialog.deadline - now) / 60)} min left" if dialog.deadline is not None else ""
        # One that only waits, for whatever is said, has no text.
        text = question.prompt or dialog.alias
        text = text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"
        ways = f"/cancel_{question.id}"
        if question.kind is Kind.CONFIRM:
            ways = f"/confirm_{question.id} {ways}"
        lines.append(f"- {question.id}: {text}{left}: {ways}")
    _say(turn, "\n".join(["Waiting for your answer:", *lines]) if lines else NOTHING_PENDING)
