"""The bundled embedder, with the committed model."""

import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from zoozl import registry
from zoozl.embedders import build_minilm, minilm
from zoozl.errors import EmbeddingError

TEXTS = [
    *("please cancel my order", "ok", "?", "1234", "7", "👍", "   ", "", "line one\nline two", "[SEP]", "\x00"),
    *("Wo ist die nächste Bank?", "Отмени мой заказ", "取消我的订单", "مرحبا", "'); DROP TABLE orders; --"),
    "where is my parcel and why does it take so long " * 50,
]


@pytest.fixture(scope="module")
def embedder():
    return minilm.Embedder()


def cosine(embedder, one, other):
    first, second = embedder.embed([one, other])
    return float(first @ second)


def test_the_registry_finds_it_under_its_name():
    assert registry.find("embedders", "minilm") is minilm.Embedder


def test_vectors_are_384_float32_of_length_one(embedder):
    vectors = embedder.embed(TEXTS)
    assert vectors.shape == (len(TEXTS), embedder.dimension) == (len(TEXTS), 384)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_no_texts_have_no_vectors(embedder):
    assert embedder.embed([]).shape == (0, 384)


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: ascii(text)[:20])
def test_a_text_has_the_same_vector_alone_and_in_company(embedder, text):
    company = [*TEXTS, text]
    random.Random(1).shuffle(company)
    assert embedder.embed([text])[0] @ embedder.embed(company)[company.index(text)] >= 0.9999


def test_a_text_has_the_same_vector_each_time_and_from_another_instance(embedder):
    again = minilm.Embedder()
    for _ in range(3):
        np.testing.assert_array_equal(embedder.embed(TEXTS[:5]), again.embed(TEXTS[:5]))


@pytest.mark.parametrize(
    ("text", "paraphrase", "unrelated"),
    [
        ("cancel my order", "I don't want what I bought any more", "what is the weather like"),
        ("how do I get my money back", "I would like a refund", "play some music"),
        ("what's the weather like tomorrow", "will it rain in the morning", "transfer money to my brother"),
        ("I forgot my password", "I can't log in to my account", "book a table for two"),
        ("hello", "hi there", "the invoice is wrong"),
    ],
)
def test_a_paraphrase_is_nearer_than_an_unrelated_text(embedder, text, paraphrase, unrelated):
    assert cosine(embedder, text, paraphrase) > cosine(embedder, text, unrelated) + 0.1


@pytest.mark.parametrize("blank", [" ", "\n\t ", "\xa0", " " * 100_000])
def test_white_space_is_the_empty_text(embedder, blank):
    assert cosine(embedder, blank, "") == pytest.approx(1, abs=1e-6)


def test_white_space_around_a_text_does_not_count(embedder):
    assert cosine(embedder, " \n" * 5_000 + "cancel my order ", "cancel my order") == pytest.approx(1, abs=1e-6)


def test_what_a_long_text_says_after_256_tokens_does_not_count(embedder):
    start = "where is my parcel " * 200
    assert cosine(embedder, start, start + "cancel my order " * 1_000) == pytest.approx(1, abs=1e-6)


def test_a_huge_text_costs_no_more_than_a_long_one(embedder):
    tokenizer, _ = embedder._loaded()
    seen = []

    class Spy:
        def encode(self, text):
            seen.append(len(text))
            return tokenizer.encode(text)

    spied = minilm.Embedder()
    spied._model = (Spy(), embedder._loaded()[1])
    spied.embed(["x y " * 1_000_000])
    assert seen == [minilm.MAX_CHARACTERS]


def test_half_a_surrogate_pair_is_no_error(embedder):
    assert cosine(embedder, json.loads('"cancel my order \\ud83d"'), "cancel my order ?") > 0.99


def test_threads_may_share_one_embedder():
    embedder = minilm.Embedder()  # not loaded: the first uses race to load it
    texts = TEXTS * 3
    with ThreadPoolExecutor(8) as pool:
        vectors = np.concatenate(list(pool.map(lambda text: embedder.embed([text]), texts)))
    np.testing.assert_allclose(vectors, minilm.Embedder().embed(texts), atol=1e-5)


def test_making_one_reads_nothing():
    code = (
        "import sys; from zoozl.embedders.minilm import Embedder; Embedder({}); "
        "sys.exit(bool({'onnxruntime', 'tokenizers', 'torch'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_load_reads_once(embedder):
    embedder.load()
    first = embedder._loaded()
    embedder.load()
    assert embedder._loaded() is first


@pytest.fixture
def copied(tmp_path):
    """A folder with a copy of the model that a test may damage."""
    return shutil.copytree(minilm.FOLDER, tmp_path / "minilm")


@pytest.mark.parametrize("name", [minilm.MODEL_FILE, minilm.TOKENIZER_FILE])
def test_a_missing_file_is_named(copied, name):
    (copied / name).unlink()
    with pytest.raises(EmbeddingError, match=f"(?s)cannot be read.*{name}.*reinstall"):
        minilm.Embedder(folder=copied).embed(["hello"])


@pytest.mark.parametrize("name", [minilm.MODEL_FILE, minilm.TOKENIZER_FILE])
@pytest.mark.parametrize(
    "damage", [lambda data: data[:-1], lambda data: b"", lambda data: data[:5000] + b"?" + data[5001:]]
)
def test_a_damaged_file_is_named(copied, name, damage):
    (copied / name).write_bytes(damage((copied / name).read_bytes()))
    with pytest.raises(EmbeddingError, match=f"{name} is damaged"):
        minilm.Embedder(folder=copied).load()


def test_a_model_that_does_not_load_is_an_embedding_error(copied, monkeypatch):
    (copied / minilm.MODEL_FILE).write_bytes(b"not a model")
    hashed = hashlib.sha256(b"not a model").hexdigest()
    monkeypatch.setitem(minilm.SHA256, minilm.MODEL_FILE, hashed)
    with pytest.raises(EmbeddingError, match="cannot be loaded by onnxruntime"):
        minilm.Embedder(folder=copied).load()


def test_a_failed_load_can_be_tried_again(copied):
    embedder = minilm.Embedder(folder=copied)
    (copied / minilm.MODEL_FILE).rename(copied / "away")
    with pytest.raises(EmbeddingError):
        embedder.load()
    (copied / "away").rename(copied / minilm.MODEL_FILE)
    assert embedder.embed(["hello"]).shape == (1, 384)


@pytest.mark.parametrize("name", [minilm.MODEL_FILE, minilm.TOKENIZER_FILE])
def test_the_committed_files_are_those_of_the_recipe(name):
    found = hashlib.sha256((minilm.FOLDER / name).read_bytes()).hexdigest()
    assert found == minilm.SHA256[name]
    assert f"{name:14}  {found}" in build_minilm.__doc__


def test_the_recipe_and_the_embedder_mean_the_same_files():
    assert (build_minilm.FOLDER, build_minilm.MODEL_FILE, build_minilm.TOKENIZER_FILE) == (
        minilm.FOLDER,
        minilm.MODEL_FILE,
        minilm.TOKENIZER_FILE,
    )


def test_the_model_file_names_the_vectors():
    assert minilm.Embedder.name == f"minilm-l6-v2/int8-{minilm.SHA256[minilm.MODEL_FILE][:8]}"


@pytest.mark.parametrize("content", [None, b"other weights"])
def test_the_recipe_refuses_other_weights(tmp_path, capsys, content):
    if content is not None:
        (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(SystemExit) as raised:
        build_minilm.main(["--weights", str(tmp_path), "--out", str(tmp_path / "out")])
    assert raised.value.code == 1
    assert ("is missing" if content is None else "is not the official file") in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_nothing_is_left_in_the_home_folder(tmp_path):
    program = "from zoozl.embedders.minilm import Embedder; Embedder().embed(['x'])"
    environment = {**os.environ, "HOME": str(tmp_path), "USERPROFILE": str(tmp_path)}
    environment.pop("ORT_DISABLE_TELEMETRY", None)
    subprocess.run([sys.executable, "-c", program], env=environment, check=True)
    assert list(tmp_path.rglob("*")) == []


def test_the_vectors_of_the_generic_sentences_come_with_the_model():
    from zoozl.chatbot.background import sentences

    embedder = minilm.Embedder()
    texts = sentences()
    mixed = [texts[0], "something of one's own", texts[1]]
    got, computed = embedder.embed(mixed), embedder.compute(mixed)
    assert np.allclose(got, computed, atol=1e-3), (
        "built with another model? run python -m zoozl.embedders.build_minilm --background"
    )
    with np.load(minilm.FOLDER / minilm.BACKGROUND_FILE) as file:
        assert set(texts) <= set(file["texts"].tolist())
        assert np.min(np.sum(file["vectors"] * embedder.compute(file["texts"].tolist()), axis=1)) > 0.999
