"""The endpoint's embedder against aimock, and against an endpoint that misbehaves.

npm install --global @copilotkit/aimock@1.43    (or ZOOZL_TEST_LLMOCK=/path/to/llmock)
"""

import asyncio
import contextlib
import json
import logging
import os
import re
import shutil

import numpy as np
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from zoozl.chatbot import Interface
from zoozl.chatbot.embedding import Embedding
from zoozl.embedders.openai import Embedder
from zoozl.errors import EmbeddingError, Unembeddable
from zoozl.testing import Bot

KEY = "sk-planted-key-0123456789"


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


class Endpoint:
    """Answers with what `answers` gives, in turn, and then properly: the vector of a text is made of its length."""

    def __init__(self):
        self.answers = []
        self.requests = []
        self.keys = []

    async def handle(self, request):
        asked = await request.json()
        self.requests.append(asked)
        self.keys.append(request.headers.get("Authorization"))
        if self.answers:
            answer = self.answers.pop(0)
            return await answer(request) if callable(answer) else answer
        data = [{"index": at, "embedding": [len(text), 1.0]} for at, text in enumerate(asked["input"])]
        return web.json_response({"object": "list", "data": data[::-1]})

    @property
    def inputs(self):
        return [asked["input"] for asked in self.requests]


@pytest.fixture
async def endpoint():
    made = Endpoint()
    app = web.Application()
    app.router.add_post("/v1/embeddings", made.handle)
    async with TestServer(app) as server:
        made.url = str(server.make_url("/v1"))
        yield made


@pytest.fixture
def make():
    """Makes embedders that are closed when the test ends."""
    made = []

    def make(base_url, model="m", **options):
        made.append(Embedder(model, base_url=base_url, **options))
        return made[-1]

    yield make
    for embedder in made:
        embedder.close()


@pytest.fixture
def embedder(endpoint, make):
    return make(endpoint.url, key=KEY, timeout=5)


def embed(embedder, *texts):
    return asyncio.to_thread(embedder.embed, texts)


def failure(status, **headers):
    return web.json_response({"error": {"message": f"bad key {KEY}"}}, status=status, headers=headers)


async def test_what_is_asked_is_what_openai_documents(endpoint, embedder, make):
    vectors = await embed(embedder, "four", "seven77")
    np.testing.assert_allclose(vectors[:, 0] / vectors[:, 1], [4, 7], rtol=1e-5)
    assert endpoint.requests == [{"model": "m", "encoding_format": "float", "input": ["four", "seven77"]}]
    assert endpoint.keys == [f"Bearer {KEY}"]
    shorter = make(endpoint.url, dimensions=2)
    await embed(shorter, "")
    assert endpoint.requests[1] == {"model": "m", "encoding_format": "float", "dimensions": 2, "input": [" "]}
    assert endpoint.keys[1] is None


async def test_many_texts_go_in_few_requests(endpoint, make):
    embedder = make(endpoint.url, batch_size=100)
    vectors = await embed(embedder, *("x" * n for n in range(1, 251)))
    np.testing.assert_allclose(vectors[:, 0] / vectors[:, 1], range(1, 251), rtol=1e-5)
    assert [len(texts) for texts in endpoint.inputs] == [100, 100, 50]
    assert (await embed(embedder)).shape[0] == 0
    assert len(endpoint.requests) == 3


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_what_passes_is_tried_again_when_the_endpoint_says_so(endpoint, embedder, status):
    endpoint.answers = [failure(status, **{"Retry-After": "0.2"}), failure(status, **{"Retry-After": "0"})]
    began = asyncio.get_running_loop().time()
    assert (await embed(embedder, "x")).shape == (1, 2)
    assert 0.2 <= asyncio.get_running_loop().time() - began < 2
    assert len(endpoint.requests) == 3


async def test_tries_are_bounded(endpoint, embedder):
    endpoint.answers = [failure(503, **{"Retry-After": "0"}) for _ in range(9)]
    with pytest.raises(EmbeddingError, match="503"):
        await embed(embedder, "x")
    assert len(endpoint.requests) == 3


async def test_a_long_wish_is_not_waited_for_but_told(endpoint, embedder):
    endpoint.answers = [failure(429, **{"Retry-After": "30"})]
    with pytest.raises(EmbeddingError, match="429") as raised:
        await embed(embedder, "x")
    assert raised.value.retry_after == 30
    assert len(endpoint.requests) == 1


@pytest.mark.parametrize("status", [400, 413, 422])
async def test_a_refusal_is_the_texts_fault(endpoint, embedder, status):
    endpoint.answers = [failure(status)]
    with pytest.raises(Unembeddable, match=str(status)):
        await embed(embedder, "x")
    assert len(endpoint.requests) == 1


@pytest.mark.parametrize(
    ("status", "hint"), [(401, "is the key right"), (403, "is the key right"), (404, "base_url"), (418, "418")]
)
async def test_other_answers_are_not_asked_for_twice(endpoint, embedder, status, hint):
    endpoint.answers = [failure(status)]
    with pytest.raises(EmbeddingError, match=hint) as raised:
        await embed(embedder, "x")
    assert not isinstance(raised.value, Unembeddable)
    assert len(endpoint.requests) == 1


async def test_nothing_is_sent_to_where_a_redirect_points(endpoint, embedder):
    endpoint.answers = [web.Response(status=307, headers={"Location": endpoint.url + "/embeddings"})]
    with pytest.raises(EmbeddingError, match="307"):
        await embed(embedder, "x")
    assert len(endpoint.requests) == 1


@pytest.mark.parametrize(
    "text", ["", "<html>", '{"data": []}', '{"data": [{"index": 0, "embedding": [1]}, {"index": 1, "embedding": [1]}]}']
)
async def test_nonsense_and_the_wrong_number_of_vectors_are_errors(endpoint, embedder, text):
    endpoint.answers = [web.Response(text=text)]
    with pytest.raises(EmbeddingError):
        await embed(embedder, "x")


async def drip(request):
    """An answer that never ends, a byte at a time: no single read takes long."""
    response = web.StreamResponse()
    await response.prepare(request)
    with contextlib.suppress(ConnectionError):
        for _ in range(300):
            await response.write(b" ")
            await asyncio.sleep(0.02)
    return response


async def hang(request):
    await asyncio.Event().wait()


async def cut(request):
    request.transport.abort()
    return web.Response()


@pytest.mark.parametrize("answer", [drip, hang])
async def test_a_slow_endpoint_is_given_up_in_time(endpoint, answer, make):
    embedder = make(endpoint.url, timeout=0.3)
    endpoint.answers = [answer]
    began = asyncio.get_running_loop().time()
    with pytest.raises(EmbeddingError, match=r"no answer within 0\.3 s"):
        await embed(embedder, "x")
    assert asyncio.get_running_loop().time() - began < 2


async def test_a_broken_connection_is_tried_again(endpoint, embedder):
    endpoint.answers = [cut]
    assert (await embed(embedder, "x")).shape == (1, 2)


async def test_closing_ends_the_wait_between_two_tries(endpoint, make):
    embedder = make(endpoint.url, timeout=60)
    asked = asyncio.Event()

    async def busy(request):
        asked.set()
        return failure(429, **{"Retry-After": "50"})

    endpoint.answers = [busy]
    running = asyncio.create_task(embed(embedder, "x"))
    await asked.wait()
    embedder.close()
    with pytest.raises(EmbeddingError):
        async with asyncio.timeout(5):
            await running


async def test_the_key_is_in_no_error_and_no_log(endpoint, embedder, caplog):
    caplog.set_level(logging.DEBUG)
    said = []
    await embed(embedder, "x")
    for answer in (failure(401), failure(400), failure(500, **{"Retry-After": "99"}), web.Response(text=KEY)):
        endpoint.answers = [answer]
        with pytest.raises(EmbeddingError) as raised:
            await embed(embedder, "x")
        said.append(repr(raised.value))
    for text in (*said, caplog.text, repr(embedder), embedder.name, embedder.about):
        assert KEY not in text
    assert embedder.secrets == (KEY,)


async def test_messages_that_come_together_go_together_and_one_bad_text_harms_no_other(endpoint, embedder):
    embedding = Embedding(embedder)
    released, asked = asyncio.Event(), asyncio.Event()

    async def slow(request):
        asked.set()
        await released.wait()
        return web.json_response({"data": [{"index": 0, "embedding": [1, 1]}]})

    async def refuse_bad(request):
        if "bad" in (await request.json())["input"]:
            return failure(400)
        count = len((await request.json())["input"])
        return web.json_response({"data": [{"index": at, "embedding": [1, 1]} for at in range(count)]})

    endpoint.answers = [slow, *[refuse_bad] * 20]
    first = asyncio.create_task(embedding.vector("first"))
    await asked.wait()
    others = [asyncio.create_task(embedding.vector(text)) for text in ("a", "bad", "c", "d")]
    await asyncio.sleep(0)
    released.set()
    await first
    results = await asyncio.gather(*others, return_exceptions=True)
    assert [isinstance(result, Unembeddable) for result in results] == [False, True, False, False]
    assert endpoint.inputs[:2] == [["first"], ["a", "bad", "c", "d"]]
    assert embedding.is_usable
    embedding.close()


class Orders(Interface):
    aliases = ("cancel my order", "help")

    async def consume(self, package):
        package.callback(package.conversation.subject)


async def test_a_bot_goes_on_while_the_endpoint_is_down_and_after_it_came_back(endpoint, caplog, make):
    embedder = make(endpoint.url, timeout=1)
    endpoint.answers = [failure(401)]
    async with Bot(Orders, embedder=embedder) as bot:
        assert await bot.say("something") == ["help"]
        assert await bot.say("cancel my order") == ["cancel my order"]
        await bot.chatbot.root.embedding.usable()
        await bot.say("something else entirely")
        assert ["something else entirely"] in endpoint.inputs
    told = [record.message for record in caplog.records if record.name == "zoozl.chatbot.breaker"]
    assert [("not usable" in text, "works again" in text) for text in told] == [(True, False), (False, True)]


# From here on: aimock.


@pytest.fixture(scope="module")
def llmock():
    path = os.environ.get("ZOOZL_TEST_LLMOCK") or shutil.which("llmock")
    if path is None:
        pytest.skip("aimock is not installed: npm install --global @copilotkit/aimock@1.43")
    return path


@pytest.fixture
async def aimock(llmock, tmp_path):
    """The address of an aimock that wants KEY and knows two texts."""
    fixtures = [
        {"match": {"inputText": "three and four"}, "response": {"embedding": [3.0, 4.0]}},
        {
            "match": {"inputText": "too long"},
            "response": {"error": {"message": "too long", "type": "invalid_request_error"}, "status": 400},
        },
    ]
    (tmp_path / "fixtures.json").write_text(json.dumps({"fixtures": fixtures}))
    process = await asyncio.create_subprocess_exec(
        *(llmock, "-p", "0", "-h", "127.0.0.1", "-f", str(tmp_path / "fixtures.json")),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, "AIMOCK_API_KEYS": KEY},
    )
    try:
        async with asyncio.timeout(30):
            while not (found := re.search(rb"http://[\d.]+:\d+", await process.stdout.readline())):
                assert process.returncode is None
        yield found[0].decode() + "/v1"
    finally:
        process.terminate()
        await process.communicate()


async def test_aimock_gives_vectors(aimock, make):
    embedder = make(aimock, "text-embedding-3-small", key=KEY)
    np.testing.assert_allclose(await embed(embedder, "three and four"), [[0.6, 0.8]], rtol=1e-6)
    texts = [f"text number {number}" for number in range(600)]
    vectors = await embed(embedder, *texts)
    assert vectors.shape == (600, 1536)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(vectors[77], (await embed(embedder, texts[77]))[0], atol=1e-6)


async def test_aimock_refuses_a_text_and_a_wrong_key(aimock, make):
    with pytest.raises(Unembeddable, match="400"):
        await embed(make(aimock, key=KEY), "too long")
    with pytest.raises(EmbeddingError, match="401.*is the key right"):
        await embed(make(aimock, key="sk-another"), "x")


async def test_a_bot_answers_with_aimock(aimock, make):
    async with Bot(Orders, embedder=make(aimock, key=KEY)) as bot:
        assert await bot.say("Cancel my order!") == ["cancel my order"]
        assert await bot.say("colourless green ideas") == ["help"]
        assert bot.chatbot.root.embedding.is_usable
