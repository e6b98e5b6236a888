"""The endpoint's embedder, as far as it needs no endpoint: what is asked, what is believed, what is configured."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import orjson
import pytest

from zoozl import registry
from zoozl.config import from_dict
from zoozl.embedders.openai import MAX_REQUEST_BYTES, Embedder, decode, requests, retry_after
from zoozl.errors import ConfigError, EmbeddingError

LOCAL = "http://127.0.0.1:11434/v1"


def body(*vectors, **changes):
    data = [{"index": index, "embedding": vector, **changes} for index, vector in enumerate(vectors)]
    return orjson.dumps({"object": "list", "data": data})


def test_texts_go_in_requests_of_bounded_number_and_size():
    assert [list(part) for part in requests(["a", "b", "c", "d", "e"], 2)] == [["a", "b"], ["c", "d"], ["e"]]
    half = "é" * (MAX_REQUEST_BYTES // 4)
    assert [len(part) for part in requests([half, half, "x"], 10)] == [2, 1]
    assert [len(part) for part in requests(["x", half * 3, "y"], 10)] == [1, 1, 1]
    assert list(requests([], 2)) == []


def test_vectors_are_of_length_one_and_in_the_order_of_the_texts():
    items = [{"index": 1, "embedding": [0, 2]}, {"index": 0, "embedding": [3, 4]}]
    vectors = decode(orjson.dumps({"data": items}), 2)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, [[0.6, 0.8], [0, 1]], rtol=1e-6)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b'{"data": null}',
        b'{"data": [1, 2]}',
        b'{"data": [{"index": 0}]}',
        b"[" * 100_000,
        body([1.0]),
        body([1.0], [1.0], [1.0]),
        body([1.0], [1.0], index=0),
        body([1.0], [1.0], index="0"),
        body([1.0], [1.0, 2.0]),
        body([], []),
        body(1.0, 1.0),
        body("AAAA", "AAAA"),
        body([1.0], [None]),
        body([1.0], [[1.0]]),
        b'{"data": [{"index": 0, "embedding": [NaN]}, {"index": 1, "embedding": [1]}]}',
        b'{"data": [{"index": 0, "embedding": [1e999]}, {"index": 1, "embedding": [1]}]}',
    ],
)
def test_anything_but_a_vector_for_each_text_is_an_error(answer):
    with pytest.raises(EmbeddingError):
        decode(answer, 2)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("", None),
        ("3", 3.0),
        ("0.5", 0.5),
        ("-1", None),
        ("soon", None),
        ("nan", None),
        ("inf", 86_400.0),
        ("Wed, 01 Jan 2025 00:00:10 GMT", 10.0),
        ("Wed, 01 Jan 2025 00:00:10", 10.0),
        ("Tue, 31 Dec 2024 23:59:59 GMT", None),
    ],
)
def test_retry_after_is_read_in_both_forms(header, seconds):
    assert retry_after(header, datetime(2025, 1, 1, tzinfo=UTC)) == seconds


def made(given, table=None, environ=None):
    return registry.embedder(given, {"openai": table or {}}, Path(), environ or {})


def test_a_name_with_a_model_makes_one():
    embedder = made("openai:nomic-embed-text", {"base_url": LOCAL, "dimensions": 64})
    assert isinstance(embedder, Embedder)
    assert embedder.name == f"openai:nomic-embed-text/64@{LOCAL}"
    assert embedder.about == f"openai nomic-embed-text at {LOCAL}"
    assert embedder.batches


def test_a_model_may_have_a_colon_of_its_own():
    assert made("openai:bge-m3:latest", {"base_url": LOCAL}).name == f"openai:bge-m3:latest@{LOCAL}"


def test_models_endpoints_and_lengths_have_vectors_of_their_own():
    tables = ({"base_url": LOCAL}, {"base_url": LOCAL + "/x"}, {"base_url": LOCAL, "dimensions": 5})
    assert len({made(f"openai:{model}", table).name for table in tables for model in ("a", "b")}) == 6


@pytest.mark.parametrize(
    ("given", "table", "environ", "match"),
    [
        ("openai", {}, {}, "write which model"),
        ("openai: ", {}, {}, "write which model"),
        ("openai:m", {}, {}, "set the environment variable OPENAI_API_KEY"),
        ("openai:m", {}, {"OPENAI_API_KEY": " "}, "set the environment variable OPENAI_API_KEY"),
        ("openai:m", {"base_url": LOCAL, "api_key_env": "MY_KEY"}, {}, "set the environment variable MY_KEY"),
        ("openai:m", {}, {"OPENAI_API_KEY": "sk-\u00e9secret"}, "characters that no header takes"),
        ("openai:m", {}, {"OPENAI_API_KEY": "sk-secret\nx"}, "characters that no header takes"),
        ("minilm:m", {}, {}, "takes no model"),
        ("opnai:m", {}, {}, "no module named"),
    ],
)
def test_a_mistake_is_named_without_the_key(given, table, environ, match):
    with pytest.raises(ConfigError, match=f"(?i){match}") as raised:
        made(given, table, environ)
    assert "secret" not in str(raised.value)


def test_an_endpoint_of_ones_own_needs_no_key():
    assert made("openai:m", {"base_url": LOCAL}).secrets == ()
    assert made("openai:m", {"base_url": LOCAL}, {"OPENAI_API_KEY": "sk-1"}).secrets == ("sk-1",)


def test_a_class_in_a_module_called_like_an_embedder_is_still_found(tmp_path, monkeypatch):
    (tmp_path / "minilm.py").write_text("class Mine:\n    name = 'mine'\n    def embed(self, texts): ...\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert made("minilm:Mine").name == "mine"


@pytest.mark.parametrize(
    ("table", "match"),
    [
        ({"base_url": "api.openai.com"}, "openai.base_url: must begin with http"),
        ({"base_url": "https://me:secret@api.example.com"}, "openai.base_url: must begin with http"),
        ({"base_url": "https://api.example.com/v1?key=secret"}, "openai.base_url: must begin with http"),
        ({"api_key_env": "sk-secret"}, "openai.api_key_env: must be the name of an environment variable"),
        ({"api_key": "sk-secret"}, "openai.api_key: unknown key.*api_key_env"),
        ({"timeout": 0}, "openai.timeout: "),
        ({"batch_size": 4096}, "openai.batch_size: "),
        ({"dimensions": "512"}, "openai.dimensions: "),
    ],
)
def test_a_mistake_in_the_table_names_its_key_and_not_its_value(table, match):
    with pytest.raises(ConfigError, match=match) as raised:
        from_dict({"websocket_port": 0, "openai": table}, {})
    assert "secret" not in str(raised.value)


def test_the_table_can_be_set_by_variables():
    config = from_dict({"websocket_port": 0}, {"ZOOZL_OPENAI__BASE_URL": LOCAL + "/", "ZOOZL_OPENAI__TIMEOUT": "3"})
    assert config.tables["openai"].model_dump(exclude_unset=True) == {"base_url": LOCAL, "timeout": 3.0}
