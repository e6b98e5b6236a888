"""A server that speaks the websocket's frames as a test tells it to, and serves the chat page."""

import asyncio
import base64
import json
import time
from contextlib import asynccontextmanager

from aiohttp import WSMsgType, web

from zoozl.channels.render.html import to_html
from zoozl.channels.websocket import page


class PageServer:
    """`received` has what the page sent, hello included; `history` what list_messages tells of, oldest first."""

    def __init__(self, options, html, files):
        self.options, self.html, self.files = options, html, files
        self.history = []
        self.received = []
        self.ids = set()
        self.seq = 0
        self.acked = 0
        self.unacked = {}
        self.welcome = {"resume": "t" * 43}
        self.sockets = set()
        self.came = asyncio.Event()
        self.refuse = None
        """(close code, reason) instead of a welcome."""
        self.answer = None
        """Called with each message; what it returns is said. An exception is the text of an error frame."""
        self.now = time.time()

    def routes(self):
        yield web.get("/", self._get)
        for name in self.files:
            yield web.get(f"/page/{name}", self._file)

    async def _file(self, request):
        name = request.path.rpartition("/")[2]
        return web.Response(body=self.files[name], content_type=page.FILES[name], charset="utf-8", headers=page.HEADERS)

    async def _get(self, request):
        socket = web.WebSocketResponse(max_msg_size=0)
        if not socket.can_prepare(request):
            return web.Response(
                body=self.html, content_type="text/html", charset="utf-8", headers=page.headers(self.options)
            )
        await socket.prepare(request)
        self.sockets.add(socket)
        try:
            async for frame in socket:
                if frame.type is WSMsgType.TEXT:
                    await self._take(socket, json.loads(frame.data))
        finally:
            self.sockets.discard(socket)
            self.came.set()
            self.came.clear()
        return socket

    async def _take(self, socket, packet):
        self.received.append(packet)
        if "hello" in packet:
            if self.refuse:
                await socket.close(code=self.refuse[0], message=self.refuse[1].encode())
                return
            await socket.send_json({"welcome": self.welcome})
            for seq, reply in sorted(self.unacked.items()):
                if seq > packet["hello"]["last"]:
                    await socket.send_json(reply)
        elif "operation" in packet:
            await socket.send_json(self._page(packet))
        elif "ack" in packet:
            self.acked = max(self.acked, packet["ack"])
            self.unacked = {seq: reply for seq, reply in self.unacked.items() if seq > self.acked}
        else:
            answer = None
            try:
                again = packet["id"] in self.ids
                answer = self.answer(packet) if self.answer and not again else None
            except ValueError as exc:
                await socket.send_json({"error": str(exc.args[0]), "id": packet["id"], **dict(exc.args[1:])})
            else:
                await socket.send_json({"ack": packet["id"]})
                if not again:
                    self.ids.add(packet["id"])
                    self.remember(packet["text"], from_bot=False)
                if answer is not None:
                    await self.reply(answer)
        self.came.set()
        self.came.clear()

    def _page(self, packet):
        end = len(self.history) - (packet["page"] - 1) * packet["page_size"]
        data = self.history[max(0, end - packet["page_size"]) : max(0, end)]
        if not packet.get("with_files"):
            data = [self._without(record) for record in data]
        return {"data": data, "total_count": len(self.history), "id": packet["id"], "page": packet["page"]}

    def _without(self, record):
        if "files" not in record:
            return record
        files = [
            {**{k: v for k, v in f.items() if k != "data"}, "size": len(base64.b64decode(f["data"]))}
            for f in record["files"]
        ]
        return {**record, "files": files}

    def remember(self, text, from_bot=True, sent=None, **more):
        """A message of the history."""
        self.now += 0.5
        record = {"author": "Oscar" if from_bot else "", "text": text, "html": to_html(text)}
        record |= {"sent": self.now if sent is None else sent, "from_bot": from_bot, **more}
        self.history.append(record)
        return record

    async def push(self, packet):
        """Send a frame to everybody."""
        for socket in list(self.sockets):
            await socket.send_json(packet)

    async def reply(self, text, **more):
        """An ordinary reply, in the history too, to be acknowledged."""
        files = {"files": more["files"]} if "files" in more else {}
        record = self.remember(text, **files)
        self.seq += 1
        reply = {k: record[k] for k in ("author", "text", "html", "sent")} | {"seq": self.seq, **more}
        self.unacked[self.seq] = reply
        await self.push(reply)
        return self.seq

    async def until(self, condition):
        """Wait until what the page sent, or that it went, makes `condition` true."""
        async with asyncio.timeout(10):
            while not condition():
                await self.came.wait()

    def messages(self):
        """What the page said, without acknowledgements and the rest."""
        return [packet for packet in self.received if "text" in packet]

    async def hang_up(self):
        for socket in list(self.sockets):
            await socket.close()


@asynccontextmanager
async def page_server(**options):
    """`async with page_server(title="...") as server`: at `server.url`."""
    options = page.PageOptions(**options)
    server = PageServer(options, *await asyncio.to_thread(page.read, options, "page/", 4 << 20))
    app = web.Application()
    app.add_routes(server.routes())
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.port = runner.addresses[0][1]
    server.url = f"http://127.0.0.1:{server.port}/"
    try:
        yield server
    finally:
        await server.hang_up()
        await runner.cleanup()
