"""Which plugin gets a message: the rules, in their order, the same everywhere."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from zoozl.chatbot.cancel import THRESHOLD as CANCEL_THRESHOLD
from zoozl.chatbot.cancel import CancelByMeaning, is_literal, normalize
from zoozl.chatbot.embedding import LONGEST_CACHED, Embedding
from zoozl.chatbot.extensions import Plugins
from zoozl.chatbot.interface import CANCEL, GREET, HELP, Plugin
from zoozl.chatbot.lru import LRU
from zoozl.chatbot.once import Once
from zoozl.chatbot.scorer import BestMatch, Scorer
from zoozl.errors import ConfigError, EmbeddingError

if TYPE_CHECKING:
    from zoozl.chatbot.ports import Vectors

log = logging.getLogger(__name__)


class Rule(StrEnum):
    """Why a plugin got a message, in the order in which the rules are tried.

    Buttons (an event that names its question) come before all, the open question between COMMAND and
    CANCEL_BY_MEANING; both belong to the dialogs.
    """

    GREETING = "greeting"
    CANCEL = "literal cancel"
    COMMAND = "command"
    CANCEL_BY_MEANING = "cancel by meaning"
    SUBJECT = "current subject"
    ALIAS = "nearest alias"
    FALLBACK = "fallback"


LITERAL = (Rule.CANCEL, Rule.COMMAND)


@dataclass(slots=True, frozen=True)
class Route:
    """The plugin for one message, None if nobody holds the alias, and how it was found.

    `score` is the cosine (or 1.0 for a literal match, 0.0 where none was computed). For the fallback it is the
    best score that was not enough, and `near` is the alias it belongs to.
    """

    plugin: Plugin | None
    alias: str
    score: float
    rule: Rule
    near: str = ""


class Router:
    """The order of the rules over a table of aliases."""

    def __init__(
        self,
        plugins: Plugins,
        embedding: Embedding,
        *,
        fallback: str = HELP,
        threshold: float | None = None,
        scorer: Callable[[list[int], Vectors, float | None], Scorer] = BestMatch,
    ) -> None:
        self._plugins = plugins
        self._embedding = embedding
        self._threshold = threshold
        self._scorer_class = scorer
        self._fallback = self._find_fallback(fallback)
        self._commands = {
            alias.casefold(): alias for alias in plugins.table if alias.startswith("/") and len(alias) > 1
        }
        # "cancel" has rules of its own (a message near to the bare word need not mean it); the table
        # that is compared by meaning has everything else that is not a command.
        self._aliases = [alias for alias in plugins.table if not alias.startswith("/") and alias != CANCEL]
        self._exact = {_letters(alias): alias for alias in self._aliases}
        self._literal_cancels = self._aliases_of_the_cancel_plugin()
        self._by_meaning = CancelByMeaning(embedding)
        self._scorer: Once[Scorer] = Once(self._make_scorer)
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

    async def warm_up(self) -> None:
        """Compute what the first message would otherwise wait for. Raises EmbeddingError."""
        await self._scorer.get()
        await self._by_meaning.warm_up()

    async def _make_scorer(self) -> Scorer:
        vectors = await self._embedding.vectors(self._aliases)
        owners = [self._plugins.all.index(self._plugins.table[alias]) for alias in self._aliases]
        return self._scorer_class(owners, vectors, self._threshold)

    def greeting(self) -> Route:
        """Who greets."""
        return Route(self._plugins.table.get(GREET), GREET, 1.0, Rule.GREETING)

    def cancels(self, text: str) -> bool:
        """Whether `text` is a literal cancel; cheap, for looking at a message on arrival."""
        return is_literal(text) or (
            bool(self._literal_cancels) and len(text) < 100 and normalize(text) in self._literal_cancels
        )

    async def choose(self, text: str, subject: str = "") -> Route:
        """The plugin for a message, given the alias of the subject that is going on (or "").

        Never fails for a failing embedder: what needs no vector still works, the rest goes to the fallback.
        """
        decided = self._decided.get(text)
        if decided is None:
            decided = self._literal(text)
            if decided is not None and len(text) <= LONGEST_CACHED:
                self._decided.put(text, decided)
        if decided is not None and (not subject or decided.rule in LITERAL):
            return decided
        if subject:
            if subject in self._plugins.table:
                score = await self._score_cancel(text)
                if score >= CANCEL_THRESHOLD:
                    return Route(self._plugins.table.get(CANCEL), CANCEL, score, Rule.CANCEL_BY_MEANING)
                return Route(self._plugins.table[subject], subject, 1.0, Rule.SUBJECT)
            log.warning("no plugin holds the alias of a subject that was going on; the message is routed afresh")
        return decided if decided is not None else await self._nearest(text)

    def _literal(self, text: str) -> Route | None:
        """What needs no vector and goes before the subject."""
        if self.cancels(text):
            return Route(self._plugins.table.get(CANCEL), CANCEL, 1.0, Rule.CANCEL)
        if text.startswith("/") and (command := self._command(text)) is not None:
            return Route(self._plugins.table[command], command, 1.0, Rule.COMMAND)
        return None

    def _command(self, text: str) -> str | None:
        words = text.split(maxsplit=1)
        return self._commands.get(words[0].casefold())

    async def _score_cancel(self, text: str) -> float:
        if not text.strip():
            return 0.0
        try:
            return await self._by_meaning.score(text)
        except EmbeddingError as exc:
            log.error("cancel by meaning is out of work: %s", exc)
            return 0.0

    async def _nearest(self, text: str) -> Route:
        exact = self._exact.get(_letters(text)) if len(text) < LONGEST_CACHED else None
        if exact is not None:
            route = Route(self._plugins.table[exact], exact, 1.0, Rule.ALIAS)
        elif not text.strip() or not self._aliases:
            return self._fallback
        else:
            try:
                scorer = await self._scorer.get()
                match = scorer.best(await self._embedding.vector(text))
            except EmbeddingError as exc:
                log.error("no routing by meaning: %s", exc)
                return self._fallback
            if match is None:
                return self._fallback
            alias = self._aliases[match.index]
            if match.accepted:
                route = Route(self._plugins.table[alias], alias, match.score, Rule.ALIAS)
            else:
                route = Route(self._fallback.plugin, self._fallback.alias, match.score, Rule.FALLBACK, near=alias)
        if len(text) <= LONGEST_CACHED:
            self._decided.put(text, route)
        return route


def _letters(text: str) -> str:
    """What is compared by the letter; a text without any (an emoji) as it stands."""
    return normalize(text) or text.strip()
