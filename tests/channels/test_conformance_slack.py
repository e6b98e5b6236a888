"""Slack passes the conformance suite, by HTTP and by Socket Mode."""

import asyncio
import json
import sys
import time
from collections import Counter
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from aiohttp import ClientSession

from zoozl.channels.slack.encode import LONGEST
from zoozl.testing.conformance import (
    ANNA,
    BERT,
    BOSS,
    ROOM,
    Capability,
    Conformance,
    Driver,
    File,
    Heard,
    Limit,
    Outcome,
)

sys.path.append(str(Path(__file__).parents[1] / "fakes"))

from fake_slack import APP_TOKEN, ME, MY_BOT, SECRET, TOKEN, Talker, fake_slack, settings, sign, tap

USERS = {ANNA: "U1", BERT: "U2", BOSS: "U3"}
DIRECT = {"D1": ANNA, "D2": BERT, "D3": BOSS}
KITCHEN = "C1"
TWICE = "Slack does not know a post again: one whose receipt was lost is posted a second time."
LARGEST_REQUEST, LARGEST_FRAME = 1 << 20, 4 << 20


def ts(number):
    return f"1700000000.{number:06}" if number else None


class SlackDriver(Driver):
    title = "Slack, HTTP"
    channel = "slack"
    absent = {
        Capability.ONCE: TWICE,
        Capability.RECONNECT: "Slack calls the bot for every event; there is no connection.",
        Capability.GAP: "Slack itself delivers again what was not acknowledged, three times within an hour.",
    }
    notes = {
        Capability.REFUSE: "By status 503; Slack delivers again up to three times.",
        Capability.TYPING: "In threads.",
    }
    text_limit = Limit(LONGEST, "characters")
    file_limit = Limit(20 << 20, "bytes of a file", "max_file_bytes")
    secrets = (TOKEN, SECRET)

    def __init__(self):
        self.tries = Counter()

    @asynccontextmanager
    async def platform(self):
        async with fake_slack() as self.slack, ClientSession() as self.http:
            yield

    def options(self):
        return settings(self.slack, roles={"boss": [USERS[BOSS]]})

    @asynccontextmanager
    async def connected(self, server):
        self.talker = Talker(self.http, f"http://127.0.0.1:{server.port('slack')}/slack")
        while server.channels["slack"].trouble:
            await asyncio.sleep(0.005)
        yield

    def envelopes(self, said):
        """The events about a message: a mention in a room is told of twice."""
        place = {"channel": KITCHEN, "kind": "channel"} if said.room else {"channel": f"D{USERS[said.talker][1]}"}
        text = f"<@{ME}> {said.text}" if said.room and said.mention else said.text
        more = {"user": USERS[said.talker], "ts": ts(said.number), "thread_ts": ts(said.thread)}
        if said.files:
            more |= {"subtype": "file_share", "files": [self.file(said, n) for n in range(len(said.files))]}
        if said.room and said.mention:
            mentioned = {"event_type": "app_mention", "event_id": f"EvA{said.number}"}
            yield self.talker.event(text, **mentioned, **place, **more)
        yield self.talker.event(text, event_id=f"Ev{said.number}", **place, **more)

    def file(self, said, number):
        file = said.files[number]
        path = f"/files/F{said.number}-{number}"
        self.slack.files[path] = (200, {"Content-Type": file.media_type}, file.data)
        about = {"id": f"F{said.number}-{number}", "name": file.name, "mimetype": file.media_type}
        return {**about, "size": len(file.data), "url_private": f"{self.slack.url}{path}"}

    async def deliver(self, said):
        again = self.tries[said.number]
        self.tries[said.number] += 1
        outcomes = [await self.send(envelope, again) for envelope in self.envelopes(said)]
        return next((one for one in outcomes if one is not Outcome.TAKEN), Outcome.TAKEN)

    async def send(self, envelope, again):
        headers = {"X-Slack-Retry-Num": str(again), "X-Slack-Retry-Reason": "http_timeout"} if again else {}
        return self.outcome(await self.talker.send(envelope, headers))

    def outcome(self, status):
        return {200: Outcome.TAKEN, 503: Outcome.AGAIN}.get(status, Outcome.REFUSED)

    def heard(self):
        found = []
        for method, body in self.slack.done:
            if method == "chat.postMessage":
                found.append(self.message(body))
            elif method == "files.completeUploadExternal":
                sent = json.loads(body["files"]) if isinstance(body["files"], str) else body["files"]
                files = tuple(File(file["title"], self.slack.uploads[file["id"]]) for file in sent)
                found.append(Heard("", *self.place(body["channel_id"], body.get("thread_ts")), files))
        return found

    def place(self, channel, thread):
        return DIRECT.get(channel, ""), ROOM if channel == KITCHEN else "", int(thread.split(".")[1]) if thread else 0

    def message(self, body):
        elements = [one for block in body.get("blocks", ()) for one in block.get("elements", ())]
        choices = tuple(one["text"]["text"] for one in elements if one["type"] == "button")
        place = self.place(body["channel"], body.get("thread_ts"))
        return Heard(body["text"], *place, choices=choices, handle=body)

    async def edit(self, said, text):
        (envelope,) = self.envelopes(said)
        old = envelope["event"]
        new = {**old, "text": text, "edited": {"user": old["user"], "ts": "1700000050.000001"}}
        changed = {"subtype": "message_changed", "message": new, "previous_message": old, "user": None, "text": None}
        for more in (changed, {"edited": new["edited"], "ts": old["ts"]}):
            assert await self.send(self.talker.event(**{"text": text, "channel": old["channel"], **more}), 0) is (
                Outcome.TAKEN
            )

    def slow_down(self, seconds):
        self.slack.refuse("chat.postMessage", "ratelimited", 429, {"Retry-After": str(seconds)})

    def fail_once(self):
        self.slack.refuse("chat.postMessage", "internal_error", 503)

    async def tap(self, heard, label, talker):
        await self.interact(tap(heard.handle, label, USERS[talker]))

    async def interact(self, payload):
        status, _ = await self.talker.interact(payload)
        assert status == 200

    def typed(self):
        return len([body for body in self.slack.said("assistant.threads.setStatus") if body["status"]])

    async def oversize(self):
        body = json.dumps(self.talker.event("x" * LARGEST_REQUEST)).encode()
        return [self.outcome((await self.talker.post(body))[0])]

    async def garbage(self):
        event = self.talker.event
        bodies = [b"", b"{", b"[]", b"\xff", b"null", b'"text"', b"[" * 10_000]
        broken = [{}, event(channel=["D1"]), event(ts="yesterday"), event(files=5), event(text=["x"]), event(user={})]
        for body in [*bodies, *(json.dumps(one).encode() for one in broken)]:
            status, _ = await self.talker.post(body)
            assert status < 500, body
        for form in ({"payload": "{"}, {"payload": "[]"}, {"command": "/x"}):
            assert (await self.talker.form(form))[0] < 500, form

    async def forge(self, said):
        now = int(time.time())
        (envelope,) = self.envelopes(said)
        body = json.dumps(envelope).encode()
        good = sign(body, now)
        forgeries = [
            sign(body, now, "f" * 32),
            sign(body + b" ", now),
            sign(body, now - 301),
            # More than a second too early: the clock goes on meanwhile.
            sign(body, now + 303),
            {**good, "X-Slack-Request-Timestamp": str(now - 1)},
            {**good, "X-Slack-Signature": good["X-Slack-Signature"][:-1]},
            {"X-Slack-Request-Timestamp": str(now), "X-Slack-Signature": ""},
            {"X-Slack-Signature": good["X-Slack-Signature"]},
            {},
        ]
        statuses = []
        for headers in forgeries:
            headers = {"Content-Type": "application/json", **headers}
            async with self.http.post(self.talker.url, data=body, headers=headers) as response:
                statuses.append(response.status)
        assert set(statuses) == {403}
        return [self.outcome(status) for status in statuses]

    async def machines(self):
        event = self.talker.event
        for envelope in (
            event("own", user=ME),
            event("own", user=ME, bot_id=MY_BOT),
            event("another bot", user="U9", bot_id="B9"),
            event("an app", user=None, subtype="bot_message", bot_id="B9"),
            event("anna has joined", subtype="channel_join"),
            event("a new topic", channel=KITCHEN, kind="channel", subtype="channel_topic"),
            event(f"<@{ME}> from a bot", channel=KITCHEN, event_type="app_mention", user="U9", bot_id="B9"),
            {**event("an event of tomorrow"), "event": {"type": "of_tomorrow"}},
        ):
            assert await self.send(envelope, 0) is Outcome.TAKEN
        return 0


class SocketDriver(SlackDriver):
    title = "Slack, Socket Mode"
    absent = {
        Capability.ONCE: TWICE,
        Capability.FORGED: "The bot opens the socket itself, with its own token; nobody else is on it.",
    }
    notes = {
        Capability.REFUSE: "It is not acknowledged, and Slack delivers it again.",
        Capability.TYPING: "In threads.",
        Capability.GAP: "Slack delivers again what was not acknowledged.",
    }
    secrets = (TOKEN, APP_TOKEN)

    def options(self):
        table = {"app_token": APP_TOKEN, "bot_token": TOKEN, "base_url": self.slack.base_url, "room_rate": 0}
        return {**table, "roles": {"boss": [USERS[BOSS]]}}

    @asynccontextmanager
    async def connected(self, server):
        self.talker = Talker(None, None)
        self.sent, self.waiting = 0, []
        await self.slack.until(lambda: self.live())
        yield

    def live(self):
        return [socket for socket in self.slack.sockets if not socket.closed and socket._req.transport is not None]

    async def send(self, envelope, again, kind="events_api"):
        if not self.live():
            self.waiting.append(envelope)
            return Outcome.TAKEN
        number, retry = self.number(), {"retry_attempt": again, "retry_reason": "timeout"} if again else {}
        socket = self.live()[-1]
        await socket.send_json({"envelope_id": number, "type": kind, "payload": envelope, **retry})
        return await self.acknowledged(number)

    def number(self):
        self.sent += 1
        return f"e{self.sent}"

    async def acknowledged(self, number):
        try:
            # What is not taken is not answered at all.
            await self.slack.until(lambda: any(one["envelope_id"] == number for one in self.slack.acknowledged), 0.5)
        except TimeoutError:
            return Outcome.AGAIN
        return Outcome.TAKEN

    async def interact(self, payload):
        assert await self.send(payload, 0, "interactive") is Outcome.TAKEN

    async def cut(self):
        cut = self.live()
        for socket in cut:
            socket._req.transport.abort()
        # There may be a new one at once.
        while set(cut) & set(self.live()):
            await asyncio.sleep(0.005)

    async def mend(self):
        await self.slack.until(self.live)
        waiting, self.waiting = self.waiting, []
        for envelope in waiting:
            assert await self.send(envelope, 1) is Outcome.TAKEN

    async def oversize(self):
        before = len(self.slack.sockets)
        large = {"envelope_id": "large", "type": "events_api", "payload": "x" * LARGEST_FRAME}
        with suppress(ConnectionError):
            await self.live()[-1].send_json(large)
        await self.slack.until(lambda: len(self.slack.sockets) > before)
        return [Outcome.REFUSED]

    async def garbage(self):
        socket = self.live()[-1]
        for text in ("", "{", "[]", "1", "null", '{"type": 5}', '{"type": "events_api"}', '{"envelope_id": "x"}'):
            await socket.send_str(text)
        await socket.send_bytes(b"\xff")
        event = self.talker.event
        for payload in (None, [], "x", {}, event(channel=["D1"]), event(ts="yesterday"), event(files=5)):
            assert await self.send(payload, 0) is Outcome.TAKEN
        for kind in ("slash_commands", "interactive", "of_tomorrow"):
            assert await self.send({}, 0, kind) is Outcome.TAKEN

    forge = Driver.forge


class TestHttp(Conformance):
    driver_class = SlackDriver


class TestSocketMode(Conformance):
    driver_class = SocketDriver
