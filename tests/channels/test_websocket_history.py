"""list_messages: a talker's own conversation, a page at a time."""

import asyncio
import base64
import json

import pytest
from websockets.asyncio.client import connect


def url(server):
    return f"ws://127.0.0.1:{server.port('websocket')}/"


async def said(socket):
    return json.loads(await asyncio.wait_for(socket.recv(), 10))


async def ask(socket, text, **more):
    await socket.send(json.dumps({"text": text, **more}))
    return (await said(socket))["text"]


async def listed(socket, **more):
    await socket.send(json.dumps({"operation": "list_messages", **more}))
    while "data" not in (packet := await said(socket)):
        pass
    return packet


@pytest.fixture(params=["memory", "sqlite"])
async def server(serve, request, tmp_path):
    store = "memory" if request.param == "memory" else f"sqlite:///{tmp_path}/zoozl.db"
    async with serve(author="Oscar", store=store) as up:
        yield up


async def test_a_talker_sees_his_own_and_nobody_elses(server):
    async with connect(url(server)) as one, connect(url(server)) as other:
        for socket, text in ((one, "17"), (other, "18")):
            await said(socket)
            await ask(socket, text)
        packet = await listed(one)
        assert packet["total_count"] == 3
        assert [m["text"] for m in packet["data"]] == ["echo 17", "17", "welcome"]
        assert [m["from_bot"] for m in packet["data"]] == [True, False, True]
        assert packet["data"][0]["author"] == "Oscar"


async def test_plain_clients_get_the_latest_first_with_the_names_they_know(server):
    async with connect(url(server)) as socket:
        await said(socket)
        await ask(socket, "17")
        packet = await listed(socket)
        assert (packet["operation"], packet["page"], packet["page_size"]) == ("list_messages", 1, 10)
        record = packet["data"][1]
        assert (record["message"], record["response"], record["status"]) == ("17", "n/a", "completed")
        assert record["date"].startswith("20")
        assert "html" not in record


async def test_pages_follow_each_other_and_end(server):
    async with connect(url(server)) as socket:
        await said(socket)
        for number in range(6):
            await ask(socket, str(number))
        pages = [(await listed(socket, page=page, page_size=5))["data"] for page in (1, 2, 3, 4)]
        texts = [record["text"] for page in pages for record in page]
        wanted = ["welcome", *(text for n in range(6) for text in (str(n), f"echo {n}"))]
        assert texts == wanted[::-1]
        assert [len(page) for page in pages] == [5, 5, 3, 0]


async def test_clients_that_said_hello_get_html_the_oldest_first_and_their_id(server):
    async with connect(url(server)) as socket:
        await socket.send('{"hello": {}}')
        await said(socket)
        await socket.send('{"text": "**17**", "id": "a"}')
        packets = [packet for packet in [await said(socket) for _ in range(3)] if "ack" not in packet]
        assert packets[1]["html"] == "<p>echo <strong>17</strong></p>\n"
        assert packets[1]["sent"] > 1e9
        packet = await listed(socket, id="x", page_size=2)
        assert packet["id"] == "x"
        assert [m["text"] for m in packet["data"]] == ["**17**", "echo **17**"]
        assert [m.get("id") for m in packet["data"]] == ["a", None]
        assert packet["data"][0]["html"] == "<p><strong>17</strong></p>\n"


async def test_files_are_listed_by_size_and_given_when_asked_for(server):
    data = base64.b64encode(b"xyz").decode()
    async with connect(url(server)) as socket:
        await said(socket)
        await ask(socket, "see", files=[{"filename": "a.txt", "media_type": "text/plain", "data": data}])
        for more in ({}, {"data": data}):
            packet = await listed(socket, with_files=bool(more))
            file = {"filename": "a.txt", "media_type": "text/plain", "size": 3, **more}
            assert packet["data"][1]["files"] == [file]


@pytest.mark.parametrize(
    "more",
    [
        {"page_size": 101},
        {"page_size": 0},
        {"page_size": "x"},
        {"page": -1},
        {"page": 10**12},
        {"page": True},
        {"operation": "other"},
        {"id": 7},
    ],
)
async def test_what_cannot_be_listed_is_an_error(server, more):
    async with connect(url(server)) as socket:
        await said(socket)
        await socket.send(json.dumps({"operation": "list_messages", **more}))
        assert list(await said(socket)) == ["error"]
        assert await ask(socket, "17") == "echo 17"
