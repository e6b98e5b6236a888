"""Asking the talker what he meant, when two plugins are alike near to a message."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from zoozl.chatbot.interface import Interface, Plugin

if TYPE_CHECKING:
    from zoozl.chatbot.context import InterfaceRoot
    from zoozl.chatbot.package import Package
    from zoozl.chatbot.router import Router
    from zoozl.chatbot.scorer import Match

# What scores at least so much of the best, before both were put on the scale of thresholds, is alike near.
CLOSE = 0.7
MOST = 3

PROMPT = "Did you mean {}?"
NONE = "None of these"
# The value of that choice: no alias, and no button without a value.
NOTHING = "/"


def close(best: Match, matches: Sequence[Match]) -> list[Match]:
    """`best` and what is alike near, the best first, at most MOST."""
    least = CLOSE * odds(best)
    near = [match for match in matches if match.index != best.index and match.score <= best.score]
    return [best, *(match for match in near if odds(match) >= least)][:MOST]


def odds(match: Match) -> float:
    """The score as a multiple of that of the automatic threshold."""
    return match.score / max(1 - match.score, 1e-6)


def prompt(aliases: Sequence[str]) -> str:
    """The question."""
    *others, last = (f'"{alias}"' for alias in aliases)
    return PROMPT.format(f"{', '.join(others)} or {last}" if others else last)


class DidYouMean(Interface):
    """No plugin of anybody's: the router gives it what two others want, and it finds out which of them is meant.

    Another message than an answer ends it, see `deciding`.
    """

    name = "did_you_mean"
    idle_timeout = 3600.0

    def __init__(self, router: Router) -> None:
        self._router = router

    async def consume(self, context: InterfaceRoot, package: Package) -> None:
        """Ask, and pass the message on."""
        message = package.last_message
        # A step: after a restart the aliases may be others, and the buttons are those that were shown.
        found: list[str] = await package.step(
            self._router.candidates, package.last_message_text, identity=package.identity
        )
        chosen = ""
        if found:
            choices = [*((alias, alias) for alias in found), (NOTHING, NONE)]
            chosen = await package.ask(prompt(found), choices=choices)
        package.pass_on("" if chosen == NOTHING else chosen, message)


KEY = f"{DidYouMean.__module__}:{DidYouMean.__qualname__}"


def asking_plugin(router: Router, context: InterfaceRoot) -> Plugin:
    """What the router gives such messages to; `context` is only there for the table of the plugins."""
    return Plugin(DidYouMean(router), context)
