"""/livez, /readyz and /metrics of a whole server."""

import aiohttp
import prometheus_client  # noqa: F401 - so that no test imports it on its event loop
import pytest

from zoozl.channels.http import Listeners
from zoozl.health import Health
from zoozl.testing import Bot


class Away:
    """A channel whose platform does not answer."""

    trouble = "the socket is closed"


@pytest.fixture
async def ask():
    listeners = None

    async def opened(health):
        nonlocal listeners
        listeners = Listeners()
        listeners.add("127.0.0.1", 0, health.routes())
        await listeners.open()
        port = listeners.port("127.0.0.1", 0)

        async def get(path):
            async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}{path}") as answer:
                return answer.status, await answer.text()

        return get

    yield opened
    if listeners is not None:
        await listeners.close()


async def test_a_bot_that_is_well_is_ready(ask):
    async with Bot("zoozl.plugins.pong") as bot:
        get = await ask(Health(bot.chatbot, {"test": bot}))
        assert await get("/livez") == (200, "ok\n")
        status, text = await get("/readyz")
        assert (status, '"ready": true' in text, '"test": "ok"' in text) == (200, True, True)


async def test_it_is_not_while_a_channel_is_away(ask):
    async with Bot("zoozl.plugins.pong") as bot:
        get = await ask(Health(bot.chatbot, {"slack": Away()}))
        status, text = await get("/readyz")
        assert status == 503
        assert '"slack": "the socket is closed"' in text
        assert 'zoozl_channel_up{channel="slack"} 0.0' in (await get("/metrics"))[1]


async def test_it_is_not_while_the_server_stops(ask):
    bot = Bot("zoozl.plugins.pong")
    async with bot:
        get = await ask(Health(bot.chatbot, {}))
    status, text = await get("/readyz")
    assert (status, '"stopping": true' in text) == (503, True)


async def test_turns_and_replies_are_counted(ask):
    async with Bot("zoozl.plugins.pong") as bot:
        get = await ask(Health(bot.chatbot, {}))
        for _ in range(3):
            await bot.say("ping")
        _, text = await get("/metrics")
    assert 'zoozl_replies_total{channel="test",outcome="sent"} 3.0' in text
    (line,) = [line for line in text.splitlines() if line.startswith("zoozl_turns_total{")]
    assert line.endswith(" 3.0")
    assert 'ending="done"' in line
    assert "zoozl_turn_seconds_bucket" in text


async def test_the_server_serves_it_beside_a_channel(serve):
    """On the same listener: the websocket answers every other path."""
    async with serve(health={"port": 0}) as running, aiohttp.ClientSession() as session:
        url = f"http://127.0.0.1:{running.port('websocket')}"
        async with session.get(f"{url}/readyz") as answer:
            assert answer.status == 200
            assert (await answer.json())["channels"] == {"websocket": "ok"}
        async with session.get(f"{url}/", headers={"Accept": "text/html"}) as answer:
            assert "<html" in await answer.text()
