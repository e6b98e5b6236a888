"""The pager's channel passes the suite, against a pager of a few lines."""

from contextlib import asynccontextmanager

from aiohttp import ClientSession, web
from pager import LONGEST_BODY, LONGEST_TEXT

from zoozl.testing.conformance import BOSS, Capability, Conformance, Driver, Heard, Limit, Outcome

KEY = "what the pager and the bot have agreed on"
# What becomes of a message; or it is refused by an answer.
SHOWN, BROKEN, LOST = "shown", "not shown, the connection ends", "shown, and the connection ends"
TEXT_ONLY = "A pager shows text and nothing else."


class PagerDriver(Driver):
    title = "Pager"
    channel = "pager"
    absent = {
        Capability.EDIT: "What was sent from a pager stays as it is.",
        Capability.ROOMS: "A pager belongs to one person.",
        Capability.THREADS: "A pager shows one message below the other.",
        Capability.FILES_IN: TEXT_ONLY,
        Capability.FILES_OUT: TEXT_ONLY,
        Capability.STREAM: "What was sent to a pager stays as it is.",
        Capability.BUTTONS: TEXT_ONLY,
        Capability.FORMS: TEXT_ONLY,
        Capability.COMMANDS: "A pager has none; what begins with a slash is a message like any other.",
        Capability.TYPING: TEXT_ONLY,
        Capability.RECONNECT: "There is a request for every message, and no connection.",
        Capability.GAP: "The pager's server delivers again what was not acknowledged.",
        Capability.LOOPS: "Only people have pagers.",
    }
    notes = {Capability.REFUSE: "By status 503."}
    text_limit = Limit(LONGEST_TEXT, "characters")
    secrets = (KEY,)

    def __init__(self):
        self.shown = {}
        self.arranged = []

    @asynccontextmanager
    async def platform(self):
        app = web.Application()
        app.add_routes([web.post("/show", self.show)])
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}/show"
        try:
            async with ClientSession() as self.http:
                yield
        finally:
            await runner.cleanup()

    async def show(self, request):
        outcome = self.arranged.pop(0) if self.arranged else SHOWN
        if outcome in (SHOWN, LOST):
            packet = await request.json()
            self.shown.setdefault(packet["key"], Heard(packet["text"], packet["to"]))
        if outcome in (BROKEN, LOST):
            request.transport.abort()
        return outcome if isinstance(outcome, web.Response) else web.Response()

    def options(self):
        return {"type": "pager:Channel", "port": 0, "url": self.url, "key": KEY, "roles": {"boss": [BOSS]}}

    @asynccontextmanager
    async def connected(self, server):
        self.bot = f"http://127.0.0.1:{server.port('pager')}/pager"
        yield

    async def post(self, key=KEY, **body):
        async with self.http.post(self.bot, headers={"X-Pager-Key": key}, **body) as response:
            return {200: Outcome.TAKEN, 503: Outcome.AGAIN}.get(response.status, Outcome.REFUSED)

    def packet(self, said):
        return {"id": str(said.number), "from": said.talker, "text": said.text}

    async def deliver(self, said):
        return await self.post(json=self.packet(said))

    def heard(self):
        return list(self.shown.values())

    def arrange(self, outcome, after):
        self.arranged += [*[SHOWN] * after, outcome]

    def slow_down(self, seconds, after=0):
        self.arrange(web.Response(status=429, headers={"Retry-After": str(seconds)}), after)

    def fail_once(self, after=0, *, broken=False):
        self.arrange(BROKEN if broken else web.Response(status=503), after)

    def lose_receipt(self, after=0):
        self.arrange(LOST, after)

    async def oversize(self):
        return [await self.post(json={"id": "1", "from": "anna", "text": "x" * LONGEST_BODY})]

    async def garbage(self):
        for body in (b"", b"{", b"[]", b"\xff", b"null", b"5", b'{"id": 5, "from": [], "text": {}}', b"[" * 5_000):
            assert await self.post(data=body) is Outcome.REFUSED

    async def forge(self, said):
        return [await self.post(key, json=self.packet(said)) for key in ("", "another", KEY[:-1])]


class TestPager(Conformance):
    driver_class = PagerDriver
