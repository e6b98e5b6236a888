"""The embedder for sentence-transformers models, as far as it needs no model."""

import importlib.util
from pathlib import Path

import pytest

from zoozl import registry
from zoozl.config import from_dict
from zoozl.embedders.sentence import Embedder, located
from zoozl.errors import ConfigError

installed = importlib.util.find_spec("sentence_transformers") is not None


def test_a_path_begins_like_one_or_is_there(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "models" / "mine").mkdir(parents=True)
    assert located("models/mine", tmp_path) == tmp_path / "models" / "mine"
    assert located("./none", tmp_path) == tmp_path / "none"
    assert located("~/none", tmp_path) == tmp_path / "home" / "none"
    assert located("/none", tmp_path) == Path("/none")
    assert located("all-MiniLM-L6-v2", tmp_path) == "all-MiniLM-L6-v2"
    assert located("BAAI/bge-m3", tmp_path) == "BAAI/bge-m3"


@pytest.mark.skipif(installed, reason="sentence-transformers is installed")
def test_without_the_library_the_start_says_what_to_install():
    with pytest.raises(ConfigError, match=r"sentence:all-MiniLM-L6-v2.*pip install 'zoozl\[semantic\]'"):
        registry.embedder("sentence:all-MiniLM-L6-v2")


@pytest.mark.parametrize("given", ["sentence", "sentence:"])
def test_a_model_must_be_named(given):
    with pytest.raises(ConfigError, match="write which model"):
        registry.embedder(given)


@pytest.mark.skipif(not installed, reason="sentence-transformers is not installed")
def test_what_is_active_is_said_before_the_model_is_read(tmp_path):
    table = {"sentence": {"device": "cuda", "revision": "v2"}}
    embedder = registry.embedder("sentence:all-MiniLM-L6-v2", table, tmp_path)
    assert isinstance(embedder, Embedder)
    assert embedder.about == "sentence-transformers all-MiniLM-L6-v2 at v2 on cuda"
    assert not embedder.batches


@pytest.mark.parametrize(
    ("table", "match"),
    [
        ({"threads": 0}, "sentence.threads: "),
        ({"device": ""}, "sentence.device: must not be empty"),
        ({"model": "x"}, "sentence.model: unknown key in"),
    ],
)
def test_a_mistake_in_the_table_names_its_key(table, match):
    with pytest.raises(ConfigError, match=match):
        from_dict({"sentence": table}, {}, need_channel=False)
