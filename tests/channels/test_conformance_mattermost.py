"""Mattermost passes the conformance suite."""

import asyncio
import importlib
import json
import sys
from contextlib import asynccontextmanager
from io import BytesIO
from itertools import count
from pathlib import Path

import aiohttp
from aiohttp import web

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
fakes = importlib.import_module("fake_mattermost")

OPERATIONS = json.loads((Path(__file__).parents[1] / "data" / "mattermost_operations.json").read_text())
COMMAND_TOKEN = "command-token-1234"
USERS = {ANNA: fakes.ANNA, BERT: fakes.BERT, BOSS: "boss1"}
DIRECT = {ANNA: fakes.DM, BERT: "dmbert1", BOSS: "dmboss1"}
KITCHEN = fakes.TOWN
LARGEST_FRAME, LARGEST_REQUEST = 16 << 20, 1 << 20


class MattermostDriver(Driver):
    title = "Mattermost"
    channel = "mattermost"
    absent = {
        Capability.DURABLE: "Mattermost tells of a post once, and nothing is acknowledged to it.",
        Capability.REFUSE: "Mattermost tells of a post once; the channel holds it, and those behind it, until there is room.",
    }
    notes = {
        Capability.BUTTONS: "With `callback_url`; else choices are numbered lines.",
        Capability.FORGED: "Posts come by the bot's own connection; clicks, forms and commands are sealed or have a token.",
        Capability.GAP: "Posts of the last day, by the setting `backfill`.",
    }
    text_limit = Limit(fakes.LONGEST, "characters")
    file_limit = Limit(10 << 20, "bytes of a message's files", "max_file_bytes")
    secrets = (fakes.TOKEN, COMMAND_TOKEN)

    def __init__(self):
        self.posts = {}
        self.own = set()
        """Ids of the bot's own words that are not its answers."""
        self.shown = {}
        """Buttons by post and label, as they were when they were there."""
        self.triggers = count(1)

    @asynccontextmanager
    async def platform(self):
        async with fakes.fake_mattermost(OPERATIONS) as self.site, aiohttp.ClientSession() as self.http:
            self.site.users["boss1"] = {"id": "boss1", "username": "boss"}
            for talker in (BERT, BOSS):
                room = {"type": "D", "name": f"{USERS[talker]}__{fakes.ME}", "last_post_at": 0}
                self.site.rooms[DIRECT[talker]] = {"id": DIRECT[talker], **room}
            yield
            assert self.site.problems == []

    def options(self):
        site = {"url": self.site.url, "token": fakes.TOKEN, "reconnect_delay": 0.05, "roles": {"boss": ["@boss"]}}
        return {**site, "port": 0, "callback_url": "http://bot.example", "command_tokens": [COMMAND_TOKEN]}

    @asynccontextmanager
    async def connected(self, server):
        self.path = f"http://127.0.0.1:{server.port('mattermost')}/mattermost"
        self.server = server
        await self.working()
        yield

    async def working(self):
        while self.server.channels["mattermost"].trouble or not any(c.socket for c in self.site.connections.values()):
            await asyncio.sleep(0.005)

    async def deliver(self, said):
        post = self.posts.get(said.number)
        if post is not None:
            await self.site.tell("posted", self.site.about(post))
            return Outcome.TAKEN
        room = KITCHEN if said.room else DIRECT[said.talker]
        text = f"@zoozl {said.text}" if said.room and said.mention else said.text
        root = self.posts[said.thread]["id"] if said.thread else ""
        files = [self.site.file(file.data, file.name, file.media_type) for file in said.files]
        more = {"file_ids": [file["id"] for file in files], "metadata": {"files": files}} if files else {}
        post = self.posts[said.number] = self.site.post(USERS[said.talker], room, text, root, **more)
        await self.site.tell("posted", self.site.about(post))
        return Outcome.TAKEN

    def heard(self):
        return [self.message(post) for post in self.site.mine() if post["id"] not in self.own]

    def message(self, post):
        numbers = {self.posts[number]["id"]: number for number in self.posts}
        room = self.site.rooms[post["channel_id"]]
        talker = next((name for name, direct in DIRECT.items() if direct == room["id"]), "")
        files = tuple(
            File(file["info"]["name"], file["data"], file["info"]["mime_type"])
            for file in (self.site.files[one] for one in post["file_ids"])
        )
        choices = tuple(action["name"] for action in self.actions(post))
        self.shown |= {(post["id"], action["name"]): action for action in self.actions(post)}
        place = "" if talker else ROOM
        return Heard(post["message"], talker, place, numbers.get(post["root_id"], 0), files, choices, post)

    def actions(self, post):
        return [action for one in post["props"].get("attachments", ()) for action in one["actions"]]

    async def edit(self, said, text):
        await self.site.edit(self.posts[said.number], text)

    def slow_down(self, seconds):
        answer = web.Response(status=429, text="limit exceeded\n", headers={"Retry-After": str(seconds)})
        self.site.faults.append(("POST", "/posts", answer))

    def fail_once(self):
        self.site.faults.append(("POST", "/posts", web.Response(status=503, text="later")))

    def lose_receipt(self):
        self.site.swallow.append("/api/v4/posts")

    async def post(self, path, **body):
        async with self.http.post(f"{self.path}/{path}", **body) as response:
            await response.read()
            return response.status

    def click(self, post, action, user, **context):
        about = {
            "user_id": user,
            "user_name": user.rstrip("1"),
            "channel_id": post["channel_id"],
            "post_id": post["id"],
        }
        sealed = {**action["integration"]["context"], **context}
        return {**about, "trigger_id": f"trigger{next(self.triggers)}", "type": "button", "context": sealed}

    async def tap(self, heard, label, talker):
        action = self.shown[heard.handle["id"], label]
        assert await self.post("action", json=self.click(heard.handle, action, USERS[talker])) == 200

    def typed(self):
        return len(self.site.typed)

    async def cut(self):
        await self.site.cut(forget=True)

    async def mend(self):
        await self.site.until(lambda: any(c.socket for c in self.site.connections.values()))
        await self.working()

    async def oversize(self):
        connects = self.site.connects
        await self.site.raw(json.dumps({"event": "posted", "data": {"post": "x" * LARGEST_FRAME}}))
        await self.site.until(lambda: self.site.connects > connects)
        await self.working()
        status = await self.post("action", data=BytesIO(b'{"x": "' + b"x" * LARGEST_REQUEST + b'"}'))
        assert status == 413
        return [Outcome.REFUSED] * 2

    async def garbage(self):
        for data in ({}, {"post": "{"}, {"post": "[]"}, {"post": '{"id": "../x"}'}, {"post": 17}, {"post": "null"}):
            for event in ("posted", "post_edited", "post_deleted"):
                await self.site.tell(event, data)
        for text in ("", "no json", "[" * 100_000, "5", "null", '{"event": 5}', '{"seq_reply": 9, "error": 5}'):
            await self.site.raw(text)
        for body in (b"", b"{", b"[]", b"\xff", b"[" * 10_000, b'{"context": 5}', b'{"user_id": {}}'):
            for path in ("action", "dialog"):
                assert 400 <= await self.post(path, data=body) < 500, (path, body)
        assert 400 <= await self.post("command", data={"token": COMMAND_TOKEN, "channel_id": "../x"}) < 500

    async def forge(self, said):
        boss = {"user_id": USERS[said.talker], "user_name": "boss", "channel_id": DIRECT[said.talker]}
        name, _, text = said.text.partition(" ")
        command = {**boss, "command": name, "text": text, "trigger_id": "t1", "team_id": "t1"}
        for token in ("wrong", "", COMMAND_TOKEN[:-1], "\u00e9"):
            assert await self.post("command", data={**command, "token": token}) == 401
        assert await self.post("command", data=command) == 401
        body = {**boss, "post_id": "p1", "trigger_id": "t2", "type": "button"}
        seals = [{}, {"zoozl": ""}, {"zoozl": "x.y.z"}, {"zoozl": 5}, {"v": "yes", "q": "1"}]
        for context in seals:
            status = await self.post("action", json={**body, "context": context})
            assert status in (400, 403)
        return [Outcome.REFUSED]

    async def machines(self):
        say, direct = self.site.say, DIRECT[ANNA]
        own = [await say(fakes.ME, direct, "my own words"), await say(fakes.ME, KITCHEN, "@zoozl my own")]
        self.own = {post["id"] for post in own}
        await say(fakes.ANNA, direct, "anna has joined", type="system_join_channel")
        await say(fakes.ANNA, direct, "a hook", props={"from_webhook": "true"})
        await say(fakes.ROBOT, KITCHEN, "@zoozl beep", props={"from_bot": "true"})
        await say(fakes.ANNA, KITCHEN, "@all lunch")
        return 0


class TestMattermost(Conformance):
    driver_class = MattermostDriver
