"""Slack's Web API that takes 200 ms over each post, in a process of its own; it tells at /posts what was posted."""

import asyncio
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "fakes"))

from aiohttp import WSMsgType, web
from fake_slack import FakeSlack

DELAY = 0.2


class SlowSlack(FakeSlack):
    """The fake of the tests, slower."""

    def __init__(self):
        super().__init__()
        self.listeners = set()
        self.out_of_order = False

    def routes(self):
        yield from super().routes()
        yield web.get("/posts", self._posts)

    async def _posts(self, request):
        """Whoever listens says "fail" or "work", and is told the channel and the text of each post that was made."""
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.listeners.add(socket)
        async for frame in socket:
            if frame.type is WSMsgType.TEXT:
                self.out_of_order = frame.data == "fail"
                await socket.send_json([])
        self.listeners.discard(socket)
        return socket

    async def _call(self, request):
        if request.match_info["method"] != "chat.postMessage":
            return await super()._call(request)
        if self.out_of_order:
            return web.json_response({"ok": False, "error": "internal_error"}, status=503)
        await asyncio.sleep(DELAY)
        body, answer = await request.json(), await super()._call(request)
        for socket in list(self.listeners):
            await socket.send_json([body["channel"], body["text"]])
        return answer


if __name__ == "__main__":
    app = web.Application()
    app.add_routes(SlowSlack().routes())
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None, access_log=None)
