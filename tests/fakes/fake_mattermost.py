"""A Mattermost server for tests: REST API version 4 and the websocket with resume, on a free port."""

import asyncio
import json
import math
import re
import time
from collections import deque
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import WSMsgType, web

TOKEN = "mm-token-of-the-bot-1234"
ME, ANNA, BERT, ROBOT = "botid", "anna1", "bert1", "robot1"
TOWN, OPS, DM, GROUP = "town1", "ops1", "dmanna1", "group1"
LONGEST = 16_383
DEAD_QUEUE = 128
SECONDS_FOR_CHALLENGE = 5
# A fault that is none: the request is answered as usual.
NO_FAULT = object()
# The server and its own clients know this field of a new post; the description leaves it out.
UNDESCRIBED = {"pending_post_id"}


@dataclass
class Connection:
    id: str
    socket: web.WebSocketResponse | None = None
    seq: int = 0
    dead: deque = field(default_factory=lambda: deque(maxlen=DEAD_QUEUE))


def allowed(operations, method, path, query, body):
    """What is wrong with a call by the API description, or ""."""
    for operation in operations:
        pattern = re.sub(r"\{\w+\}", "[^/]+", operation["path"])
        if operation["method"] == method and re.fullmatch(pattern, path):
            if unknown := set(query) - set(operation["query"]):
                return f"{path}: unknown query {sorted(unknown)}"
            if isinstance(body, dict):
                if unknown := set(body) - set(operation["body"]) - UNDESCRIBED:
                    return f"{path}: unknown body {sorted(unknown)}"
                if missing := set(operation["required"]) - set(body):
                    return f"{path}: missing {sorted(missing)}"
            return ""
    return f"{method} {path}: no such operation"


def wrong_dialog(dialog):
    """Why the server or its clients would not show a form, or ""."""
    if not 0 < len(dialog["title"]) <= 24:
        return "the title is missing or too long"
    for element in dialog["elements"]:
        if not 0 < len(element["display_name"]) <= 24 or not element["name"]:
            return "a name is missing or too long"
        if element["type"] not in ("text", "textarea", "select", "bool", "radio"):
            return f"no element is of type {element['type']}"
        if element["type"] == "select" and not element.get("options"):
            return "there is nothing to select"
        if len(element.get("help_text") or "") > 150 or len(element.get("placeholder") or "") > 150:
            return "a text is too long"
    return ""


def as_json(value, status):
    # Without a charset, as the server has it: there are clients that compare.
    return web.Response(body=json.dumps(value).encode(), status=status, headers={"Content-Type": "application/json"})


class FakeMattermost:
    def __init__(self, operations=()):
        self.operations = operations
        self.problems = []
        self.users = {
            ME: {"id": ME, "username": "zoozl", "is_bot": True},
            ANNA: {"id": ANNA, "username": "anna", "email": "anna@example.com", "email_verified": True},
            BERT: {"id": BERT, "username": "bert", "email": "boss@example.com", "email_verified": False},
            ROBOT: {"id": ROBOT, "username": "robot", "is_bot": True},
        }
        self.rooms = {
            TOWN: {"id": TOWN, "type": "O", "name": "town-square", "last_post_at": 0},
            OPS: {"id": OPS, "type": "P", "name": "ops", "last_post_at": 0},
            DM: {"id": DM, "type": "D", "name": f"{ANNA}__{ME}", "last_post_at": 0},
            GROUP: {"id": GROUP, "type": "G", "name": "g", "last_post_at": 0},
        }
        self.posts = {}
        self.files = {}
        self.requests = []
        self.connections = {}
        self.dialogs = []
        self.hooked = []
        self.hooked_at = []
        """When that was, by the clock of the posts."""
        self.faults = deque()
        """(method, part of the path, answer): the next request like that gets the answer, or is cut off for None.

        Those with NO_FAULT are for the requests before it.
        """
        self.swallow = deque()
        """Parts of paths: the next request like that is done, and its answer never arrives.

        "+" and a part are for the requests before it, whose answers do.
        """
        self.takes = None
        """Calls at once, as a server takes them that counts them, and gives ten back each second; None for any number."""
        self.too_many = 0
        self.token_works = True
        self.reads_header = True
        self.pongs = True
        self.connects = 0
        self.challenges = 0
        self.uploads_up_to = 1 << 20
        self.typed = []
        self._pending = {}
        self._next = 0
        self._clock = 0
        self._left = None
        self._changed = asyncio.Condition()

    # What happens on the site

    def now(self):
        self._clock = max(self._clock + 1, int(time.time() * 1000))
        return self._clock

    def new_id(self, kind):
        self._next += 1
        return f"{kind}{self._next:06d}"

    def post(self, user, room, text, root="", **more):
        """Somebody says something; told to whoever is connected, or kept for who resumes."""
        post = {
            "id": self.new_id("post"),
            "create_at": self.now(),
            "edit_at": 0,
            "delete_at": 0,
            "user_id": user,
            "channel_id": room,
            "root_id": root,
            "message": text,
            "type": "",
            "props": {},
            "file_ids": [],
            "metadata": {},
            **more,
        }
        post["update_at"] = post["create_at"]
        self.posts[post["id"]] = post
        self.rooms[room]["last_post_at"] = post["create_at"]
        return post

    async def say(self, user, room, text, root="", **more):
        post = self.post(user, room, text, root, **more)
        await self.tell("posted", self.about(post))
        return post

    def about(self, post):
        room = self.rooms[post["channel_id"]]
        data = {
            "channel_display_name": room["name"],
            "channel_name": room["name"],
            "channel_type": room["type"],
            "sender_name": "@" + self.users[post["user_id"]]["username"],
            "team_id": "t1",
            "post": json.dumps(post),
        }
        if "@zoozl" in post["message"] or re.search(r"@(all|here|channel)\b", post["message"]):
            data["mentions"] = json.dumps([ME])
        return data

    async def edit(self, post, text):
        post["message"], post["edit_at"] = text, self.now()
        post["update_at"] = post["edit_at"]
        await self.tell("post_edited", {"post": json.dumps(post)})

    async def delete(self, post):
        post["delete_at"] = post["update_at"] = self.now()
        await self.tell("post_deleted", {"post": json.dumps(post)})

    async def tell(self, event, data):
        for connection in self.connections.values():
            frame = {"event": event, "data": data, "broadcast": {}, "seq": connection.seq}
            connection.seq += 1
            connection.dead.append(frame)
            await self.write(connection, frame)
        await self.changed()

    async def write(self, connection, frame):
        if connection.socket is not None and not connection.socket.closed:
            try:
                await connection.socket.send_str(json.dumps(frame) if isinstance(frame, dict) else frame)
            except ConnectionError:
                connection.socket = None

    async def raw(self, text):
        """A frame as it is to everybody; it has no number of its own."""
        for connection in self.connections.values():
            await self.write(connection, text)

    def lose_an_event(self):
        for connection in self.connections.values():
            connection.seq += 1
            connection.dead.clear()

    async def cut(self, *, forget=False):
        """Every connection ends at once; with `forget` none can be resumed."""
        for connection in self.connections.values():
            socket, connection.socket = connection.socket, None
            if socket is not None and socket._req.transport is not None:
                socket._req.transport.abort()
        if forget:
            self.connections.clear()

    async def changed(self):
        async with self._changed:
            self._changed.notify_all()

    async def until(self, what, seconds=20):
        """Wait until `what()` is true, and give it."""
        async with asyncio.timeout(seconds), self._changed:
            await self._changed.wait_for(what)
        return what()

    def mine(self, room=None):
        """What the bot has said, oldest first."""
        return [p for p in self.posts.values() if p["user_id"] == ME and room in (None, p["channel_id"])]

    def texts(self, room=None):
        return [post["message"] for post in self.mine(room)]

    async def answers(self, number, room=None, seconds=20):
        """The texts of the bot once there are so many."""
        await self.until(lambda: len(self.mine(room)) >= number, seconds)
        return self.texts(room)

    # REST

    def app(self):
        app = web.Application(client_max_size=64 << 20)
        app.router.add_route("*", "/{path:.*}", self.serve)
        return app

    async def serve(self, request):
        path = request.path.removeprefix("/sub")
        if path.endswith("/websocket"):
            return await self.websocket(request)
        if self.takes is None:
            return await self.serve_call(request, path)
        headers = self.count()
        if "Retry-After" in headers:
            self.too_many += 1
            return web.Response(status=429, text="limit exceeded\n", headers=headers)
        answer = await self.serve_call(request, path)
        answer.headers.update(headers)
        return answer

    def count(self):
        """The headers that tell how many calls are left."""
        now = time.monotonic()
        left, at = self._left or (self.takes, now)
        left = min(self.takes, left + (now - at) * 10)
        taken = left >= 1
        self._left = (left - taken, now)
        found = {"X-RateLimit-Limit": str(self.takes), "X-RateLimit-Remaining": str(int(left - taken))}
        found["X-RateLimit-Reset"] = str(math.ceil((self.takes - left) / 10))
        return found if taken else {**found, "Retry-After": str(math.ceil((1 - left) / 10))}

    async def serve_call(self, request, path):
        body = None
        if request.content_type == "application/json":
            body = json.loads(await request.read() or b"null")
        elif request.content_type.startswith("multipart/"):
            body = dict(await request.post())
        self.requests.append((request.method, path, dict(request.query), body))
        await self.changed()
        if self.operations and path.startswith("/api/v4"):
            wrong = allowed(self.operations, request.method, path, request.query, body)
            if wrong:
                self.problems.append(wrong)
        for fault in self.faults:
            if fault[0] == request.method and fault[1] in path:
                self.faults.remove(fault)
                if fault[2] is NO_FAULT:
                    break
                if fault[2] is None:
                    request.transport.abort()
                return fault[2]
        if path.startswith("/hooks/commands/"):
            if len([hook for hook, _ in self.hooked if hook == path.rpartition("/")[2]]) >= 5:
                return self.error(404, "too often")
            self.hooked.append((path.rpartition("/")[2], body))
            self.hooked_at.append(self.now())
            await self.changed()
            return web.Response(text="ok")
        if not self.token_works or request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self.error(401, "Invalid or expired session, please login again.")
        answer = await self.call(request.method, path.removeprefix("/api/v4"), request.query, body)
        for part in self.swallow:
            if part.lstrip("+") in path:
                self.swallow.remove(part)
                if not part.startswith("+"):
                    request.transport.abort()
                break
        return answer if isinstance(answer, web.Response) else as_json(answer, self.status(request))

    def status(self, request):
        return 201 if request.method == "POST" and not request.path.endswith("/open") else 200

    def error(self, status, text):
        error = {"id": "api.error", "message": text, "request_id": "r", "status_code": status}
        return as_json(error, status)

    async def call(self, method, path, query, body):
        parts = path.strip("/").split("/")
        if parts == ["users", "me"]:
            return self.users[ME]
        if parts == ["users", "me", "channels"]:
            return list(self.rooms.values())
        if parts[0] == "users" and len(parts) == 2:
            return self.users.get(parts[1]) or self.error(404, "no such user")
        if parts == ["channels", "direct"]:
            return self.direct(body)
        if parts[0] == "channels" and len(parts) == 2:
            return self.rooms.get(parts[1]) or self.error(403, "no permission")
        if parts[0] == "channels" and parts[2] == "posts":
            return self.listed(parts[1], query)
        if parts == ["posts"]:
            return await self.create(body)
        if parts[0] == "posts" and parts[-1] == "thread":
            root = self.posts.get(parts[1])
            found = [p for p in self.posts.values() if root and root["id"] in (p["id"], p["root_id"])]
            return self.list_of(found) if found else self.error(404, "no such post")
        if parts[0] == "posts" and parts[-1] == "patch":
            return await self.patch(parts[1], body)
        if parts[0] == "posts":
            return self.posts.get(parts[1]) or self.error(404, "no such post")
        if parts == ["files"]:
            return self.upload(body)
        if parts[0] == "files":
            file = self.files.get(parts[1])
            if file is None:
                return self.error(404, "no such file")
            if parts[-1] == "info":
                return file["info"]
            return web.Response(body=file["data"], content_type=file["info"]["mime_type"])
        if parts == ["actions", "dialogs", "open"]:
            if wrong := wrong_dialog(body["dialog"]):
                return self.error(400, wrong)
            self.dialogs.append(body)
            await self.changed()
            return {"status": "OK"}
        return self.error(404, f"nothing at {path}")

    def direct(self, body):
        other = next(user for user in body if user != ME)
        if other not in self.users:
            return self.error(404, "no such user")
        for room in self.rooms.values():
            if room["type"] == "D" and other in room["name"].split("__"):
                return room
        made = self.new_id("dm")
        self.rooms[made] = {"id": made, "type": "D", "name": f"{other}__{ME}", "last_post_at": 0}
        return self.rooms[made]

    def list_of(self, posts):
        posts = sorted(posts, key=lambda post: -post["create_at"])
        return {"order": [post["id"] for post in posts], "posts": {post["id"]: post for post in posts}}

    def listed(self, room, query):
        if room not in self.rooms:
            return self.error(403, "no permission")
        found = [post for post in self.posts.values() if post["channel_id"] == room]
        if "since" in query:
            found = [post for post in found if post["update_at"] > int(query["since"])]
            return self.list_of(found[-1000:])
        found = [post for post in found if not post["delete_at"]]
        if "before" in query:
            limit = self.posts[query["before"]]["create_at"]
            found = [post for post in found if post["create_at"] < limit]
        return self.list_of(found[-int(query.get("per_page", 60)) :])

    async def create(self, body):
        pending = body.get("pending_post_id")
        if pending and pending in self._pending:
            return self.posts[self._pending[pending]]
        root = body.get("root_id") or ""
        if body["channel_id"] not in self.rooms:
            return self.error(403, "no permission")
        if len(body["message"]) > LONGEST:
            return self.error(400, "the message is too long")
        if root and (root not in self.posts or self.posts[root]["root_id"]):
            return self.error(400, "Invalid RootId parameter.")
        attachments = body.get("props", {}).get("attachments")
        if not (body["message"].strip() or body.get("file_ids") or attachments):
            return self.error(400, "the message is empty")
        for action in (action for one in attachments or [] for action in one["actions"]):
            if not re.fullmatch("[A-Za-z0-9]+", action["id"]):
                return self.error(400, "an action cannot be clicked")
        for file_id in body.get("file_ids") or []:
            self.files[file_id]["posted"] = True
        post = self.post(ME, body["channel_id"], body["message"], root)
        post |= {"props": body.get("props", {}), "file_ids": body.get("file_ids") or []}
        if pending:
            self._pending[pending] = post["id"]
        await self.tell("posted", self.about(post))
        return post

    def forget_pending(self):
        """Half a minute is over."""
        self._pending.clear()

    async def patch(self, post_id, body):
        post = self.posts.get(post_id)
        if post is None or post["delete_at"]:
            return self.error(404, "no such post")
        post |= body
        post["update_at"] = post["edit_at"] = self.now()
        await self.tell("post_edited", {"post": json.dumps(post)})
        return post

    def upload(self, body):
        field = body["files"]
        data = field.file.read()
        if len(data) > self.uploads_up_to:
            return self.error(413, "the file is too large")
        return {"file_infos": [self.file(data, field.filename, field.content_type)], "client_ids": []}

    def file(self, data, name="a.txt", media_type="text/plain"):
        """A file that a post can have."""
        file_id = self.new_id("file")
        info = {"id": file_id, "name": name, "size": len(data), "mime_type": media_type}
        self.files[file_id] = {"data": data, "info": info}
        return info

    # Websocket

    async def websocket(self, request):
        self.connects += 1
        socket = web.WebSocketResponse(autoping=self.pongs)
        await socket.prepare(request)
        known = self.token_works and request.headers.get("Authorization") == f"Bearer {TOKEN}"
        if known and self.reads_header:
            await self.join(socket, request.query)
        else:
            try:
                async with asyncio.timeout(SECONDS_FOR_CHALLENGE):
                    asked = json.loads((await socket.receive()).data)
            except (TimeoutError, TypeError):
                return socket
            self.challenges += 1
            if not self.token_works or asked["data"].get("token") != TOKEN or asked["seq"] < 1:
                await socket.close()
                return socket
            # The hello comes first, as it often does.
            await self.join(socket, {})
            await socket.send_str(json.dumps({"status": "OK", "seq_reply": asked["seq"]}))
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                asked = json.loads(message.data)
                if asked["action"] == "ping":
                    await socket.send_str(
                        json.dumps({"status": "OK", "data": {"text": "pong"}, "seq_reply": asked["seq"]})
                    )
                elif asked["action"] == "user_typing":
                    self.typed.append(asked["data"])
                    await self.changed()
        return socket

    async def join(self, socket, query):
        old = self.connections.get(query.get("connection_id"))
        wanted = int(query.get("sequence_number", 0))
        if old is not None and (wanted == old.seq or any(frame["seq"] == wanted for frame in old.dead)):
            old.socket = socket
            for frame in [frame for frame in old.dead if frame["seq"] >= wanted]:
                await self.write(old, frame)
        else:
            self.connections.pop(query.get("connection_id"), None)
            made = Connection(self.new_id("conn"), socket)
            self.connections[made.id] = made
            hello = {"event": "hello", "data": {"server_version": "10.0.0", "connection_id": made.id}, "seq": 0}
            made.seq = 1
            made.dead.append(hello)
            await self.write(made, hello)
        await self.changed()


@asynccontextmanager
async def fake_mattermost(operations=()):
    """`async with fake_mattermost() as site`: running, at `site.url`."""
    site = FakeMattermost(operations)
    runner = web.AppRunner(site.app(), access_log=None, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    site.port = runner.addresses[0][1]
    site.url = f"http://127.0.0.1:{site.port}"
    try:
        yield site
    finally:
        await site.cut()
        await runner.cleanup()
