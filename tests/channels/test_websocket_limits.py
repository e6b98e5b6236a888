"""What one client can do to a server: how much, how often, how long, and from where."""

import asyncio
import contextlib
import json
import struct

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def url(server):
    return f"ws://127.0.0.1:{server.port('websocket')}/"


def frame(opcode, payload, *, size=None, fin=0x80):
    """A masked frame (with a mask that changes nothing); with `size`, the beginning of a longer one."""
    size = len(payload) if size is None else size
    if size < 126:
        head = bytes([fin | opcode, 0x80 | size])
    elif size < 65536:
        head = struct.pack("!BBH", fin | opcode, 0x80 | 126, size)
    else:
        head = struct.pack("!BBQ", fin | opcode, 0x80 | 127, size)
    return head + bytes(4) + payload


async def raw(server):
    """A connection that has shaken hands, as bytes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port("websocket"))
    writer.write(HANDSHAKE)
    await reader.readuntil(b"\r\n\r\n")
    return reader, writer


async def gone(writer):
    writer.transport.abort()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


async def packet(reader):
    """The next text frame."""
    while True:
        first, size = await asyncio.wait_for(reader.readexactly(2), 10)
        if size == 126:
            (size,) = struct.unpack("!H", await reader.readexactly(2))
        elif size == 127:
            (size,) = struct.unpack("!Q", await reader.readexactly(8))
        payload = await reader.readexactly(size)
        if first & 15 == 1:
            return json.loads(payload)


async def said(socket):
    return json.loads(await asyncio.wait_for(socket.recv(), 10))


async def ask(socket, text):
    await socket.send(json.dumps({"text": text}))
    return (await said(socket))["text"]


async def test_who_says_too_much_is_told_when_to_go_on(serve):
    async with serve(websocket={"rate": 3, "rate_period": 1.0}) as server, connect(url(server)) as socket:
        await said(socket)
        for number in range(5):
            await socket.send(json.dumps({"text": str(number)}))
        packets = [await said(socket) for _ in range(5)]
        refused = [p for p in packets if "error" in p]
        assert [p["text"] for p in packets if "text" in p] == ["echo 0", "echo 1", "echo 2"]
        assert len(refused) == 2
        assert 0 < refused[0]["retry_after"] <= 0.4
        await asyncio.sleep(refused[0]["retry_after"])
        assert await ask(socket, "again") == "echo again"


async def test_who_comes_back_has_used_up_what_was_used(serve):
    async with serve(websocket={"rate": 1, "rate_period": 60.0}) as server:
        token = None
        for n in range(2):
            async with connect(url(server)) as socket:
                await socket.send(json.dumps({"hello": {"resume": token, "last": 1 << 40}}))
                token = (await said(socket))["welcome"]["resume"]
                await socket.send(json.dumps({"text": "17", "id": str(n)}))
                packets = [await said(socket)]
                while "ack" not in packets[-1] and "error" not in packets[-1]:
                    packets.append(await said(socket))
                assert ("error" in packets[-1]) == (n == 1)
        assert packets[-1]["id"] == "1"


async def test_one_connection_too_many_is_refused_and_the_next_is_not(serve):
    async with serve(websocket={"max_connections": 2}) as server, connect(url(server)):
        async with connect(url(server)):
            with pytest.raises(InvalidStatus) as refused:
                await connect(url(server))
            assert refused.value.response.status_code == 503
            assert refused.value.response.headers["Retry-After"]
        while len(server.channels["websocket"].talkers.all) > 1:
            await asyncio.sleep(0.01)
        async with connect(url(server)) as socket:
            await said(socket)


async def test_who_has_nothing_to_say_for_long_is_let_go_and_who_speaks_is_not(serve):
    async with serve(websocket={"idle_timeout": 1.0}) as server, connect(url(server)) as silent:
        async with connect(url(server)) as talker:
            with pytest.raises(ConnectionClosed) as closed:
                await said(silent)
                for _ in range(20):
                    await asyncio.sleep(0.2)
                    await talker.send('{"text": "17"}')
                    await silent.ping()
            assert closed.value.rcvd.code == 4408
            assert await said(talker)


@pytest.mark.parametrize(
    ("origin", "origins", "fine"),
    [
        (None, [], True),
        ("http://{host}", [], True),
        ("https://{host}", [], True),
        ("https://evil.example", [], False),
        ("http://{host}.evil.example", [], False),
        ("http://127.0.0.1:1", [], False),
        ("null", [], False),
        ("https://a.example", ["https://a.example"], True),
        ("HTTPS://A.example:443", ["https://a.example"], True),
        ("http://a.example", ["https://a.example"], False),
        ("https://a.example", ["https://b.example", "https://a.example:8443"], False),
        ("https://evil.example", ["*"], True),
    ],
)
async def test_pages_connect_from_the_host_itself_and_from_where_they_may(serve, origin, origins, fine):
    async with serve(websocket={"origins": origins}) as server:
        host = f"127.0.0.1:{server.port('websocket')}"
        headers = {"Origin": origin.format(host=host)} if origin else {}
        if fine:
            async with connect(f"ws://{host}/", additional_headers=headers) as socket:
                await said(socket)
        else:
            with pytest.raises(InvalidStatus) as refused:
                await connect(f"ws://{host}/", additional_headers=headers)
            assert refused.value.response.status_code == 403


async def test_half_messages_of_many_are_bounded_together_and_the_oldest_go_first(serve):
    async with serve(websocket={"max_partial_bytes": 1 << 20}) as server:
        half = frame(1, b'{"text": "' + b"x" * 400_000, size=500_000)
        connections = []
        for _ in range(5):
            connections.append(await raw(server))
            connections[-1][1].write(half)
            await connections[-1][1].drain()
        for reader, _ in connections[:3]:
            with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
                while True:
                    await packet(reader)
        reader, writer = connections[-1]
        writer.write(b"x" * (500_000 - 400_010 - 2) + b'"}')
        while "text" not in (answer := await packet(reader)) or answer["text"] == "welcome":
            pass
        assert len(answer["text"]) == 500_000 - 12 + 5
        for _, writer in connections:
            await gone(writer)


async def test_fragments_of_nothing_are_not_taken_for_ever(serve):
    async with serve() as server:
        reader, writer = await raw(server)
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            writer.write(frame(1, b"", fin=0) + frame(0, b"", fin=0) * 1000)
            while True:
                await packet(reader)
        await gone(writer)


async def test_many_frames_at_once_are_all_taken_in_order(serve):
    """More than the parser's queue is given at a time, cut at every place a network might cut."""
    async with serve(lane_depth=1000) as server:
        reader, writer = await raw(server)
        assert (await packet(reader))["text"] == "welcome"
        wanted = [f"echo {'y' * (n % 200)}{n}" for n in range(120)]
        stream = b"".join(
            frame(9, b"ping" * (n % 3 == 0))
            + frame(1, json.dumps({"text": text[5:]}).encode()[:5], fin=0)
            + frame(9, b"between")
            + frame(0, json.dumps({"text": text[5:]}).encode()[5:])
            if n % 50 == 0
            else frame(1, json.dumps({"text": text[5:]}).encode())
            for n, text in enumerate(wanted)
        )
        for at in range(0, len(stream), 37):
            writer.write(stream[at : at + 37])
            if at % 5 == 0:
                await writer.drain()
                await asyncio.sleep(0)
        assert [(await packet(reader))["text"] for _ in wanted] == wanted
        await gone(writer)


async def test_who_talks_before_the_handshake_is_answered_is_refused(serve):
    async with serve() as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port("websocket"))
        writer.write(HANDSHAKE + frame(1, b'{"text": "17"}'))
        assert b" 400 " in await reader.readline()
        await gone(writer)


async def test_a_flood_of_pings_is_slowed_down_and_others_are_answered(serve):
    async with serve() as server:
        reader, writer = await raw(server)
        writer.write(frame(9, b"") * 20_000)
        async with connect(url(server)) as socket:
            await said(socket)
            assert await ask(socket, "17") == "echo 17"
        data = await asyncio.wait_for(reader.read(1 << 20), 10)
        assert data.count(b"\x8a\x00") < 100
        await gone(writer)


async def test_who_reads_nothing_is_cut_off_and_gets_the_rest_when_it_comes_back(serve, tmp_path):
    async with serve(
        store=f"sqlite:///{tmp_path}/zoozl.db", websocket={"max_backlog_bytes": 16 << 10}, extensions=["fake_chatter"]
    ) as server:
        reader, writer = await raw(server)
        writer.write(frame(1, b'{"hello": {}}'))
        token = (await packet(reader))["welcome"]["resume"]
        writer.transport.pause_reading()
        writer.write(frame(1, b'{"text": "chatter", "id": "a"}'))
        (connection,) = server.channels["websocket"].talkers.all
        most = 0
        while server.channels["websocket"].talkers.all:
            most = max(most, connection._transport.get_write_buffer_size())
            await asyncio.sleep(0.01)
        assert most < 100 << 10
        await server.bot.idle()
        await gone(writer)
        async with connect(url(server), max_size=None) as socket:
            await socket.send(json.dumps({"hello": {"resume": token, "last": 0}}))
            await said(socket)
            for number in range(1000):
                assert (await said(socket))["text"].startswith(f"{number} ")


async def test_a_reader_that_is_slow_but_reads_gets_everything(serve):
    async with serve(websocket={"max_backlog_bytes": 16 << 10}) as server:
        reader, writer = await raw(server)
        assert (await packet(reader))["text"] == "welcome"
        for _ in range(8):
            writer.write(frame(1, b'{"text": "large"}'))
        for _ in range(8):
            await asyncio.sleep(0.1)
            assert len((await packet(reader))["text"]) == 1_000_005
        await gone(writer)
