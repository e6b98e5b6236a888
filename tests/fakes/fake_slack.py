"""Slack as far as a bot sees it: the Web API, files, response urls and Socket Mode on one port, and signed requests."""

import asyncio
import hashlib
import hmac
import io
import itertools
import json
import time
from collections import defaultdict, deque
from contextlib import asynccontextmanager
from urllib.parse import urlencode

from aiohttp import ClientSession, WSMsgType, web

SECRET = "0123456789abcdef0123456789abcdef"
TOKEN = "xoxb-fake-token-of-the-bot"
APP_TOKEN = "xapp-fake-token-of-the-app"
ME, MY_BOT, TEAM = "U0BOT", "B0BOT", "T1"
# Answers to give: the usual one, and none at all, because the connection ends.
USUAL, BROKEN = None, "broken"
# Calls that change a message. Faults of whichever is the next go by this name.
EDITS, EDIT = ("chat.update", "chat.appendStream", "chat.stopStream"), "an edit"


def sign(body, at, secret=SECRET):
    """The two headers of a request."""
    digest = hmac.new(secret.encode(), f"v0:{at}:".encode() + body, hashlib.sha256).hexdigest()
    return {"X-Slack-Request-Timestamp": str(at), "X-Slack-Signature": f"v0={digest}"}


class FakeSlack:
    """`calls` has (method, body) of the Web API in order; `answers[method]` are answers to give instead of the usual."""

    def __init__(self):
        self.calls = []
        self.done = []
        """The calls that got the usual answer, what it said beside them, and what was posted to response urls."""
        self.streams = set()
        """Messages that are being streamed."""
        self.triggers = set()
        """Those that have opened something: they work once."""
        self.answers = defaultdict(deque)
        self.files = {}
        """path -> (status, headers, body) for those who have the token."""
        self.file_tokens = []
        self.uploads = {}
        self.responses = []
        self.sockets = []
        self.acknowledged = []
        self.came = asyncio.Event()
        self.scopes = ""
        self._numbers = itertools.count(1)
        self.url = ""

    @property
    def base_url(self):
        return f"{self.url}/api"

    def routes(self):
        yield web.route("*", "/api/{method}", self._call)
        yield web.post("/upload/{id}", self._upload)
        yield web.get("/files/{name}", self._file)
        yield web.post("/response/{name}", self._response)
        yield web.get("/socket/{number}", self._socket)

    async def _call(self, request):
        method = request.match_info["method"]
        if request.content_type == "application/json":
            body = await request.json()
        else:
            body = {**request.query, **(await request.post())}
        wanted = APP_TOKEN if method == "apps.connections.open" else TOKEN
        if request.headers.get("Authorization") != f"Bearer {wanted}":
            return web.json_response({"ok": False, "error": "invalid_auth"})
        self._note(self.calls, (method, body))
        name = method if self.answers[method] or method not in EDITS else EDIT
        given = self.answers[name].popleft() if self.answers[name] else USUAL
        if given is BROKEN:
            request.transport.abort()
            return web.Response()
        if given is not USUAL:
            status, headers, answer = given
            return web.json_response(answer, status=status, headers=headers)
        if wrong := self._wrong(method, body):
            return web.json_response({"ok": False, "error": wrong})
        usual = self._usual(method, body)
        self.done.append((method, {**body, **usual}))
        return web.json_response({"ok": True, **usual}, headers={"X-OAuth-Scopes": self.scopes})

    def _wrong(self, method, body):
        """Why Slack would refuse a call, or ""."""
        if method in ("chat.appendStream", "chat.stopStream") and body["ts"] not in self.streams:
            return "message_not_in_streaming_state"
        if method == "chat.update" and body["ts"] in self.streams:
            return "streaming_state_conflict"
        if method == "chat.startStream" and not body.get("thread_ts"):
            return "invalid_thread_ts"
        if method == "views.open":
            view = body["view"]
            if body["trigger_id"] in self.triggers:
                return "exchanged_trigger_id"
            if view["type"] != "modal" or not 0 < len(view["title"]["text"]) <= 24 or not view["blocks"]:
                return "invalid_arguments"
        return ""

    def _usual(self, method, body):
        number = next(self._numbers)
        if method == "auth.test":
            return {"user_id": ME, "bot_id": MY_BOT, "team_id": TEAM}
        if method in ("chat.postMessage", "chat.startStream"):
            ts = f"1700000100.{number:06}"
            if method == "chat.startStream":
                self.streams.add(ts)
            return {"channel": body["channel"], "ts": ts}
        if method == "chat.stopStream":
            self.streams.discard(body["ts"])
        if method == "views.open":
            self.triggers.add(body["trigger_id"])
            return {"view": {**body["view"], "id": f"V{number}"}}
        if method == "conversations.open":
            return {"channel": {"id": f"D{body['users']}"}}
        if method == "files.getUploadURLExternal":
            return {"upload_url": f"{self.url}/upload/F{number}", "file_id": f"F{number}"}
        if method == "files.completeUploadExternal":
            files = body["files"]
            return {"files": json.loads(files) if isinstance(files, str) else files}
        if method == "apps.connections.open":
            return {"url": f"{self.url.replace('http', 'ws')}/socket/{number}"}
        return {}

    async def _upload(self, request):
        self.uploads[request.match_info["id"]] = await request.read()
        return web.Response(text="OK")

    async def _file(self, request):
        token = request.headers.get("Authorization")
        self._note(self.file_tokens, token)
        if token != f"Bearer {TOKEN}":
            return web.Response(text="<html>log in</html>", content_type="text/html")
        status, headers, body = self.files[request.path]
        return web.Response(status=status, headers=headers, body=body)

    async def _response(self, request):
        body = await request.json()
        self.done.append(("response_url", {**body, "path": request.path}))
        self._note(self.responses, (request.path, body))
        return web.Response(text="ok")

    async def _socket(self, request):
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_json({"type": "hello", "num_connections": 1})
        self._note(self.sockets, socket)
        async for frame in socket:
            if frame.type is WSMsgType.TEXT:
                self._note(self.acknowledged, json.loads(frame.data))
        return socket

    def _note(self, where, what):
        where.append(what)
        self.came.set()
        self.came.clear()

    async def until(self, condition, seconds=10):
        """Wait until what came makes `condition` true."""
        async with asyncio.timeout(seconds):
            while not condition():
                await self.came.wait()

    def said(self, method="chat.postMessage"):
        """The bodies of the calls of one method."""
        return [body for name, body in self.calls if name == method]

    async def next_said(self, number=1, method="chat.postMessage", seconds=10):
        """The same, once there are so many of them."""
        await self.until(lambda: len(self.said(method)) >= number, seconds)
        return self.said(method)

    def refuse(self, method, error="", status=200, headers=None, after=0, **more):
        """The next call of `method` fails, `after` so many that do not."""
        self.answers[method].extend([USUAL] * after)
        self.answers[method].append((status, headers or {}, {"ok": False, "error": error, **more}))

    def break_off(self, method, after=0):
        """The same, by the end of the connection."""
        self.answers[method].extend([*[USUAL] * after, BROKEN])


class Talker:
    """Slack's requests to a bot at `url`."""

    def __init__(self, http, url):
        self.http, self.url = http, url
        self._numbers = itertools.count(1)

    async def post(self, body, content_type="application/json", headers=None, at=None):
        """A signed request; (status, text)."""
        signed = sign(body, int(time.time()) if at is None else at)
        headers = {"Content-Type": content_type, **signed, **(headers or {})}
        async with self.http.post(self.url, data=io.BytesIO(body), headers=headers) as response:
            return response.status, await response.text()

    def event(self, text="hi", channel="D1", kind="im", ts=None, event_id=None, event_type="message", **more):
        """An envelope of the Events API."""
        number = next(self._numbers)
        event = {
            "type": event_type,
            "channel": channel,
            "user": "U1",
            "text": text,
            "ts": ts or f"1700000000.{number:06}",
        }
        event |= {"channel_type": kind} if event_type == "message" else {}
        event |= more
        return {
            "type": "event_callback",
            "team_id": TEAM,
            "api_app_id": "A1",
            "event_id": event_id or f"Ev{number}",
            "event_time": 1700000000,
            "authorizations": [{"team_id": TEAM, "user_id": ME, "is_bot": True}],
            "event": {key: value for key, value in event.items() if value is not None},
        }

    async def send(self, envelope, headers=None):
        """An envelope; the status."""
        return (await self.post(json.dumps(envelope).encode(), headers=headers))[0]

    async def say(self, text, **more):
        """A message; the status."""
        return await self.send(self.event(text, **more))

    async def form(self, fields):
        """A slash command or an interaction; (status, text)."""
        return await self.post(urlencode(fields).encode(), "application/x-www-form-urlencoded")

    async def interact(self, payload):
        return await self.form({"payload": json.dumps(payload)})


def command(text, channel="C1", user="U1", name="/zoozl", response_url="", trigger="1.2.abc"):
    """The fields of a slash command."""
    fields = {"token": "x", "team_id": TEAM, "channel_id": channel, "user_id": user, "command": name, "text": text}
    return fields | {"response_url": response_url, "trigger_id": trigger}


def tap(posted, label, user="U1", channel=None, trigger="9.9.tap", ephemeral=False, response_url=""):
    """A tap on the button `label` of a message that the bot posted."""
    blocks = posted["blocks"]
    actions = next(block for block in blocks if block["type"] == "actions")
    button = next(element for element in actions["elements"] if element["text"]["text"] == label)
    channel = channel or posted["channel"]
    ts = posted.get("ts", "1700000100.000001")
    message = {"ts": ts, "blocks": blocks, "thread_ts": posted.get("thread_ts")}
    return {
        "type": "block_actions",
        "team": {"id": TEAM},
        "user": {"id": user, "team_id": TEAM},
        "channel": {"id": channel},
        "container": {"type": "message", "message_ts": ts, "channel_id": channel, "is_ephemeral": ephemeral},
        "message": {key: value for key, value in message.items() if value is not None},
        "actions": [{**button, "block_id": actions["block_id"], "action_ts": "1.2"}],
        "trigger_id": trigger,
        "response_url": response_url,
    }


@asynccontextmanager
async def fake_slack():
    """`async with fake_slack() as slack`: at `slack.url`."""
    slack = FakeSlack()
    app = web.Application(client_max_size=64 << 20)
    app.add_routes(slack.routes())
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    slack.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield slack
    finally:
        for socket in slack.sockets:
            await socket.close()
        await runner.cleanup()


def settings(slack, **options):
    """The table [slack] of a bot that this fake takes for its own. It counts nobody's posts."""
    table = {"port": 0, "bot_token": TOKEN, "signing_secret": SECRET, "base_url": slack.base_url, "room_rate": 0}
    return table | options


@asynccontextmanager
async def slack_bot(serve, slack, **options):
    """A bot that knows who it is, and Slack's requests to it; the server is `talk.server`."""
    async with (
        serve(extensions=["slack_plugins"], slack=settings(slack, **options), shutdown_timeout=1.0) as server,
        talker(server) as talk,
    ):
        while server.channels["slack"].trouble:
            await asyncio.sleep(0.01)
        talk.server = server
        yield talk


@asynccontextmanager
async def talker(server, path="/slack"):
    """Requests to the bot of a running server."""
    async with ClientSession() as http:
        yield Talker(http, f"http://127.0.0.1:{server.port('slack')}{path}")
