"""Vectors are computed once: for aliases, for repeated texts, for those who ask at the same time."""

import asyncio

import numpy as np
import pytest

from zoozl.chatbot import Interface
from zoozl.chatbot.embedding import LONGEST_CACHED, Embedding
from zoozl.chatbot.lru import LRU
from zoozl.chatbot.once import Once
from zoozl.errors import EmbeddingError
from zoozl.testing import Bot


class Counting:
    name = "counting"

    def __init__(self, give=lambda texts: np.eye(len(texts), 3, dtype=np.float32)):
        self.calls = []
        self.give = give

    def embed(self, texts):
        self.calls.append(list(texts))
        return self.give(texts)


async def test_a_repeated_text_is_computed_once_also_at_the_same_time():
    embedder = Counting()
    embedding = Embedding(embedder)
    await asyncio.gather(*(embedding.vector("a") for _ in range(5)))
    await embedding.vector("a")
    assert embedder.calls == [["a"]]
    embedding.close()


async def test_the_cache_is_bounded_and_holds_no_long_texts():
    embedder = Counting()
    embedding = Embedding(embedder, cache_size=2)
    for text in ("a", "b", "c", "a", "x" * (LONGEST_CACHED + 1), "x" * (LONGEST_CACHED + 1)):
        await embedding.vector(text)
    assert [texts[0][0] for texts in embedder.calls] == ["a", "b", "c", "a", "x", "x"]
    embedding.close()


async def test_the_least_recently_used_goes_first():
    cache = LRU(2)
    cache.put("a", 1), cache.put("b", 2), cache.get("a"), cache.put("c", 3)
    assert (cache.get("a"), cache.get("b"), cache.get("c"), len(cache)) == (1, None, 3, 2)


async def test_one_who_is_cancelled_does_not_take_the_vector_from_another():
    embedding = Embedding(Counting())
    one, other = (asyncio.create_task(embedding.vector("a")) for _ in range(2))
    await asyncio.sleep(0)
    one.cancel()
    assert (await other).shape == (3,)
    embedding.close()


@pytest.mark.parametrize(
    "give", [lambda texts: [[0.0] * 3] * (len(texts) + 1), lambda texts: 1 / 0, lambda texts: None, lambda texts: [1.0]]
)
async def test_an_embedder_that_gives_nonsense_is_an_embedding_error(give):
    embedding = Embedding(Counting(give))
    with pytest.raises(EmbeddingError, match="counting"):
        await embedding.vector("a")
    embedding.close()


async def test_lists_of_numbers_are_vectors_too():
    embedding = Embedding(Counting(lambda texts: [[1.0, 0.0]] * len(texts)))
    assert (await embedding.vector("a")).dtype == np.float32
    embedding.close()


async def test_alias_vectors_are_computed_once_however_many_ask_before_they_are_there():
    class Plugin(Interface):
        aliases = ("help", "one", "two")

        async def consume(self, package):
            package.callback("ok")

    embedder = Counting(lambda texts: np.ones((len(texts), 2), np.float32))
    async with Bot(Plugin, embedder=embedder) as bot:
        for number in range(5):
            await bot.post(f"text {number}", str(number))
        await bot.chatbot.idle()
        await bot.say("another")
    assert sum("one" in texts for texts in embedder.calls) == 1


async def test_an_embedder_that_is_out_of_work_leaves_the_fallback(caplog):
    class Plugin(Interface):
        aliases = ("help", "exactly this")

        async def consume(self, package):
            package.callback(package.conversation.subject)

    async with Bot(Plugin, embedder=Counting(lambda texts: 1 / 0)) as bot:
        assert await bot.say("something") == ["help"]
        assert await bot.say("exactly this") == ["exactly this"]
    assert "ZeroDivisionError" in caplog.text


async def test_once_tries_again_after_a_failure():
    results = [ValueError(), 7]

    async def make():
        result = results.pop(0)
        if isinstance(result, Exception):
            raise result
        return result

    once = Once(make)
    with pytest.raises(ValueError):
        await once.get()
    assert await once.get() == await once.get() == 7
