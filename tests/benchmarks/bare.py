"""The yardstick: a websocket echo of JSON frames with aiohttp and nothing else."""

import json
import sys

from aiohttp import WSMsgType, web


async def serve(request):
    socket = web.WebSocketResponse(compress=False)
    await socket.prepare(request)
    async for frame in socket:
        if frame.type is WSMsgType.TEXT:
            packet = json.loads(frame.data)
            await socket.send_str(json.dumps({"author": "", "text": packet["text"]}))
    return socket


if __name__ == "__main__":
    app = web.Application()
    app.add_routes([web.get("/", serve)])
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None, access_log=None)
