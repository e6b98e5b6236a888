"""The websocket for clients that say hello: nothing lost, nothing doubled, whoever goes away."""

import asyncio
import json

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed


class Client:
    """Says hello, acknowledges, remembers; as the page does."""

    def __init__(self, port):
        self.url = f"ws://127.0.0.1:{port}/"
        self.token = None
        self.last = 0
        self.acked = []
        self.texts = []

    async def __aenter__(self):
        self.socket = await connect(self.url)
        await self.socket.send(json.dumps({"hello": {"resume": self.token, "last": self.last}}))
        self.token = (await self.frame())["welcome"]["resume"]
        return self

    async def __aexit__(self, *exc):
        await self.socket.close()

    async def frame(self):
        return json.loads(await asyncio.wait_for(self.socket.recv(), 10))

    async def say(self, text, number):
        await self.socket.send(json.dumps({"text": text, "id": number}))

    async def until(self, *, texts=0, acks=0, ack=True):
        """Read until so many replies and acknowledgements have come, ever."""
        while len(self.texts) < texts or len(self.acked) < acks:
            packet = await self.frame()
            if "ack" in packet:
                self.acked.append(packet["ack"])
            elif "typing" not in packet:
                assert packet["seq"] > self.last
                self.last = packet["seq"]
                self.texts.append(packet["text"])
                if ack:
                    await self.socket.send(json.dumps({"ack": self.last}))


@pytest.fixture
def conf(tmp_path):
    return {"store": f"sqlite:///{tmp_path}/zoozl.db"}


async def test_hello_is_answered_greeted_and_acknowledged(serve, conf):
    async with serve(**conf) as server, Client(server.port("websocket")) as client:
        await client.until(texts=1)
        assert client.texts == ["welcome"]
        await client.say("17", "a")
        await client.until(texts=2, acks=1)
        assert (client.texts[1], client.acked) == ("echo 17", ["a"])


async def test_a_message_that_is_sent_again_is_acknowledged_and_answered_once(serve, conf):
    async with serve(**conf) as server, Client(server.port("websocket")) as client:
        for _ in range(3):
            await client.say("17", "a")
        await client.say("18", "b")
        await client.until(texts=3, acks=4)
        assert client.texts == ["welcome", "echo 17", "echo 18"]
        assert sorted(client.acked) == ["a", "a", "a", "b"]


@pytest.mark.parametrize("store", ["memory", "sqlite"])
async def test_who_was_away_gets_what_waited_once_and_no_greeting(serve, conf, store):
    conf = conf if store == "sqlite" else {"store": "memory"}
    async with serve(**conf) as server:
        client = Client(server.port("websocket"))
        async with client:
            await client.until(texts=1)
            await client.say("wait", "a")
            await client.until(texts=2, acks=1)
        await server.bot.idle()
        async with client:
            await client.until(texts=3)
            assert client.texts == ["welcome", "waiting", "echo wait"]
            await client.say("18", "b")
            await client.until(texts=4)
            assert client.texts[3] == "echo 18"
        assert await server.bot.root.store.undelivered() == []


async def test_across_a_restart_nothing_is_lost_and_nothing_doubled(serve, conf):
    async with serve(**conf) as server:
        client = Client(server.port("websocket"))
        async with client:
            await client.until(texts=1)
            await client.say("17", "a")
            await client.until(texts=2, acks=1, ack=False)
            await client.say("wait", "b")
            await client.until(acks=2, ack=False)
    async with serve(**conf) as server:
        client.url = f"ws://127.0.0.1:{server.port('websocket')}/"
        async with client:
            await client.say("wait", "b")
            await client.say("18", "c")
            await client.until(texts=5, acks=4)
    assert client.texts == ["welcome", "echo 17", "waiting", "echo wait", "echo 18"]
    async with serve(**conf) as server:
        assert await server.bot.root.store.undelivered() == []


async def test_a_reply_that_is_not_acknowledged_comes_again(serve, conf):
    async with serve(**conf) as server:
        client = Client(server.port("websocket"))
        async with client:
            await client.say("17", "a")
            await client.until(texts=2, ack=False)
        client.last, client.texts = 0, []
        async with client:
            await client.until(texts=2)
        assert client.texts == ["welcome", "echo 17"]
        await asyncio.sleep(0)
        client.last, client.texts = 0, []
        async with client:
            await client.say("18", "b")
            await client.until(texts=1)
        assert client.texts == ["echo 18"], "acknowledged replies do not come again"


async def test_the_latest_connection_of_a_talker_counts(serve, conf):
    async with serve(**conf) as server:
        one = Client(server.port("websocket"))
        async with one:
            await one.until(texts=1)
            other = Client(server.port("websocket"))
            other.token, other.last = one.token, one.last
            async with other:
                with pytest.raises(ConnectionClosed) as closed:
                    await one.frame()
                assert closed.value.rcvd.code == 4001
                await other.say("17", "a")
                await other.until(texts=1)
                assert other.texts == ["echo 17"]


@pytest.mark.parametrize("token", ["", "short", "x" * 44, "../" * 20, "a" * 42 + "!"])
async def test_a_token_that_was_never_given_begins_anew(serve, conf, token):
    async with serve(**conf) as server:
        client = Client(server.port("websocket"))
        client.token = token
        async with client:
            await client.until(texts=1)
            assert client.texts == ["welcome"]
            assert client.token != token


async def test_hello_must_be_first_and_acks_need_it(serve, conf):
    async with serve(**conf) as server, connect(f"ws://127.0.0.1:{server.port('websocket')}/") as socket:
        await socket.send('{"ack": 1}')
        assert "said hello" in json.loads(await socket.recv())["error"]
        await socket.send('{"hello": {}}')
        assert "first frame" in json.loads(await socket.recv())["error"]


async def test_ids_of_two_talkers_do_not_meet(serve, conf):
    async with serve(**conf) as server:
        async with Client(server.port("websocket")) as one, Client(server.port("websocket")) as other:
            for client in (one, other):
                await client.say("17", "same")
                await client.until(texts=2, acks=1)
                assert client.texts == ["welcome", "echo 17"]


async def test_a_plain_clients_id_is_no_key(serve, conf):
    async with serve(**conf) as server, connect(f"ws://127.0.0.1:{server.port('websocket')}/") as socket:
        for _ in range(2):
            await socket.send('{"text": "17", "id": "a"}')
        frames = [json.loads(await asyncio.wait_for(socket.recv(), 10)) for _ in range(3)]
        assert [frame["text"] for frame in frames] == ["welcome", "echo 17", "echo 17"]
        assert all("seq" not in frame and "ack" not in frame for frame in frames)
