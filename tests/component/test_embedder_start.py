"""What a server says and does about its embedder at the start."""

import asyncio
import os

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from zoozl import config
from zoozl.errors import ConfigError
from zoozl.server import serving


@pytest.fixture(autouse=True)
def no_key_and_no_proxy(monkeypatch):
    for name in list(os.environ):
        if name.upper().endswith("_PROXY") or name == "OPENAI_API_KEY":
            monkeypatch.delenv(name)


@pytest.fixture
def conf(tmp_path):
    """Writes a configuration and loads it."""

    async def load(text):
        file = tmp_path / "chatbot.toml"
        file.write_text('websocket_port = 0\nstore = "memory:"\nextensions = ["zoozl.plugins.pong"]\n' + text)
        return await asyncio.to_thread(config.load, file, {})

    return load


@pytest.fixture
async def endpoint():
    """Its address, and the keys that it was shown."""
    keys = []

    async def answer(request):
        keys.append(request.headers.get("Authorization"))
        texts = (await request.json())["input"]
        return web.json_response({"data": [{"index": at, "embedding": [1.0, 2.0]} for at in range(len(texts))]})

    app = web.Application()
    app.router.add_post("/v1/embeddings", answer)
    async with TestServer(app) as server:
        yield str(server.make_url("/v1")), keys


async def test_the_bundled_one_is_named(conf):
    async with serving(await conf("")) as server:
        assert "embedder  minilm (bundled)" in server.summary()


async def test_an_endpoint_is_named_and_asked_with_the_key_of_the_dotenv_file(conf, endpoint, tmp_path):
    url, keys = endpoint
    (tmp_path / ".env").write_text("MY_KEY=sk-from-dotenv\n")
    text = f'embedder = "openai:m"\n[openai]\nbase_url = "{url}"\napi_key_env = "MY_KEY"\n'
    async with serving(await conf(text)) as server:
        assert f"embedder  openai m at {url}" in server.summary()
        await server.bot.root.embed(["text"])
    assert set(keys) == {"Bearer sk-from-dotenv"}


async def test_an_endpoint_that_is_down_keeps_nobody_from_starting(conf, caplog, unused_tcp_port):
    text = f'embedder = "openai:m"\n[openai]\nbase_url = "http://127.0.0.1:{unused_tcp_port}/v1"\ntimeout = 0.3\n'
    async with serving(await conf(text)) as server:
        async with asyncio.timeout(10):
            while server.bot.root.embedding.is_usable:
                await asyncio.sleep(0.01)
    told = [record for record in caplog.records if record.name == "zoozl.chatbot.breaker"]
    assert len(told) == 1
    assert "ConnectError" in told[0].message


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ('embedder = "openai:m"', "chatbot.toml:4: embedder: .*set the environment variable OPENAI_API_KEY"),
        ('embedder = "openai"', "chatbot.toml:4: embedder: write which model"),
        ('embedder = "minilm:m"', "chatbot.toml:4: embedder: embedder 'minilm' takes no model"),
        (
            'embedder = "nothing"',
            "chatbot.toml:4: embedder: there is no embedder called 'nothing'.*minilm, openai, sent",
        ),
        ('[openai]\nbase_url = "x"', "chatbot.toml:5: openai.base_url: must begin with http"),
        ("[openai]\nbase_ulr = 'x'", "chatbot.toml:5: openai.base_ulr: unknown key in .openai.; did you mean base_url"),
        ("[sentence]\nthreads = '2'", "chatbot.toml:5: sentence.threads: must be a valid integer"),
    ],
)
async def test_a_mistake_ends_the_start_and_names_file_line_and_key(conf, text, mistake):
    with pytest.raises(ConfigError, match=mistake):
        async with serving(await conf(text)):
            pass
