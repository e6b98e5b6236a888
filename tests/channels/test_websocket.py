"""The websocket's plain protocol, with a client that is not ours, over real sockets."""

import asyncio
import json

import aiohttp
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed


@pytest.fixture
async def url(serve):
    async with serve(author="Oscar", websocket={"max_frame_bytes": 3 << 20}) as server:
        yield f"ws://127.0.0.1:{server.port('websocket')}/"


async def said(socket):
    return json.loads(await asyncio.wait_for(socket.recv(), 10))


async def greeted(socket):
    assert await said(socket) == {"author": "Oscar", "text": "welcome"}


async def ask(socket, text):
    await socket.send(json.dumps({"text": text}))
    return await said(socket)


async def test_a_client_that_says_nothing_is_greeted(url):
    async with connect(url) as socket:
        await greeted(socket)


async def test_a_client_that_speaks_at_once_is_greeted_first_and_once(url):
    async with connect(url) as socket:
        await socket.send('{"text": "17"}')
        await greeted(socket)
        assert await said(socket) == {"author": "Oscar", "text": "echo 17"}
        await asyncio.sleep(0.5)
        assert await ask(socket, "again") == {"author": "Oscar", "text": "echo again"}


async def test_answers_come_in_the_order_of_the_questions(url):
    async with connect(url) as socket:
        await greeted(socket)
        for number in range(50):
            await socket.send(json.dumps({"text": str(number)}))
        assert [(await said(socket))["text"] for _ in range(50)] == [f"echo {n}" for n in range(50)]


async def test_a_short_message_does_not_overtake_a_long_one(url):
    texts = [
        f"{number} {'x' * size}" for number, size in enumerate([1, 200, 1, 70_000, 1, 1, 90, 95, 100, 105, 110, 1])
    ]
    async with connect(url) as socket:
        await greeted(socket)
        for text in texts:
            await socket.send(json.dumps({"text": text}))
        assert [(await said(socket))["text"] for _ in texts] == [f"echo {text}" for text in texts]
        for text in texts:
            assert (await ask(socket, text))["text"] == f"echo {text}"


async def test_every_connection_is_a_talker_of_its_own(url):
    async with connect(url) as one, connect(url) as other:
        await greeted(one)
        await greeted(other)
        await one.send('{"text": "wait"}')
        assert (await said(one))["text"] == "waiting"
        assert (await ask(other, "17"))["text"] == "echo 17"
        assert (await said(one))["text"] == "echo wait"


@pytest.mark.parametrize(
    "frame", ["hello", "[]", "{}", '{"text": 5}', b"\x00\x01", '{"text": "x", "files": 1}', '{"operation": "x"}']
)
async def test_a_bad_frame_gets_an_error_and_the_connection_stays(url, frame):
    async with connect(url) as socket:
        await greeted(socket)
        await socket.send(frame)
        packet = await said(socket)
        assert list(packet) == ["error"]
        assert (await ask(socket, "17"))["text"] == "echo 17"


async def test_a_frame_that_is_too_large_closes_with_1009(url):
    async with connect(url, max_size=None) as socket:
        await greeted(socket)
        with pytest.raises(ConnectionClosed) as closed:
            await socket.send(json.dumps({"text": "x" * (4 << 20)}))
            await asyncio.wait_for(socket.recv(), 10)
        assert closed.value.rcvd.code == 1009


async def test_text_that_is_not_utf_8_closes_with_1007(url):
    async with connect(url) as socket:
        await greeted(socket)
        await socket.send(b"\xff\xfe", text=True)
        with pytest.raises(ConnectionClosed) as closed:
            await asyncio.wait_for(socket.recv(), 10)
        assert closed.value.rcvd.code == 1007


async def test_a_long_text_is_answered(url):
    async with connect(url, max_size=None) as socket:
        await greeted(socket)
        assert (await ask(socket, "word " * 20_000))["text"].endswith("word ")
        assert len((await ask(socket, "large"))["text"]) == 1_000_005


async def test_a_message_in_fragments_is_one_message(url):
    async with connect(url) as socket:
        await greeted(socket)
        await socket.send(['{"te', 'xt": ', '"17"}'])
        assert (await said(socket))["text"] == "echo 17"


async def test_pings_are_answered_also_between_fragments(url):
    async with connect(url) as socket:
        await greeted(socket)
        await asyncio.wait_for(await socket.ping(), 10)

        async def fragments():
            yield '{"text": '
            await asyncio.wait_for(await socket.ping(), 10)
            yield '"17"}'

        await socket.send(fragments())
        assert (await said(socket))["text"] == "echo 17"


async def test_files_go_both_ways(url):
    async with connect(url) as socket:
        await greeted(socket)
        file = {"filename": "a.txt", "media_type": "text/plain", "data": "eA=="}
        await socket.send(json.dumps({"text": "see", "files": [file]}))
        assert await said(socket) == {"author": "Oscar", "text": "echo see", "files": [file]}


async def test_a_plugin_that_fails_says_sorry_and_nothing_else(url):
    async with connect(url) as socket:
        await greeted(socket)
        assert (await ask(socket, "fall over"))["text"].startswith("Sorry")
        assert (await ask(socket, "17"))["text"] == "echo 17"


async def test_too_many_waiting_messages_are_refused_not_lost_silently(serve):
    async with serve(lane_depth=3) as server, connect(f"ws://127.0.0.1:{server.port('websocket')}/") as socket:
        await said(socket)
        await socket.send('{"text": "wait"}')
        assert (await said(socket))["text"] == "waiting"
        for number in range(5):
            await socket.send(json.dumps({"text": str(number)}))
        packets = [await said(socket) for _ in range(6)]
        assert sum("error" in packet for packet in packets) == 2
        assert [p["text"] for p in packets if "text" in p] == ["echo wait", "echo 0", "echo 1", "echo 2"]


async def test_old_clients_may_connect_to_any_path(url):
    async with connect(url + "some/where") as socket:
        await greeted(socket)


async def test_a_plain_get_is_400_unless_it_asks_for_html(url):
    http = url.replace("ws:", "http:")
    async with aiohttp.ClientSession() as session:
        async with session.get(http) as answer:
            assert answer.status == 400
        async with session.get(http, headers={"Accept": "text/html"}) as answer:
            assert answer.status == 200
            assert "<title>zoozl</title>" in await answer.text()
            assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        async with session.get(http + "nothing", headers={"Accept": "text/html"}) as answer:
            assert answer.status == 404
        async with session.post(http) as answer:
            assert answer.status == 405
            assert "GET" in answer.headers["Allow"]


async def test_a_server_that_stops_says_goodbye(serve):
    async with serve() as server:
        socket = await connect(f"ws://127.0.0.1:{server.port('websocket')}/")
        await said(socket)
    with pytest.raises(ConnectionClosed) as closed:
        await asyncio.wait_for(socket.recv(), 10)
    assert closed.value.rcvd.code == 1001


async def test_a_turn_that_is_running_ends_before_the_server_stops(serve):
    async with serve() as server:
        socket = await connect(f"ws://127.0.0.1:{server.port('websocket')}/")
        await said(socket)
        await socket.send('{"text": "wait"}')
        assert (await said(socket))["text"] == "waiting"
    assert (await said(socket))["text"] == "echo wait"


async def test_five_hundred_talkers_at_once(serve):
    async with serve() as server:
        url = f"ws://127.0.0.1:{server.port('websocket')}/"
        sockets = await asyncio.gather(*(connect(url, open_timeout=30) for _ in range(500)))
        await asyncio.gather(*(said(socket) for socket in sockets))
        answers = await asyncio.gather(*(ask(socket, f"talker {n}") for n, socket in enumerate(sockets)))
        assert [packet["text"] for packet in answers] == [f"echo talker {n}" for n in range(500)]
        await asyncio.gather(*(socket.close() for socket in sockets))
