"""Who gets a message: the rules of a turn, in their order."""

from __future__ import annotations

import logging
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from zoozl.chatbot import did_you_mean, waiting
from zoozl.chatbot.conversation import Conversation
from zoozl.chatbot.excuses import CANCELLED, NOTHING_TO_CANCEL, UNKNOWN_COMMAND
from zoozl.chatbot.question import Kind, understand
from zoozl.chatbot.router import Route, Rule
from zoozl.chatbot.run import DONE

if TYPE_CHECKING:
    from zoozl.chatbot.interface import Plugin
    from zoozl.chatbot.ports import Dialog
    from zoozl.chatbot.turn import Turn

log = logging.getLogger(__name__)

# Members of an Enum are looked up at some cost, several for every message.
ALIAS, QUESTION = Rule.ALIAS, Rule.QUESTION
CANCELS = (Rule.CANCEL, Rule.CANCEL_BY_MEANING)
UNKNOWN = (Rule.FALLBACK, Rule.UNKNOWN_COMMAND, Rule.UNSURE)


async def greet(turn: Turn) -> None:
    """Give the talker the greeting, once."""
    if not turn.greeted:
        turn.greeted = True
        route = turn.services.router.greeting()
        if route.plugin is not None:
            await turn.give(route, route.plugin, None)


async def answer(turn: Turn) -> None:
    """The rules that know dialogs come first; they are few, and most messages have none."""
    event = turn.receipt.event
    text = event.message.text
    if (event.answer is not None or text.startswith(("/", "!"))) and await waiting.by_id(turn, event):
        return
    if turn.subject:
        _let_go_if_idle(turn)
    if not turn.open_before and turn.greeted:
        await follow(turn, await turn.services.router.choose(text, turn.subject, identity=event.identity))
        return
    asked = await waiting.open_question(turn, event) if turn.open_before else None
    question = asked.question if asked is not None else None
    route = await turn.services.router.choose(
        text, turn.subject, going_on=bool(turn.open_before), question=question, identity=event.identity
    )
    if route.rule is QUESTION and asked is not None:
        if _gives_way(asked, text):
            await turn.go_on(asked, None, route, end="replaced")
            question = None
            route = await turn.services.router.choose(
                text, turn.subject, going_on=bool(turn.dialogs), identity=event.identity
            )
        else:
            plugin = turn.plugin_of(asked)
            other = None
            if plugin is not None and plugin.interruptible:
                other = await _interruption(turn, asked, plugin, text)
            if other is None:
                await turn.go_on(asked, event, Route(plugin, asked.alias, 1.0, QUESTION))
                return
            route = other
    turn.route = route
    if not turn.greeted:
        # Where a channel has no connect event, the first message brings the greeting along: never in
        # rooms, and never twice from the plugin that answers anyway.
        greeter = turn.services.router.greeting().plugin
        if greeter is not None and greeter is not route.plugin and not event.address.room:
            await greet(turn)
        turn.greeted = True
    await follow(turn, route)
    if question is not None and question.text and route.rule is ALIAS and _floor_is_free(turn):
        # Interrupted: the question is put again.
        turn.say(question.text, question)


def follow(turn: Turn, route: Route) -> Coroutine[Any, Any, None]:
    """To be awaited: do what a route says."""
    if route.rule is ALIAS and route.plugin is not None:
        return turn.give(route, route.plugin, turn.receipt.event.message)
    return _follow_rule(turn, route)


async def _follow_rule(turn: Turn, route: Route) -> None:
    message = turn.receipt.event.message
    if route.rule in CANCELS:
        ended = await waiting.cancel(turn)
        if route.plugin is None:
            going_on = ended or bool(turn.subject) or turn.receipt.cut
            turn.answer(CANCELLED if going_on else NOTHING_TO_CANCEL)
            turn.release()
            turn.report(route, DONE)
            return
        turn.receipt.cut = turn.receipt.cut or ended
    if route.rule in UNKNOWN and turn.open_before and turn.receipt.event.address.room:
        # Somebody else is asked in this room; what others say to each other is not for the bot.
        turn.report(route, DONE)
    elif route.plugin is not None:
        await turn.give(route, route.plugin, message)
    elif route.rule is Rule.UNKNOWN_COMMAND:
        turn.answer(UNKNOWN_COMMAND.format(route.alias, route.near))
        turn.report(route, DONE)
    else:
        log.warning("no plugin for a message, and none holds %r", route.alias)
        turn.report(route, DONE)


async def _interruption(turn: Turn, dialog: Dialog, plugin: Plugin, text: str) -> Route | None:
    """Another plugin that a message calls for so clearly that a dialog with an interruptible one steps aside."""
    question = dialog.question
    if question is None or question.literal:
        return None
    free = question.kind is Kind.TEXT
    if not free and understand(question, text) is not None:
        return None
    found = await turn.services.router.choose(text)
    clear = found.rule is ALIAS and (found.score >= 1.0 or not free)
    return found if clear and found.plugin is not plugin else None


def _floor_is_free(turn: Turn) -> bool:
    return not turn.subject and not any(not step.ended for step in turn.steps)


def _let_go_if_idle(turn: Turn) -> None:
    """A subject in which nothing was said for long is over."""
    plugin = turn.services.router.holder(turn.subject)
    if plugin is None or len(turn.messages) < 2:
        return
    limit = plugin.idle_timeout if plugin.idle_timeout is not None else turn.services.idle
    if turn.services.clock.time() - turn.messages[-2].timestamp > limit:
        turn.release()
        turn.on_end(plugin, Conversation(turn.state.uuid, turn.state.talker), "idle")


def _gives_way(dialog: Dialog, text: str) -> bool:
    """Whether a question of the core's own is over because something else was said."""
    question = dialog.question
    return dialog.plugin == did_you_mean.KEY and question is not None and understand(question, text) is None
