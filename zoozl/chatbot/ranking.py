"""The tables behind a router: made once, kept while they fit, asked for the plugins that are nearest to a text."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from zoozl.chatbot.background import sentences
from zoozl.chatbot.embedding import Embedding
from zoozl.chatbot.extensions import Plugins
from zoozl.chatbot.interface import CANCEL, GREET
from zoozl.chatbot.once import Once
from zoozl.chatbot.scorer import Match, Scorer, Thresholds, build
from zoozl.errors import EmbeddingError

if TYPE_CHECKING:
    from zoozl.chatbot.ports import Vectors

log = logging.getLogger(__name__)

# A message waits so many seconds for a table that is being made; then it is compared by letters alone.
PATIENCE = 1.0


@dataclass(slots=True, frozen=True)
class Ranking:
    """The best matches, the best one first, and whether a model had a part in it."""

    matches: Sequence[Match]
    by_meaning: bool


class Tables:
    """The aliases of some plugins, by meaning and by letters."""

    def __init__(self, plugins: Plugins, embedding: Embedding, threshold: float | None, background: Path) -> None:
        """`threshold` is that of plugins which have none; `background` a file of sentences that mean no plugin."""
        self._plugins = plugins
        self._embedding = embedding
        self._threshold = threshold
        self._background = background
        # "cancel" has rules of its own (a message near to the bare word need not mean it), and "greet" names
        # an occasion; the table that is compared by meaning has everything else that is not a command.
        self.aliases = [alias for alias in plugins.table if not alias.startswith("/") and alias not in (CANCEL, GREET)]
        """In the order of `Match.index`."""
        self._by_meaning: Once[Scorer] = Once(self._make)
        self._by_letters: Once[Scorer] = Once(self._make_letters)
        self._before: Scorer | None = None

    @property
    def has_own_thresholds(self) -> bool:
        """Whether a plugin or an alias has another threshold than the rest."""
        return any(plugin.threshold is not None or plugin.thresholds for plugin in self._plugins.all)

    def fits(self, other: Tables) -> bool:
        """Whether vectors of the other's are the same as here."""
        return self._embedding is other._embedding and self._background == other._background

    def take_over(self, other: Tables) -> None:
        """Use the tables of another that `fits`, if they are the same, else what of them is."""
        if self._settings() == other._settings():
            self._by_meaning, self._by_letters = other._by_meaning, other._by_letters
        else:
            self._before = other._by_meaning.value

    def _settings(self) -> object:
        plugins = [(p.key, p.aliases, p.threshold, p.thresholds) for p in self._plugins.all]
        return self._threshold, self.aliases, plugins

    async def scorer(self) -> Scorer:
        """The table by meaning, however long it takes to make. Raises EmbeddingError."""
        return await self._by_meaning.get()

    async def ranking(self, text: str, most: int) -> Ranking:
        """The plugins that score best for a text, at most so many; one alone for an alias by the letter.

        Never fails for a failing embedder, nor waits long for a table.
        """
        try:
            scorer = await self._soon()
            literal = scorer.literal(text)
            vector = None if literal is not None else await self._embedding.vector(text)
            by_meaning = True
        except (EmbeddingError, TimeoutError) as exc:
            log.debug("no routing by meaning, letters only: %s", str(exc) or "the table is still being made")
            scorer = await self._by_letters.get()
            literal, vector, by_meaning = scorer.literal(text), None, False
        matches = [literal] if literal is not None else scorer.ranked(text, vector, most)
        return Ranking(matches, by_meaning)

    async def _soon(self) -> Scorer:
        if self._by_meaning.value is not None:
            return self._by_meaning.value
        async with asyncio.timeout(PATIENCE):
            return await self._by_meaning.get()

    async def _make(self) -> Scorer:
        strangers = await asyncio.to_thread(sentences, self._background)
        vectors = await self._embedding.table([*self.aliases, *strangers])
        split = len(self.aliases)
        before, self._before = self._before, None
        return await self._build(strangers, vectors[:split], vectors[split:], before)

    async def _make_letters(self) -> Scorer:
        return await self._build(await asyncio.to_thread(sentences, self._background), None, None, None)

    async def _build(
        self, strangers: Sequence[str], vectors: Vectors | None, strange: Vectors | None, before: Scorer | None
    ) -> Scorer:
        plugins, table = self._plugins.all, self._plugins.table
        number = {id(plugin): i for i, plugin in enumerate(plugins)}
        owners = [number[id(table[alias])] for alias in self.aliases]
        thresholds = Thresholds(
            self._threshold,
            {i: plugin.threshold for i, plugin in enumerate(plugins) if plugin.threshold is not None},
            {i: own for i, alias in enumerate(self.aliases) if (own := table[alias].thresholds.get(alias)) is not None},
        )
        latin_only = bool(getattr(self._embedding.embedder, "latin_only", False))
        # In a thread: most of it is matrix algebra, which lets others run.
        return await asyncio.to_thread(
            build, self.aliases, owners, vectors, strangers, strange, thresholds, before, latin_only=latin_only
        )
