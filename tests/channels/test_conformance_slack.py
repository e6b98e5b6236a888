"""Slack passes the conformance suite, by HTTP and by Socket Mode."""

import asyncio
import json
import sys
import time
from collections import Counter
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import date
from pathlib import Path
from urllib.parse import urlencode

from aiohttp import ClientSession

from zoozl.channels.slack.encode import LONGEST
from zoozl.testing.conformance import (
    ANNA,
    BERT,
    BOSS,
    ROOM,
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

sys.path.append(str(Path(__file__).parents[1] / "fakes"))

from fake_slack import (
    APP_TOKEN,
    EDIT,
    ME,
    MY_BOT,
    SECRET,
    TEAM,
    TOKEN,
    Talker,
    command,
    fake_slack,
    settings,
    sign,
    tap,
)

USERS = {ANNA: "U1", BERT: "U2", BOSS: "U3"}
DIRECT = {"D1": ANNA, "D2": BERT, "D3": BOSS}
KITCHEN = "C1"
GROWS = "By Slack's own streams in threads, else by edits; answers to slash commands do not grow."
MODAL = "As a modal behind a button."
ALONE = "The answer is shown to its talker alone."
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
        Capability.STREAM: GROWS,
        Capability.FORMS: MODAL,
        Capability.COMMANDS: ALONE,
        Capability.TYPING: "In threads.",
    }
    text_limit = Limit(LONGEST, "characters")
    file_limit = Limit(20 << 20, "bytes of a file", "max_file_bytes")
    secrets = (TOKEN, SECRET)

    def __init__(self):
        self.tries, self.sent = Counter(), 0
        self.hooks = {}
        """Who gave a command, and in which room, by the path that its answers go to."""

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
        found = {}
        for number, (method, body) in enumerate(self.slack.done):
            key = body.get("ts") or number
            if method == "chat.postMessage":
                found[key] = self.message(body)
            elif method == "chat.startStream":
                found[key] = self.message({**body, "text": body["markdown_text"]})
            elif method in ("chat.appendStream", "chat.stopStream"):
                found[key] = replace(found[key], text=found[key].text + (body.get("markdown_text") or ""))
            elif method == "chat.update" and key in found:
                found[key] = self.changed(found[key], body)
            elif method == "chat.postEphemeral":
                found[key] = replace(self.message(body), talker=self.name(body["user"]))
            elif method == "response_url":
                choices = self.buttons(body)
                found[key] = Heard(body["text"], *self.hooks[body["path"]], choices=choices, handle=body)
            elif method == "files.completeUploadExternal":
                sent = json.loads(body["files"]) if isinstance(body["files"], str) else body["files"]
                files = tuple(File(file["title"], self.slack.uploads[file["id"]]) for file in sent)
                found[key] = Heard("", *self.place(body["channel_id"], body.get("thread_ts")), files)
        return list(found.values())

    def name(self, user):
        return next(name for name, known in USERS.items() if known == user)

    def place(self, channel, thread):
        return DIRECT.get(channel, ""), ROOM if channel == KITCHEN else "", int(thread.split(".")[1]) if thread else 0

    def buttons(self, body):
        elements = [one for block in body.get("blocks", ()) for one in block.get("elements", ())]
        return tuple(one["text"]["text"] for one in elements if one["type"] == "button")

    def changed(self, heard, body):
        # With blocks, people see these and no text; the first one says what was said.
        text = body["blocks"][0]["text"]["text"] if body.get("blocks") else body["text"]
        return replace(heard, text=text, choices=self.buttons(body))

    def message(self, body):
        choices = self.buttons(body)
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

    def slow_down(self, seconds, after=0):
        self.slack.refuse("chat.postMessage", "ratelimited", 429, {"Retry-After": str(seconds)}, after)

    def fail_once(self, after=0, *, broken=False):
        if broken:
            self.slack.break_off("chat.postMessage", after)
        else:
            self.slack.refuse("chat.postMessage", "internal_error", 503, after=after)

    def fail_growth(self):
        self.slack.refuse(EDIT, "internal_error", 503)
        return lambda: not self.slack.answers[EDIT]

    async def tap(self, heard, label, talker):
        body, user, trigger = heard.handle, USERS[talker], f"{self.number()}.1.tap"
        if "path" not in body:
            await self.interact(tap(body, label, user, trigger=trigger))
            return
        # What only one person sees has a response_url of its own.
        path = f"{body['path']}-{self.number()}"
        self.hooks[path] = self.hooks[body["path"]]
        channel = KITCHEN if heard.room else f"D{user[1]}"
        more = {"channel": channel, "ephemeral": True, "response_url": f"{self.slack.url}{path}"}
        await self.interact(tap(body, label, user, trigger=trigger, **more))

    async def interact(self, payload):
        """What Slack is answered."""
        status, text = await self.talker.interact(payload)
        assert status == 200
        return json.loads(text or "{}")

    async def open_form(self, heard, talker):
        views, posts = self.slack.said("views.open"), self.slack.said()
        await self.tap(heard, "Fill in", talker)
        # It is opened, or something is said to that.
        await self.slack.until(lambda: self.slack.said("views.open") != views or self.slack.said() != posts)
        if self.slack.said("views.open") == views:
            return None
        await self.slack.until(lambda: self.slack.done[-1][0] == "views.open")
        view = self.slack.done[-1][1]["view"]
        blanks = tuple(self.blank(block) for block in view["blocks"] if block["type"] == "input")
        return Sheet(view["title"]["text"], blanks, (view, talker))

    def blank(self, block):
        element = block["element"]
        ticked = element["type"] == "checkboxes"
        options = () if ticked else tuple(option["text"]["text"] for option in element.get("options", ()))
        chosen = element.get("initial_option", {}).get("text", {}).get("text", "")
        filled = (
            "yes" if element.get("initial_options") else element.get("initial_value") or element.get("initial_date")
        )
        return Blank(block["label"]["text"], options, chosen or filled or "")

    async def fill_in(self, sheet, talker, filled):
        view, opener = sheet.handle
        # A modal is there for one person; another's is another.
        view = view if talker == opener else {**view, "id": f"{view['id']}{talker}"}
        blocks = [block for block in view["blocks"] if block["type"] == "input"]
        labels = {block["block_id"]: block["label"]["text"] for block in blocks}
        values = {
            block["block_id"]: {block["element"]["action_id"]: self.value(block["element"], filled.get(label))}
            for block, label in zip(blocks, labels.values(), strict=True)
        }
        user = {"id": USERS[talker], "team_id": TEAM}
        view = {**view, "state": {"values": values}}
        answer = await self.interact({"type": "view_submission", "team": {"id": TEAM}, "user": user, "view": view})
        assert answer.get("response_action") in (None, "errors")
        return {labels[name]: text for name, text in answer.get("errors", {}).items()}

    def value(self, element, value):
        """As Slack's own clients send it."""
        state, options = {"type": element["type"]}, element.get("options", ())
        if element["type"] == "checkboxes":
            return {**state, "selected_options": list(options) if value else []}
        if element["type"] == "static_select":
            chosen = next((option for option in options if option["text"]["text"] == value), None)
            return {**state, "selected_option": chosen}
        if element["type"] == "datepicker":
            return {**state, "selected_date": value.isoformat() if isinstance(value, date) else value}
        return {**state, "value": None if value is None else str(value)}

    def number(self):
        self.sent += 1
        return f"e{self.sent}"

    def fields(self, said):
        """A slash command as Slack posts it."""
        name, _, text = said.text.partition(" ")
        path = f"/response/{said.number}"
        self.hooks[path] = said.talker, said.room
        channel = KITCHEN if said.room else f"D{USERS[said.talker][1]}"
        about = {"name": name, "response_url": f"{self.slack.url}{path}", "trigger": f"{said.number}.1.command"}
        return command(text, channel, USERS[said.talker], **about)

    async def command(self, said):
        return self.outcome((await self.talker.form(self.fields(said)))[0])

    async def forge_command(self, said):
        return await self.forgeries(urlencode(self.fields(said)).encode(), "application/x-www-form-urlencoded")

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
        (envelope,) = self.envelopes(said)
        return await self.forgeries(json.dumps(envelope).encode(), "application/json")

    async def forgeries(self, body, content_type):
        now = int(time.time())
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
            headers = {"Content-Type": content_type, **headers}
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
        Capability.STREAM: GROWS,
        Capability.FORMS: MODAL,
        Capability.COMMANDS: ALONE,
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
        self.waiting = []
        await self.slack.until(lambda: self.live())
        yield

    def live(self):
        return [socket for socket in self.slack.sockets if not socket.closed and socket._req.transport is not None]

    async def send(self, envelope, again, kind="events_api"):
        if not self.live():
            self.waiting.append(envelope)
            return Outcome.TAKEN
        return Outcome.AGAIN if await self.hand_over(envelope, again, kind) is None else Outcome.TAKEN

    async def hand_over(self, envelope, again, kind):
        """The acknowledgement; None if there is none."""
        number, retry = self.number(), {"retry_attempt": again, "retry_reason": "timeout"} if again else {}
        packet = {"envelope_id": number, "type": kind, "accepts_response_payload": kind != "events_api"}
        await self.live()[-1].send_json({**packet, "payload": envelope, **retry})

        def found():
            return next((one for one in self.slack.acknowledged if one["envelope_id"] == number), None)

        try:
            # What is not taken is not answered at all.
            await self.slack.until(found, 0.5)
        except TimeoutError:
            return None
        return found()

    async def interact(self, payload):
        acknowledgement = await self.hand_over(payload, 0, "interactive")
        assert acknowledgement is not None
        return acknowledgement.get("payload", {})

    async def command(self, said):
        return await self.send(self.fields(said), 0, "slash_commands")

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
    forge_command = Driver.forge_command


class TestHttp(Conformance):
    driver_class = SlackDriver


class TestSocketMode(Conformance):
    driver_class = SocketDriver
