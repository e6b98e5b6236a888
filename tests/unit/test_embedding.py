"""The embedding service: vectors are computed once, and an embedder that fails is out of nobody's way."""

import asyncio
import threading

import numpy as np
import pytest

from zoozl.chatbot import Interface
from zoozl.chatbot.checked_embedder import PROBE
from zoozl.chatbot.embedding import LONGEST_CACHED, TABLE_PART, Embedding
from zoozl.chatbot.lru import LRU
from zoozl.chatbot.once import Once
from zoozl.errors import EmbeddingError, Unembeddable
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


class Flaky(Counting):
    """Fails while `broken` is an exception, and for every text with "odd" in it."""

    name = "flaky"
    broken = None

    def __init__(self):
        super().__init__(self.vectors)

    def vectors(self, texts):
        if self.broken is not None:
            raise self.broken
        if any("odd" in text for text in texts):
            raise ValueError("odd")
        return np.ones((len(texts), 2), np.float32)


@pytest.fixture
def flaky():
    return Flaky()


@pytest.fixture
def embedding(flaky):
    made = Embedding(flaky, pauses=(0.02, 0.05))
    yield made
    made.close()


def told(caplog):
    return [r.message for r in caplog.records if r.name == "zoozl.chatbot.breaker" and r.levelname == "WARNING"]


async def test_an_embedder_that_fails_is_not_asked_again_by_messages_and_comes_back_by_itself(flaky, embedding, caplog):
    await embedding.vector("known")
    flaky.broken = EmbeddingError("endpoint down")
    with pytest.raises(EmbeddingError, match="endpoint down"):
        await embedding.vector("new")
    calls = len(flaky.calls)
    for number in range(100):
        with pytest.raises(EmbeddingError, match="not usable now: endpoint down"):
            await embedding.vector(f"text {number}")
    with pytest.raises(EmbeddingError):
        await embedding.vectors(["a text"])
    with pytest.raises(EmbeddingError):
        await embedding.table(["a text"])
    assert len(flaky.calls) <= calls + 1
    assert not embedding.is_usable
    assert (await embedding.vector("known")).shape == (2,)
    flaky.broken = None
    await embedding.usable()
    assert embedding.is_usable
    assert (await embedding.vector("new")).shape == (2,)
    assert len(told(caplog)) == 2


async def test_it_is_tried_in_growing_pauses_and_told_of_once(flaky, caplog):
    embedding = Embedding(flaky, pauses=(0.01, 0.04))
    flaky.broken = EmbeddingError("endpoint down")

    def embed(texts):
        if len(flaky.calls) == 6:
            flaky.broken = None
        return flaky.vectors(texts)

    flaky.give = embed
    with pytest.raises(EmbeddingError):
        await embedding.vector("x")
    loop = asyncio.get_running_loop()
    began = loop.time()
    await embedding.usable()
    # 0.01, 0.02, 0.04, 0.04, 0.04 between six calls.
    assert 0.15 <= loop.time() - began < 1
    assert len(flaky.calls) == 6
    assert len(told(caplog)) == 2
    embedding.close()


async def test_what_the_endpoint_wishes_is_waited_for_within_bounds(flaky):
    embedding = Embedding(flaky, pauses=(0.01, 0.1))
    flaky.broken = EmbeddingError("busy", retry_after=3600)
    with pytest.raises(EmbeddingError):
        await embedding.vector("x")
    flaky.broken = None
    began = asyncio.get_running_loop().time()
    await embedding.usable()
    assert 0.09 <= asyncio.get_running_loop().time() - began < 1
    embedding.close()


async def test_one_text_that_the_model_cannot_take_harms_no_other(flaky, embedding, caplog):
    await embedding.vector("first")
    for number in range(3):
        with pytest.raises(Unembeddable, match="ValueError: odd"):
            await embedding.vector(f"odd {number}")
    assert embedding.is_usable
    assert flaky.calls[-2:] == [["odd 2"], [PROBE]]
    assert (await embedding.vector("even")).shape == (2,)
    assert told(caplog) == []


async def test_a_table_that_cannot_be_made_is_tried_until_it_can(flaky, embedding, caplog):
    await embedding.vector("first")
    with pytest.raises(EmbeddingError):
        await embedding.table(["fine", "odd alias"])
    assert not embedding.is_usable
    flaky.give = lambda texts: np.ones((len(texts), 2), np.float32)
    await embedding.usable()
    assert flaky.calls[-1] == ["fine", "odd alias"]
    assert (await embedding.table(["fine", "odd alias"])).shape == (2, 2)
    assert len(told(caplog)) == 2


async def test_a_text_that_takes_too_long_is_not_waited_for(flaky):
    embedding = Embedding(flaky, patience=0.05, pauses=(0.01, 0.01))
    gate = threading.Event()
    flaky.give = lambda texts: (gate.wait(10), np.ones((len(texts), 2), np.float32))[1]
    with pytest.raises(EmbeddingError, match=r"longer than 0\.05 s"):
        await embedding.vector("slow")
    with pytest.raises(EmbeddingError, match="not usable now"):
        await embedding.vector("next")
    gate.set()
    await embedding.usable()
    assert (await embedding.vector("next")).shape == (2,)
    embedding.close()


async def test_vectors_of_another_length_are_not_compared(flaky, embedding):
    await embedding.vector("first")
    flaky.give = lambda texts: np.ones((len(texts), 3), np.float32)
    with pytest.raises(EmbeddingError, match="vectors of 3 numbers, and gave 2 before"):
        await embedding.vector("second")


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
async def test_numbers_that_are_not_finite_are_an_embedding_error(number):
    embedding = Embedding(Counting(lambda texts: [[number, 1.0]] * len(texts)))
    with pytest.raises(EmbeddingError, match="not finite"):
        await embedding.vector("a")
    embedding.close()


@pytest.mark.parametrize("batches", [False, True])
async def test_a_table_is_computed_in_parts_so_that_messages_get_their_turn(batches):
    embedder = Counting(lambda texts: np.ones((len(texts), 2), np.float32))
    embedder.batches = batches
    embedding = Embedding(embedder)
    texts = [f"alias {number % 600}" for number in range(700)]
    table, _ = await asyncio.gather(embedding.table(texts), embedding.vector("message"))
    assert table.shape == (700, 2)
    assert max(map(len, embedder.calls)) == TABLE_PART[batches]
    assert embedder.calls.index(["message"]) <= 2
    assert sorted(text for texts in embedder.calls for text in texts) == sorted([*set(texts), "message"])
    embedding.close()


async def test_a_model_is_asked_for_one_message_at_a_time_and_an_endpoint_for_all_that_wait():
    for batches, expected in ((False, [["0"], ["1"], ["2"], ["3"]]), (True, [["0"], ["1", "2", "3"]])):
        embedder = Counting(lambda texts: np.ones((len(texts), 2), np.float32))
        embedder.batches = batches
        embedding = Embedding(embedder)
        gate, started = threading.Event(), threading.Event()
        give = embedder.give
        embedder.give = lambda texts, give=give, gate=gate, started=started: (
            started.set(),
            gate.wait(10),
            give(texts),
        )[2]
        first = asyncio.create_task(embedding.vector("0"))
        await asyncio.to_thread(started.wait, 10)
        others = [asyncio.create_task(embedding.vector(str(n))) for n in (1, 2, 3)]
        await asyncio.sleep(0)
        gate.set()
        await asyncio.gather(first, *others)
        assert embedder.calls == expected
        embedding.close()


async def test_the_cache_is_bounded_in_bytes_as_well():
    embedder = Counting(lambda texts: np.ones((len(texts), 1 << 20), np.float32))  # 4 MB each
    embedding = Embedding(embedder)
    for text in ("a", "b", "c", "d", "e", "e", "a"):
        await embedding.vector(text)
    assert embedder.calls == [["a"], ["b"], ["c"], ["d"], ["e"], ["a"]]
    embedding.close()


async def test_a_table_of_nothing_asks_for_nothing(flaky, embedding):
    assert len(await embedding.table([])) == len(await embedding.vectors([])) == 0
    assert flaky.calls == []


async def test_closing_ends_what_waits(flaky):
    embedding = Embedding(flaky)
    gate, started = threading.Event(), threading.Event()
    flaky.give = lambda texts: (started.set(), gate.wait(10))
    waiting = [asyncio.create_task(embedding.vector(text)) for text in ("a", "b")]
    await asyncio.to_thread(started.wait, 10)
    embedding.close()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    gate.set()
    assert all(isinstance(result, asyncio.CancelledError) for result in results)


async def test_an_embedder_is_closed_with_its_service(flaky):
    closed = []
    flaky.close = lambda: closed.append(True)
    Embedding(flaky).close()
    assert closed == [True]
