"""The yardstick: aiohttp that verifies Slack's signature, acknowledges, posts the same text, and does nothing else."""

import asyncio
import hashlib
import hmac
import json
import sys
import time

from aiohttp import ClientSession, web

TASKS = set()


class Bot:
    def __init__(self, url, secret, token):
        self.url, self.secret, self.token = url, secret.encode(), token

    async def opened(self, app):
        async with ClientSession(headers={"Authorization": f"Bearer {self.token}"}) as self.http:
            yield

    async def serve(self, request):
        body = await request.read()
        at = request.headers["X-Slack-Request-Timestamp"]
        digest = hmac.new(self.secret, f"v0:{at}:".encode() + body, hashlib.sha256).hexdigest()
        right = hmac.compare_digest(f"v0={digest}", request.headers["X-Slack-Signature"])
        if not right or abs(time.time() - int(at)) > 300:
            raise web.HTTPForbidden
        event = json.loads(body)["event"]
        task = asyncio.create_task(self.post({"channel": event["channel"], "text": event["text"]}))
        TASKS.add(task)
        task.add_done_callback(TASKS.discard)
        return web.Response()

    async def post(self, body):
        async with self.http.post(f"{self.url}/chat.postMessage", json=body) as answer:
            assert (await answer.json())["ok"]


if __name__ == "__main__":
    port, *rest = sys.argv[1:]
    bot = Bot(*rest)
    app = web.Application()
    app.add_routes([web.post("/slack", bot.serve)])
    app.cleanup_ctx.append(bot.opened)
    web.run_app(app, host="127.0.0.1", port=int(port), print=None, access_log=None)
