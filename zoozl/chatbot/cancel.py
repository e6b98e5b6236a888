"""Does a message mean "stop"? By the letter, and by meaning against counter-examples."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import TYPE_CHECKING

from zoozl.chatbot.embedding import Embedding
from zoozl.chatbot.lexical import is_sign
from zoozl.chatbot.once import Once

if TYPE_CHECKING:
    from zoozl.chatbot.ports import Vectors

# Nothing longer is one of these, in characters.
LONGEST = 40
# Whole messages that cancel, whatever is going on.
LITERAL = frozenset(
    """cancel|stop|abort|quit|exit|never mind|nevermind|forget it|stop it|cancel it|cancel that|cancel this
    |stop that|stop this|please stop|please cancel|cancel please|stop please|enough|that's enough|thats enough
    |let it go|drop it|leave it|no more|i give up|end this""".replace("\n", "")
    .replace("    ", "")
    .split("|")
)

# What people say when they want out, ...
PHRASES = (
    "cancel",
    "stop",
    "please stop this",
    "stop it now",
    "I want to stop",
    "let's stop here",
    "cancel this please",
    "cancel what we are doing",
    "never mind",
    "never mind, forget it",
    "forget about it",
    "I changed my mind",
    "I don't want to do this anymore",
    "I don't want to continue",
    "let's not continue",
    "get me out of here",
    "I give up",
    "that's enough",
    "abort this",
    "quit",
    "let's do something else",
    "leave me alone with this",
    "I'm done with this",
    "end this conversation",
)

# ... and what only sounds like it: it has an object of its own, asks, reports or negates.
COUNTER_EXAMPLES = (
    "cancel my subscription",
    "cancel my order",
    "cancel my booking",
    "cancel the meeting with Anna",
    "cancel my flight to Berlin",
    "cancel the payment",
    "cancel my appointment tomorrow",
    "cancel my account",
    "I want to cancel my membership",
    "can you cancel my reservation",
    "how do I cancel an invoice",
    "stop the music",
    "stop the timer",
    "stop the service on the server",
    "stop sending me e-mails",
    "stop the backup job",
    "where is the bus stop",
    "which stop is next",
    "the train does not stop here",
    "don't stop",
    "do not cancel",
    "please go on",
    "let's continue",
    "I am not finished",
    "quit smoking",
    "how do I quit my job",
    "end of the month",
    "forget my password",
    "I forgot my password",
    "I forgot my PIN",
    "remove it from the list",
    "delete the file",
    "delete my data",
    "turn off the lights",
    "close the window",
    "close my ticket",
    "leave a message",
    "I want to leave on Monday",
    "yes",
    "no",
    "no, the other one",
    "not that one",
    "none of them",
    "I don't know",
    "I don't like it",
    "the last one",
    "tomorrow",
    "1234",
    "my name is Peter",
    "what do you mean",
    "play again",
    "is it over",
)

# Below this a text has nothing to do with either list.
THRESHOLD = 0.5

_NOT_WORDS = re.compile(r"[^\w\s']+")


def normalize(text: str) -> str:
    """`text` as phrases are compared: composed, small letters, one space, no punctuation but apostrophes."""
    text = unicodedata.normalize("NFKC", text).casefold().replace("\u2019", "'")
    return " ".join(_NOT_WORDS.sub(_blank, text).split())


def _blank(found: re.Match[str]) -> str:
    """Space, but for vowel signs and the like, which are part of a word and no letters."""
    return " " if found[0].isascii() else "".join(c if is_sign(c) else " " for c in found[0])


def is_literal(text: str) -> bool:
    """Whether the whole message is "/cancel" or one of the short phrases."""
    return len(text) <= LONGEST and _is_literal(text)


# Every message is looked at, and many answers are the same few words.
@lru_cache(maxsize=4096)
def _is_literal(text: str) -> bool:
    stripped = text.strip().casefold()
    return stripped == "/cancel" or (not stripped.startswith("/") and normalize(stripped) in LITERAL)


class CancelByMeaning:
    """Compares a text with both lists; their vectors are computed once, on first use."""

    def __init__(self, embedding: Embedding) -> None:
        self._embedding = embedding
        self._vectors: Once[tuple[Vectors, Vectors]] = Once(self._embed)

    async def warm_up(self) -> None:
        """Compute the lists' vectors, if that was not done yet. Raises EmbeddingError."""
        await self._vectors.get()

    async def _embed(self) -> tuple[Vectors, Vectors]:
        both = await self._embedding.table(PHRASES + COUNTER_EXAMPLES)
        return both[: len(PHRASES)], both[len(PHRASES) :]

    async def score(self, text: str) -> float:
        """How near `text` is to the phrases, or 0.0 if a counter-example is nearer. Raises EmbeddingError."""
        phrases, counter = await self._vectors.get()
        vector = await self._embedding.vector(text)
        near = float((phrases @ vector).max())
        return near if near > float((counter @ vector).max()) else 0.0
