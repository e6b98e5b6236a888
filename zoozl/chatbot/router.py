"""Which plugin gets a message: the rules, in their order, the same everywhere."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from zoozl.chatbot import commands
from zoozl.chatbot.background import FILE
from zoozl.chatbot.cancel import THRESHOLD as CANCEL_THRESHOLD
from zoozl.chatbot.cancel import CancelByMeaning, is_literal, normalize
from zoozl.chatbot.did_you_mean import MOST as ASKED_FROM
from zoozl.chatbot.did_you_mean import asking_plugin, close
from zoozl.chatbot.embedding import LONGEST_CACHED, Embedding
from zoozl.chatbot.extensions import Plugins
from zoozl.chatbot.identity import Identity, may_use
from zoozl.chatbot.interface import CANCEL, GREET, HELP, Plugin
from zoozl.chatbot.lru import LRU
from zoozl.chatbot.question import Question
from zoozl.chatbot.ranking import Tables
from zoozl.chatbot.scorer import Match
from zoozl.errors import ConfigError, EmbeddingError

log = logging.getLogger(__name__)


class Rule(StrEnum):
    """Why a plugin got a message, in the order in which the rules are tried."""

    GREETING = "greeting"
    DEADLINE = "deadline"
    BUTTON = "question by its id"
    CANCEL = "literal cancel"
    COMMAND = "command"
    QUESTION = "open question"
    CANCEL_BY_MEANING = "cancel by meaning"
    SUBJECT = "current subject"
    UNKNOWN_COMMAND = "unknown command"
    ALIAS = "nearest alias"
    UNSURE = "two aliases alike near"
    FALLBACK = "fallback"


LITERAL = (Rule.CANCEL, Rule.COMMAND)
# With thresholds for plugins or aliases the first match counts that reaches its own, of so many.
LOOKED_AT = 10
CANCEL_COMMANDS = ("/cancel", "!cancel")


@dataclass(slots=True)
class Route:
    """The plugin for one message, None if nobody holds the alias, and how it was found.

    `score` is the scorer's (or 1.0 for a literal match, 0.0 where none was computed). For the fallback it is the
    best score that was not enough, and `near` is the alias it belongs to. For an unknown command `alias` is what was
    written, and `near` the command that it is near to. (Frozen it would be slow to make.)
    """

    plugin: Plugin | None
    alias: str
    score: float
    rule: Rule
    near: str = ""


QUESTION = Route(None, "", 1.0, Rule.QUESTION)


class Router:
    """The order of the rules over a table of aliases."""

    def __init__(
        self,
        plugins: Plugins,
        embedding: Embedding,
        *,
        fallback: str = HELP,
        threshold: float | None = None,
        did_you_mean: bool = False,
        background: Path = FILE,
    ) -> None:
        """`threshold` is that of plugins which have none; with `did_you_mean` the talker is asked what cannot be told.

        `background` names a file of sentences that mean no plugin. Raises ConfigError for an unknown fallback.
        """
        self._plugins = plugins
        self._embedding = embedding
        self._fallback = self._find_fallback(fallback)
        self._commands = commands.by_name(plugins.table)
        self.tables = Tables(plugins, embedding, threshold, background)
        """What is compared by meaning."""
        self._aliases = self.tables.aliases
        self._most = LOOKED_AT if self.tables.has_own_thresholds else ASKED_FROM if did_you_mean else 1
        self._exact = {_letters(alias): alias for alias in [*self._aliases, *({GREET} & set(plugins.table))]}
        self._aside = asking_plugin(self, plugins.all[0].context) if did_you_mean and plugins.all else None
        self._by_key = {plugin.key: plugin for plugin in (*plugins.all, *([self._aside] if self._aside else ()))}
        self._literal_cancels = self._aliases_of_the_cancel_plugin()
        self._by_meaning = CancelByMeaning(embedding)
        self._decided: LRU[Route] = LRU(4096)

    def _find_fallback(self, name: str) -> Route:
        if name.startswith("plugin:"):
            wanted = name.removeprefix("plugin:")
            found = next((p for p in self._plugins.all if wanted in (p.name, p.module)), None)
            if found is None:
                known = ", ".join(sorted(p.name for p in self._plugins.all))
                raise ConfigError(f"there is no plugin called {wanted!r} (loaded: {known})")
            return Route(found, found.aliases[0] if found.aliases else name, 0.0, Rule.FALLBACK)
        if name != HELP and name not in self._plugins.table:
            raise ConfigError(f'{name!r} is no alias of a loaded plugin (or say "help", or "plugin:NAME")')
        return Route(self._plugins.table.get(name), name, 0.0, Rule.FALLBACK)

    def _aliases_of_the_cancel_plugin(self) -> frozenset[str]:
        """Its other aliases are words for cancel too, unless it greets or helps as well: then they are subjects."""
        plugin = self._plugins.table.get(CANCEL)
        if plugin is None or {GREET, HELP} & set(plugin.aliases):
            return frozenset()
        return frozenset(normalize(alias) for alias in plugin.aliases if not alias.startswith("/"))

    def take_over(self, other: Router) -> None:
        """Use what another router has computed: its tables if this one's are the same, else what of them is."""
        if self.tables.fits(other.tables):
            self._by_meaning = other._by_meaning
            self.tables.take_over(other.tables)

    async def warm_up(self) -> None:
        """Compute what the first message would otherwise wait for. Raises EmbeddingError."""
        await self.tables.scorer()
        await self._by_meaning.warm_up()

    def greeting(self) -> Route:
        """Who greets."""
        return Route(self._plugins.table.get(GREET), GREET, 1.0, Rule.GREETING)

    def cancels(self, text: str) -> bool:
        """Whether `text` is a literal cancel; cheap, for looking at a message on arrival."""
        return is_literal(text) or (
            bool(self._literal_cancels) and len(text) < 100 and normalize(text) in self._literal_cancels
        )

    def holder(self, alias: str) -> Plugin | None:
        """The plugin that has an alias."""
        return self._plugins.table.get(alias)

    def as_command(self, text: str) -> str:
        """What followed a mention of the bot, as a command if it is one: "book 2" and "!book 2" are "/book 2".

        A bare word counts if it stands alone, or if the plugin declares arguments that the rest of the text fits.
        """
        return commands.as_command(text, self._commands, lambda alias, line: self._plugins.table[alias].takes(line))

    def by_key(self, key: str) -> Plugin | None:
        """The plugin of a dialog, by its `key`."""
        return self._by_key.get(key)

    async def choose(
        self,
        text: str,
        subject: str = "",
        *,
        going_on: bool = False,
        question: Question | None = None,
        identity: Identity | None = None,
    ) -> Route:
        """The plugin for a message, given the alias of the subject that is going on (or "").

        `going_on`: a dialog is, whether or not it waits for an answer. `question`: the one that is open for the
        talker; then the rule QUESTION comes without a plugin. `identity`: who speaks, so that no command is
        suggested that he may not use.

        Never fails for a failing embedder: what needs no vector still works, the rest goes to the fallback.
        """
        decided = self._decided.get(text)
        if decided is None:
            decided = self._literal(text)
            if decided is not None and len(text) <= LONGEST_CACHED:
                self._decided.put(text, decided)
        hidden = decided if decided is not None and self._is_hidden(decided, identity) else None
        if hidden is not None:
            decided = None
        if question is not None and question.literal and decided is not None and decided.rule is Rule.CANCEL:
            decided = decided if text.strip().casefold() in CANCEL_COMMANDS else None
        if decided is not None and decided.rule in LITERAL:
            return decided
        if question is not None:
            return QUESTION
        if going_on or subject in self._plugins.table:
            score = await self._score_cancel(text)
            if score >= CANCEL_THRESHOLD:
                return Route(self._plugins.table.get(CANCEL), CANCEL, score, Rule.CANCEL_BY_MEANING)
        if subject:
            if subject in self._plugins.table:
                return Route(self._plugins.table[subject], subject, 1.0, Rule.SUBJECT)
            log.warning("no plugin holds the alias of a subject that was going on; the message is routed afresh")
        unknown = self._unknown_command(text, identity) if text.lstrip()[:1] in commands.MARKS else None
        route = unknown or decided or await self._nearest(text)
        if hidden is not None and len(text) <= LONGEST_CACHED:
            # What was decided is for those who may use it.
            self._decided.put(text, hidden)
        return route if route.rule is not Rule.UNSURE else await self._usable(route, text, identity)

    def _literal(self, text: str) -> Route | None:
        """What needs no vector and goes before the subject."""
        if self.cancels(text):
            return Route(self._plugins.table.get(CANCEL), CANCEL, 1.0, Rule.CANCEL)
        command = commands.find(text, self._commands)
        return Route(self._plugins.table[command], command, 1.0, Rule.COMMAND) if command is not None else None

    def _is_hidden(self, route: Route, identity: Identity | None) -> bool:
        """Whether a command is to be as if there were none."""
        plugin = route.plugin
        return (
            route.rule is Rule.COMMAND and plugin is not None and plugin.hidden and not may_use(identity, plugin.roles)
        )

    def _unknown_command(self, text: str, identity: Identity | None) -> Route | None:
        """What looks like a command but for a letter or two, and is no phrase of a plugin either."""
        if len(text) < LONGEST_CACHED and _letters(text) in self._exact:
            return None
        usable = [name for name, alias in self._commands.items() if may_use(identity, self._plugins.table[alias].roles)]
        known = [
            name for name in self._commands if name in usable or not self._plugins.table[self._commands[name]].hidden
        ]
        found = commands.nearest(text, known, usable)
        return Route(None, found[0], 0.0, Rule.UNKNOWN_COMMAND, near=found[1]) if found is not None else None

    async def _score_cancel(self, text: str) -> float:
        if not text.strip():
            return 0.0
        try:
            return await self._by_meaning.score(text)
        except EmbeddingError as exc:
            log.debug("cancel by meaning is out of work: %s", exc)
            return 0.0

    async def _nearest(self, text: str) -> Route:
        exact = self._exact.get(_letters(text)) if len(text) < LONGEST_CACHED else None
        if exact is not None:
            route = Route(self._plugins.table[exact], exact, 1.0, Rule.ALIAS)
        elif not text.strip() or not self._aliases:
            return self._fallback
        else:
            ranking = await self.tables.ranking(text, self._most)
            if not ranking.matches:
                return self._fallback
            route = self._decide(ranking.matches)
            if not ranking.by_meaning:
                # Not for long: the model is tried in the background until it works.
                return route
        if len(text) <= LONGEST_CACHED:
            self._decided.put(text, route)
        return route

    def _decide(self, matches: Sequence[Match]) -> Route:
        """What the best matches mean: a plugin, a question which one, or the fallback."""
        match = next((match for match in matches if match.accepted), None)
        if match is None:
            near, score = self._aliases[matches[0].index], matches[0].score
            return Route(self._fallback.plugin, self._fallback.alias, score, Rule.FALLBACK, near=near)
        alias = self._aliases[match.index]
        if self._aside is not None and len(alike := close(match, matches)) > 1:
            near = self._aliases[alike[1].index]
            return Route(self._aside, alias, match.score, Rule.UNSURE, near=near)
        return Route(self._plugins.table[alias], alias, match.score, Rule.ALIAS)

    async def _usable(self, route: Route, text: str, identity: Identity | None) -> Route:
        """There is nothing to ask where somebody may use only one of the plugins that are near."""
        aliases = await self.candidates(text, identity)
        if len(aliases) > 1:
            return route
        alias = aliases[0] if aliases else route.alias
        return Route(self._plugins.table[alias], alias, route.score, Rule.ALIAS)

    async def candidates(self, text: str, identity: Identity | None) -> list[str]:
        """The aliases that a text may mean, the nearest first, of plugins that somebody may use."""
        matches = (await self.tables.ranking(text, LOOKED_AT)).matches
        best = next((match for match in matches if match.accepted), None)
        alike = close(best, matches) if best is not None else []
        aliases = [self._aliases[match.index] for match in alike]
        return [alias for alias in aliases if may_use(identity, self._plugins.table[alias].roles)]

    def meant(self, alias: str) -> Route:
        """The route for what a talker said he meant: an alias, or "" for none of them."""
        plugin = self._plugins.table.get(alias)
        return Route(plugin, alias, 1.0, Rule.ALIAS) if plugin is not None else self._fallback


def _letters(text: str) -> str:
    """What is compared by the letter; a text without any (an emoji) as it stands."""
    return normalize(text) or text.strip()
