"""Vectors of aliases outlive the process, in the embedded store, as long as they are the model's."""

import numpy as np
import pytest

from zoozl.chatbot import Interface
from zoozl.chatbot.embedding import Embedding
from zoozl.chatbot.kept_vectors import AT_ONCE, SPACE, dump, load
from zoozl.errors import StoreError
from zoozl.stores.memory import Store as MemoryStore
from zoozl.stores.sqlite import Store
from zoozl.testing import Bot, bundled_embedder


class Seeded:
    """Random vectors that are always the same for a text, a `seed` and a length."""

    def __init__(self, name="seeded", seed=0, length=8):
        self.name = name
        self.seed = seed
        self.length = length
        self.asked = []

    def embed(self, texts):
        self.asked += texts
        rows = [np.random.default_rng([self.seed, *text.encode()]).standard_normal(self.length) for text in texts]
        return np.array([row / np.linalg.norm(row) for row in rows], np.float32)


@pytest.fixture
async def store(tmp_path):
    store = await Store.open(tmp_path / "zoozl.db")
    yield store
    await store.close()


async def table(store, embedder, texts, *, prune=True):
    """What a process would make of `texts`: a service of its own."""
    embedding = Embedding(embedder, keep=store)
    try:
        vectors = await embedding.table(texts)
        if prune:
            await embedding.prune()
        return vectors
    finally:
        embedding.close()


TEXTS = ["cancel my order", "где мой заказ", "取消我的订单", "help"]


def test_a_vector_is_the_same_after_keeping():
    vector = np.array([1 / 3, -0.0, 1e-38, 3.4e38], np.float32)
    assert load(dump(vector)).tobytes() == vector.tobytes()


@pytest.mark.parametrize("text", ["", "x", "null", "7", '""', '"é"', '"AAA="', '"AACAfw=="', '"AADAfw=="', "[1.0]"])
def test_what_is_no_vector_is_none(text):
    assert load(text) is None


async def test_aliases_are_computed_once_over_restarts(store):
    first = Seeded()
    before = await table(store, first, TEXTS)
    assert first.asked == TEXTS
    second = Seeded()
    after = await table(store, second, [*TEXTS[::-1], "new"])
    np.testing.assert_array_equal(after[:-1], before[::-1])
    # One of the kept ones is computed again, to see that the model is still the same.
    assert second.asked == [TEXTS[-1], "new"]


async def test_many_aliases_are_kept_as_well(store):
    texts = [f"alias {number}" for number in range(2 * AT_ONCE + 5)]
    before = await table(store, Seeded(), texts)
    embedder = Seeded()
    np.testing.assert_array_equal(await table(store, embedder, texts), before)
    assert len(embedder.asked) == 1


async def test_another_model_has_vectors_of_its_own_and_the_others_go(store):
    await table(store, Seeded("one"), TEXTS)
    other = Seeded("other", seed=1)
    np.testing.assert_array_equal(await table(store, other, TEXTS[:2]), Seeded(seed=1).embed(TEXTS[:2]))
    assert other.asked == TEXTS[:2]
    keys = await store.keys(SPACE, "")
    assert len(keys) == 2
    assert all(key.startswith("other#") for key in keys)


async def test_aliases_that_are_no_more_go(store):
    await table(store, Seeded(), TEXTS)
    await table(store, Seeded(), TEXTS[:1])
    assert len(await store.keys(SPACE, "")) == 1


@pytest.mark.parametrize("changed", [{"seed": 1}, {"length": 16}])
async def test_a_model_that_changed_under_its_name_is_noticed(store, changed):
    await table(store, Seeded(), TEXTS)
    new = Seeded(**changed)
    np.testing.assert_array_equal(await table(store, new, TEXTS), Seeded(**changed).embed(TEXTS))
    again = Seeded(**changed)
    await table(store, again, TEXTS)
    assert len(again.asked) == 1


@pytest.mark.parametrize("value", ['"AAA="', "null", '"AACAPw=="'])
async def test_a_damaged_value_is_computed_anew(store, value):
    expected = await table(store, Seeded(), TEXTS)
    key = sorted(await store.keys(SPACE, ""))[0]
    await store.put(SPACE, key, value)
    np.testing.assert_array_equal(await table(store, Seeded(), TEXTS), expected)
    assert await store.get(SPACE, key) != value


class Broken:
    async def get(self, *args):
        raise StoreError("disk full")

    put = keys = get


async def test_a_store_that_fails_does_no_harm(caplog):
    np.testing.assert_array_equal(await table(Broken(), Seeded(), TEXTS), Seeded().embed(TEXTS))
    assert "disk full" in caplog.text


class Orders(Interface):
    aliases = ("cancel my order", "help")

    async def consume(self, package):
        package.callback(package.conversation.subject)


class Spy:
    """The bundled model, and what it was asked for."""

    def __init__(self):
        self.name = bundled_embedder().name
        self.asked = []

    def embed(self, texts):
        self.asked += texts
        return bundled_embedder().embed(texts)


async def test_a_bot_that_starts_again_computes_no_alias_again(tmp_path):
    asked = []
    for _ in range(2):
        embedder = Spy()
        async with Bot(Orders, embedder=embedder, store=await Store.open(tmp_path / "zoozl.db")) as bot:
            assert await bot.say("I want to cancel what I ordered") == ["cancel my order"]
            # Pruned, too.
            await bot.chatbot._warming
        asked.append(embedder.asked)
    assert len(asked[0]) > 50
    assert len(asked[1]) <= 2


async def test_a_store_in_memory_keeps_no_vectors():
    store = MemoryStore()
    async with Bot(Orders, store=store) as bot:
        await bot.say("I want to cancel what I ordered")
        assert await store.keys(SPACE, "") == []
