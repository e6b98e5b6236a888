"""The chat page within another site, by one script tag."""

import base64
import json
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

pytestmark = pytest.mark.asyncio(loop_scope="module")


@asynccontextmanager
async def site(html):
    """Another site: `(url, set_html)`."""
    shown = {"html": html}

    async def get(request):
        return web.Response(text=shown["html"], content_type="text/html")

    app = web.Application()
    app.add_routes([web.get("/", get)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    # By another name than the bot, so that it is another site as well as another origin.
    url = f"http://localhost:{runner.addresses[0][1]}"
    try:
        yield url, lambda text: shown.update(html=text)
    finally:
        await runner.cleanup()


def token(**claims):
    parts = ({"alg": "HS256"}, claims)
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts) + ".x"


def tag(server, attributes=""):
    return (
        f'<link rel="icon" href="data:,"><h1>A shop</h1><script src="{server.url}page/embed.js" {attributes}></script>'
    )


async def test_a_script_tag_opens_the_page(talking, page):
    async with site("") as (url, show), talking(embed_origins=[url], accent="#ffe600") as server:
        show(tag(server, 'data-label="Ask us" defer'))
        await page.goto(url)
        assert server.received == [], "nothing is loaded before it is wanted"
        button = page.get_by_role("button", name="Ask us")
        assert await button.evaluate("(b) => getComputedStyle(b).backgroundColor") == "rgb(255, 230, 0)"
        await button.click()
        frame = page.frame_locator("iframe")
        await frame.locator("#state", has_text="Connected").wait_for()
        await frame.locator("#text").fill("hello")
        await frame.locator("#text").press("Enter")
        await server.until(server.messages)
        assert server.received[0] == {"hello": {"resume": None, "last": 0}}
        await frame.locator("#text").press("Escape")
        await page.locator("iframe").wait_for(state="hidden")
        await server.reply("an answer")
        await page.get_by_role("button", name="Ask us (1)").wait_for()
        assert page.problems == []


async def test_a_site_that_is_not_named_gets_no_page(talking, page):
    async with site("") as (url, show), talking(embed_origins=["https://www.example.com"]) as server:
        show(tag(server, 'data-open="true"'))
        await page.goto(url)
        await page.locator("iframe").wait_for()
        await page.wait_for_function("document.querySelector('iframe') || true")
        async with page.expect_event("console", lambda message: "frame-ancestors" in message.text):
            await page.reload()
        assert server.received == []


async def test_the_token_comes_by_message_and_never_in_a_url(talking, page):
    urls = []
    page.on("request", lambda request: urls.append(request.url))
    page.on("websocket", lambda socket: urls.append(socket.url))
    first, second = token(sub="ann", exp=1), token(sub="ann", exp=2)
    async with site("") as (url, show), talking(embed_origins=[url]) as server:
        show(tag(server, f'data-open="true" data-token="{first}"'))
        await page.goto(url)
        frame = page.frame_locator("iframe")
        await frame.locator("#state", has_text="Connected").wait_for()
        assert server.received[0]["hello"]["auth"] == {"token": first}
        await server.reply("for Ann")
        await server.until(lambda: server.acked == 1)
        # It expires: the site is asked for another one, and the conversation goes on where it was.
        await page.evaluate(
            "(next) => document.addEventListener('zoozl:token-needed', () => zoozlChat.setToken(next))", second
        )
        for socket in list(server.sockets):
            await socket.close(code=1008, message=b"the token has expired")
        await server.until(lambda: len([p for p in server.received if "hello" in p]) == 2)
        hello = [p["hello"] for p in server.received if "hello" in p][1]
        assert hello == {"resume": "t" * 43, "last": 1, "auth": {"token": second}}
        await frame.locator(".words", has_text="for Ann").wait_for()
        # Somebody else signs in: nothing of Ann's is there.
        server.history = []
        await page.evaluate("(next) => zoozlChat.setToken(next)", token(sub="bob", exp=3))
        await server.until(lambda: len([p for p in server.received if "hello" in p]) == 3)
        hello = [p["hello"] for p in server.received if "hello" in p][2]
        assert (hello["resume"], hello["last"]) == (None, 0)
        await frame.locator(".words").wait_for(state="detached")
        assert not any(first in url or second in url for url in urls)
        stored = await frame.locator("body").evaluate(
            "() => { try { return JSON.stringify(sessionStorage) } catch { return 'nothing may be kept here' } }"
        )
        assert first not in stored
        assert second not in stored
        assert await page.evaluate("document.querySelector('script').dataset.token ?? null") is None


async def test_a_token_from_a_strange_origin_is_not_taken(talking, page):
    """The page is framed by a site it knows, in which a frame of another origin sends messages."""
    async with site("") as (url, show), talking(embed_origins=[url]) as server:
        show(f'<iframe id="chat" src="{server.url}"></iframe>')
        await page.goto(url)
        strange = "<script>parent.frames[0].postMessage({zoozl: 'start', token: 'stolen'}, '*')</script>"
        await page.evaluate(
            "(html) => { const f = document.createElement('iframe'); f.srcdoc = html; f.sandbox = 'allow-scripts';"
            " document.body.append(f); }",
            strange,
        )
        await page.frame_locator("#chat").locator("#state", has_text="Connected").wait_for()
        assert server.received[0] == {"hello": {"resume": None, "last": 0}}


@pytest.mark.parametrize("code", [1008, 3000, 4401, 4403])
async def test_a_refused_page_says_so_and_does_not_knock_again(talking, page, code):
    async with talking() as server:
        server.refuse = (code, "a token is needed")
        await page.goto(server.url)
        await page.locator("#state", has_text="Not signed in: a token is needed").wait_for()
        await page.wait_for_timeout(900)
        assert len(server.received) == 1
