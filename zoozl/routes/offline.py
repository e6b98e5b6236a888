"""A configuration's bot that does not run: loaded beside a server, asked how it would route, and closed again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from zoozl import registry
from zoozl.chatbot.cancel import normalize
from zoozl.chatbot.extensions import Plugins
from zoozl.chatbot.interface import CANCEL
from zoozl.chatbot.router import Route, Router, Rule
from zoozl.routes.labelled import Labelled
from zoozl.routes.measure import Judged

if TYPE_CHECKING:
    from zoozl.chatbot.core import Chatbot
    from zoozl.config import Config


@contextmanager
def loaded(config: Config) -> Iterator[Chatbot]:
    """The bot with its plugins, over a store of its own in memory. Raises ConfigError."""
    from zoozl.server import compose

    bot = compose(config, registry.find("stores", "memory")())
    try:
        yield bot
    finally:
        bot.root.close()


def find(plugins: Plugins, label: str) -> str | None:
    """The name of the plugin that a label means: its name, its module or one of its aliases, in any case."""
    wanted = label.casefold()
    for plugin in plugins.all:
        if wanted in (plugin.name.casefold(), plugin.module.casefold()):
            return plugin.name
    same = wanted if label.startswith("/") else normalize(label) or label
    holder = plugins.claimed.get(same)
    if holder is not None:
        return holder.name
    return CANCEL if wanted == CANCEL else None


def reached(router: Router, route: Route) -> tuple[str, str]:
    """The plugin that gets a message, "" for none, and the best guess."""
    holder = router.holder(route.near) if route.rule is Rule.FALLBACK and route.near else router.holder(route.alias)
    guess = holder.name if holder is not None else ""
    if route.rule in (Rule.FALLBACK, Rule.UNKNOWN_COMMAND):
        return "", guess if route.near else ""
    if route.rule is Rule.CANCEL:
        name = route.plugin.name if route.plugin is not None else CANCEL
        return name, name
    return guess, guess


async def judge(bot: Chatbot, messages: list[Labelled], done: Callable[[int], None]) -> list[Judged]:
    """Route each message as if nothing was going on; `done` hears how many are. Raises EmbeddingError."""
    await bot.router.tables.scorer()
    found = []
    for number, message in enumerate(messages, 1):
        route = await bot.router.choose(message.text)
        got, nearest = reached(bot.router, route)
        found.append(Judged(message.text, message.label, got, nearest, route.score, route.rule is Rule.UNSURE))
        done(number)
    return found
