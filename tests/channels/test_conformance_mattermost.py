"""Mattermost passes the conformance suite."""

import asyncio
import importlib
import json
import sys
from contextlib import asynccontextmanager
from datetime import date
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
        Capability.STREAM: "By edits, at most one a second; answers to slash commands do not grow.",
        Capability.BUTTONS: "With `callback_url`; else choices are numbered lines.",
        Capability.FORMS: "With `callback_url`, behind a button; else the fields are asked for one by one.",
        Capability.COMMANDS: "With `command_tokens`; the answer is shown to its talker alone.",
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
        self.hooks = {}
        """Who gave a command, and in which room, by the id that its answers go to."""

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
        posts = [(post["create_at"], self.message(post)) for post in self.site.mine() if post["id"] not in self.own]
        hooked = zip(self.site.hooked_at, self.site.hooked, strict=True)
        told = [(at, self.told(at, hook, body)) for at, (hook, body) in hooked]
        return [heard for _, heard in sorted([*posts, *told], key=lambda one: one[0])]

    def told(self, at, hook, body):
        """What only the one sees who gave a command."""
        talker, room = self.hooks[hook]
        props, channel = {"attachments": body.get("attachments", ())}, KITCHEN if room else DIRECT[talker]
        return Heard(
            body["text"], talker, room, **self.clickable({"id": f"told{at}", "channel_id": channel, "props": props})
        )

    def clickable(self, post):
        self.shown |= {(post["id"], action["name"]): action for action in self.actions(post)}
        return {"choices": tuple(action["name"] for action in self.actions(post)), "handle": post}

    def message(self, post):
        numbers = {self.posts[number]["id"]: number for number in self.posts}
        room = self.site.rooms[post["channel_id"]]
        talker = next((name for name, direct in DIRECT.items() if direct == room["id"]), "")
        files = tuple(
            File(file["info"]["name"], file["data"], file["info"]["mime_type"])
            for file in (self.site.files[one] for one in post["file_ids"])
        )
        place, thread = "" if talker else ROOM, numbers.get(post["root_id"], 0)
        return Heard(post["message"], talker, place, thread, files, **self.clickable(post))

    def actions(self, post):
        return [action for one in post["props"].get("attachments", ()) for action in one["actions"]]

    async def edit(self, said, text):
        await self.site.edit(self.posts[said.number], text)

    def slow_down(self, seconds, after=0):
        answer = web.Response(status=429, text="limit exceeded\n", headers={"Retry-After": str(seconds)})
        self.fault(answer, after)

    def fault(self, answer, after):
        self.site.faults.extend([("POST", "/posts", fakes.NO_FAULT)] * after)
        self.site.faults.append(("POST", "/posts", answer))

    def fail_once(self, after=0, *, broken=False):
        self.fault(None if broken else web.Response(status=503, text="later"), after)

    def lose_receipt(self, after=0):
        self.site.swallow.extend([*["+/api/v4/posts"] * after, "/api/v4/posts"])

    def fail_growth(self):
        fault = ("PUT", "/patch", web.Response(status=500, text="later"))
        self.site.faults.append(fault)
        return lambda: fault not in self.site.faults

    async def post(self, path, **body):
        return (await self.answer(path, **body))[0]

    async def answer(self, path, **body):
        """The status, and the JSON if it is that."""
        async with self.http.post(f"{self.path}/{path}", **body) as response:
            is_json = response.content_type == "application/json"
            return response.status, await response.json() if is_json else await response.read()

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

    async def open_form(self, heard, talker):
        (action,) = [one for one in self.actions(heard.handle) if one["id"] == "form"]
        before = len(self.site.dialogs)
        assert await self.post("action", json=self.click(heard.handle, action, USERS[talker])) == 200
        if len(self.site.dialogs) == before:
            return None
        dialog = self.site.dialogs[-1]["dialog"]
        return Sheet(dialog["title"], tuple(map(self.blank, dialog["elements"])), (heard.handle, dialog))

    def blank(self, element):
        options = {option["value"]: option["text"] for option in element.get("options", ())}
        filled = element["default"] or ""
        if element["type"] == "bool":
            filled = "yes" if filled == "true" else ""
        return Blank(element["display_name"], tuple(options.values()), options.get(filled, filled))

    async def fill_in(self, sheet, talker, filled):
        post, dialog = sheet.handle
        labels = {element["name"]: element["display_name"] for element in dialog["elements"]}
        sent = {
            "type": "dialog_submission",
            "callback_id": dialog["callback_id"],
            "state": dialog["state"],
            "user_id": USERS[talker],
            "channel_id": post["channel_id"],
            "team_id": "t1",
            "submission": {element["name"]: self.value(element, filled) for element in dialog["elements"]},
            "cancelled": False,
        }
        status, answer = await self.answer("dialog", json=sent)
        if status != 200:
            return {}
        told = {labels[name]: text for name, text in answer.get("errors", {}).items()}
        return {**told, **({"": answer["error"]} if answer.get("error") else {})}

    def value(self, element, filled):
        """As Mattermost's own clients send it."""
        value = filled.get(element["display_name"])
        if element["type"] == "bool":
            return bool(value)
        options = {option["text"]: option["value"] for option in element.get("options", ())}
        value = options.get(value, value) if isinstance(value, str) else value
        return value.isoformat() if isinstance(value, date) else value

    async def command(self, said):
        return self.outcome(*await self.give(said))

    async def give(self, said, token=COMMAND_TOKEN):
        name, _, text = said.text.partition(" ")
        hook = f"hook{said.number:022}"
        self.hooks[hook] = said.talker, said.room
        fields = {
            "token": token,
            "team_id": "t1",
            "channel_id": KITCHEN if said.room else DIRECT[said.talker],
            "channel_name": "town-square" if said.room else "",
            "user_id": USERS[said.talker],
            "user_name": said.talker,
            "command": name,
            "text": text,
            "trigger_id": f"command{said.number}",
            "response_url": f"{self.site.url}/hooks/commands/{hook}",
        }
        headers = {"Authorization": f"Token {token}"} if token.isascii() else {}
        return await self.answer("command", data=fields, headers=headers)

    def outcome(self, status, answer):
        if status != 200:
            return Outcome.REFUSED
        # "There is too much to do" is for people, who try again.
        return Outcome.AGAIN if answer.get("text") else Outcome.TAKEN

    async def forge_command(self, said):
        wrong = ("wrong", "", COMMAND_TOKEN[:-1], COMMAND_TOKEN + "x", COMMAND_TOKEN.upper(), "\u00e9", fakes.TOKEN)
        return [self.outcome(*await self.give(said, token)) for token in wrong]

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
        assert await self.post("command", data={**boss, "command": said.text, "text": "", "trigger_id": "t1"}) == 401
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
