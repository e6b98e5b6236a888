"""The websocket passes the conformance suite, with clients that say hello and with plain ones."""

import asyncio
import base64
import itertools
import json
import time
from contextlib import asynccontextmanager, suppress
from datetime import date

import jwt
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from zoozl.testing.conformance import (
    BOSS,
    Blank,
    Capability,
    Conformance,
    Driver,
    File,
    Heard,
    Limit,
    Outcome,
    Sheet,
)

KEY = "a secret of thirty-two bytes, at the least"
ALONE = "A connection is one person's conversation with the bot."
ONE = "An answer may be of any length; clients show it as one."
OWN_LINE = "Answers go to the talker's own connection; nobody between could refuse them."


def token(key=KEY, **claims):
    return jwt.encode({"sub": BOSS, "roles": ["boss"], "exp": time.time() + 60, **claims}, key, "HS256")


class Client:
    """One talker's client: it says hello, acknowledges, and sends again what was not acknowledged."""

    def __init__(self, driver, talker, hello):
        self.driver, self.talker, self.hello = driver, talker, hello
        self.resume, self.last = None, 0
        self.answers, self.unsent = {}, []
        self.socket = self.reading = None

    @property
    def open(self):
        return self.socket is not None and self.reading is not None and not self.reading.done()

    async def come(self):
        """Connect, the second time as who was here before."""
        auth = {"auth": {"token": token()}} if self.talker == BOSS else {}
        self.socket = await connect(self.driver.url, max_size=None)
        if self.hello:
            await self.send({"hello": {"resume": self.resume, "last": self.last, **auth}})
            self.resume = json.loads(await self.socket.recv())["welcome"]["resume"]
        elif auth:
            await self.send(auth)
        self.reading = asyncio.create_task(self.read())
        unsent, self.unsent = self.unsent, []
        for packet in unsent:
            await self.say(packet)

    async def send(self, packet):
        await self.socket.send(json.dumps(packet))

    async def read(self):
        with suppress(ConnectionClosed):
            async for text in self.socket:
                await self.take(json.loads(text))
        for answer in self.answers.values():
            if not answer.done():
                answer.set_result(Outcome.REFUSED)

    async def take(self, packet):
        if "ack" in packet or "error" in packet:
            outcome = Outcome.TAKEN if "ack" in packet else Outcome.AGAIN
            answer = self.answers.get(packet["ack"] if "ack" in packet else packet.get("id", ""))
            if answer is not None and not answer.done():
                answer.set_result(outcome)
        elif "typing" in packet:
            self.driver.works += packet["typing"]
        elif "stream" in packet and self.driver.breaks:
            self.driver.breaks = False
            await self.cut_off()
        elif isinstance(packet.get("stream"), dict):
            self.driver.grow(self.talker, packet["stream"])
        elif "text" in packet:
            self.last = packet.get("seq", 0)
            if self.driver.loses:
                self.driver.loses = False
                await self.cut_off()
            elif self.hello:
                await self.send({"ack": self.last})
            self.driver.note(self.talker, packet)

    async def cut_off(self):
        self.socket.transport.abort()
        await self.socket.wait_closed()

    async def say(self, packet):
        """Send a message; how it was taken."""
        answer = self.answers.get(packet["id"])
        if answer is None or answer.done():
            answer = self.answers[packet["id"]] = asyncio.get_running_loop().create_future()
        try:
            await self.send(packet)
        except ConnectionClosed:
            return Outcome.REFUSED
        if not self.hello:
            # Nothing is acknowledged to a plain client; a pong shows that the frame before the ping was read.
            try:
                await (await self.socket.ping())
            except ConnectionClosed:
                return Outcome.REFUSED
            # An error came before the pong, and the reader has it after one round of the loop.
            await asyncio.sleep(0)
            return answer.result() if answer.done() else Outcome.TAKEN
        return await answer

    async def go(self):
        if self.reading is not None:
            self.reading.cancel()
            await asyncio.wait([self.reading])
        if self.socket is not None:
            await self.socket.close()


class WebsocketDriver(Driver):
    title = "Websocket"
    channel = "websocket"
    absent = {
        Capability.EDIT: "A frame that was sent cannot be changed.",
        Capability.ROOMS: ALONE,
        Capability.THREADS: ALONE,
        Capability.SPLIT: ONE,
        Capability.MIDDLE: ONE,
        Capability.COMMANDS: "Clients have none of their own; what begins with a slash is a message like any other.",
        Capability.PACE: OWN_LINE,
        Capability.RETRY: OWN_LINE,
        Capability.LOOPS: "Nobody but the talker is on a connection.",
    }
    notes = {
        Capability.REFUSE: "By an error frame with the message's id; the client sends it again.",
        Capability.ONCE: "The client says which answer it had last.",
        Capability.GAP: "The client sends again what was not acknowledged, and gets the answers it missed.",
        Capability.FORMS: "A form that is sent with something wrong in it is asked again, filled in.",
    }
    file_limit = Limit(4 << 20, "bytes of a frame, its files in base64", "max_frame_bytes")
    secrets = (KEY,)
    hello = True

    def __init__(self):
        self.clients = {}
        self.heards = []
        self.works = 0
        self.loses = self.breaks = False
        self.growing = {}
        """Where in `heards` the answers stand that grow, by talker and id."""
        self.numbers = itertools.count(1)
        self.away = False

    @asynccontextmanager
    async def platform(self):
        yield

    def options(self):
        return {"port": 0, "auth_secret": KEY}

    @asynccontextmanager
    async def connected(self, server):
        self.url = f"ws://127.0.0.1:{server.port('websocket')}/"
        yield
        for client in self.clients.values():
            await client.go()

    def note(self, talker, packet):
        files = tuple(
            File(f["filename"], base64.b64decode(f["data"]), f["media_type"]) for f in packet.get("files", ())
        )
        choices = tuple(option["label"] for option in packet.get("choices", {}).get("options", ()))
        self.put(
            talker, packet.get("stream"), Heard(packet["text"], talker, files=files, choices=choices, handle=packet)
        )

    def grow(self, talker, stream):
        self.put(talker, stream["id"], Heard(stream["text"], talker))

    def put(self, talker, stream, heard):
        """What belongs to an answer that grows stands in its place."""
        at = self.growing.setdefault((talker, stream), len(self.heards)) if stream else len(self.heards)
        self.heards[at : at + 1] = [heard]

    async def client(self, talker):
        client = self.clients.get(talker)
        if client is None:
            client = self.clients[talker] = Client(self, talker, self.hello)
        if not client.open and not self.away:
            await client.come()
        return client

    async def deliver(self, said):
        files = [
            {"filename": f.name, "media_type": f.media_type, "data": base64.b64encode(f.data).decode()}
            for f in said.files
        ]
        packet = {"text": said.text, "id": f"m{said.number}", **({"files": files} if files else {})}
        client = await self.client(said.talker)
        if not client.open:
            client.unsent.append(packet)
            return Outcome.TAKEN
        return await client.say(packet)

    def heard(self):
        return list(self.heards)

    async def tap(self, heard, label, talker):
        choices = heard.handle["choices"]
        value = next(option["value"] for option in choices["options"] if option["label"] == label)
        tapped = {"text": label, "id": f"t{next(self.numbers)}"}
        choice = {"question": choices["question"], "value": value}
        assert await (await self.client(talker)).say({**tapped, "choice": choice}) is Outcome.TAKEN

    async def open_form(self, heard, talker):
        if heard.talker != talker or "form" not in heard.handle:
            return None
        form = heard.handle["form"]
        return Sheet(form["title"], tuple(map(self.blank, form["fields"])), form)

    def blank(self, field):
        options = {option["value"]: option["label"] for option in field.get("options", ())}
        filled = field.get("default", "")
        ticked = "yes" if filled is True else filled or ""
        return Blank(field["label"], tuple(options.values()), options.get(ticked, ticked))

    async def fill_in(self, sheet, talker, filled):
        form, values = sheet.handle, {}
        for field in form["fields"]:
            value = filled.get(field["label"])
            options = {option["label"]: option["value"] for option in field.get("options", ())}
            value = options.get(value, value) if isinstance(value, str) else value
            values[field["name"]] = value.isoformat() if isinstance(value, date) else value
        number = f"f{form['question']}{talker}{hash(str(values))}"
        packet = {"text": "", "id": number, "form": {"question": form["question"], "values": values}}
        assert await (await self.client(talker)).say(packet) is Outcome.TAKEN
        return {}

    def fail_growth(self):
        self.breaks = True
        return lambda: not self.breaks

    def lose_receipt(self, after=0):
        assert not after, "an answer is never split"
        self.loses = True

    def typed(self):
        return self.works

    async def cut(self):
        self.away = True
        for client in self.clients.values():
            client.socket.transport.abort()
            await asyncio.wait([client.reading])

    async def mend(self):
        self.away = False
        for talker in self.clients:
            await self.client(talker)

    async def oversize(self):
        outcomes = []
        for text in ("x" * (4 << 20), "\u20ac" * (2 << 20)):
            async with connect(self.url) as socket:
                with suppress(ConnectionClosed):
                    await socket.send(json.dumps({"text": text, "id": "large"}, ensure_ascii=False))
                    async for frame in socket:
                        assert "error" in json.loads(frame)
                assert socket.close_code == 1009
            outcomes.append(Outcome.REFUSED)
        return outcomes

    async def garbage(self):
        async with connect(self.url) as socket:
            frames = ["", "{", "[]", "5", "null", '{"text": 5}', '{"files": {}}', '{"text": "x", "files": [5]}']
            frames += ['{"ack": -1}', '{"hello": 5}', '{"operation": "x"}', "[" * 10_000, b"\xff"]
            for frame in frames:
                await socket.send(frame)
                assert "error" in json.loads(await socket.recv()), frame
        async with connect(self.url) as socket:
            # Text that is no UTF-8.
            await socket.send([b"\xff"], text=True)
            await socket.wait_closed()

    async def forge(self, said):
        outcomes = []
        unsigned = jwt.encode({"sub": BOSS, "roles": ["boss"], "exp": time.time() + 60}, None, "none")
        late = token(exp=time.time() - 61)
        endless = jwt.encode({"sub": BOSS, "roles": ["boss"]}, KEY, "HS256")
        for forged in (token("another secret of thirty-two bytes or so"), unsigned, late, endless, token() + "x", ""):
            for first in ({"hello": {"auth": {"token": forged}}}, {"auth": {"token": forged}}):
                async with connect(self.url) as socket:
                    await socket.send(json.dumps(first))
                    with suppress(ConnectionClosed):
                        await socket.send(json.dumps({"text": said.text, "id": "1"}))
                        async for frame in socket:
                            raise AssertionError(f"the answer to a forged token is {frame}")
                    assert socket.close_code == 4401
                outcomes.append(Outcome.REFUSED)
        with pytest.raises(InvalidStatus) as refused:
            await connect(self.url, additional_headers={"Origin": "https://evil.example"})
        assert refused.value.response.status_code == 403
        return outcomes


class PlainDriver(WebsocketDriver):
    title = "Websocket, plain client"
    absent = {
        **WebsocketDriver.absent,
        Capability.DURABLE: "Nothing is acknowledged to who has not said hello.",
        Capability.ONCE: "Who has not said hello cannot come back to its conversation.",
        Capability.DUPLICATE: "A client that has not said hello gives no ids, and sends nothing again.",
        Capability.RESTART: "Who has not said hello cannot come back to its conversation.",
        Capability.STREAM: "Who has not said hello gets text only.",
        Capability.BUTTONS: "Who has not said hello gets text only.",
        Capability.FORMS: "Who has not said hello gets text only; the fields are asked for one by one.",
        Capability.TYPING: "Who has not said hello gets text only.",
        Capability.RECONNECT: "Who has not said hello cannot come back to its conversation.",
        Capability.GAP: "Who has not said hello cannot come back to its conversation.",
    }
    notes = {Capability.REFUSE: "By an error frame."}
    hello = False

    tap = Driver.tap
    open_form = Driver.open_form
    fill_in = Driver.fill_in
    fail_growth = Driver.fail_growth
    typed = Driver.typed
    lose_receipt = Driver.lose_receipt
    cut = Driver.cut


class TestHello(Conformance):
    driver_class = WebsocketDriver


class TestPlain(Conformance):
    driver_class = PlainDriver
