"""The chat page in a real browser. Skipped where there is no Chromium."""

import asyncio
import os
import shutil

import pytest

async_api = pytest.importorskip("playwright.async_api", exc_type=ImportError)
CHROMIUM = os.environ.get("ZOOZL_TEST_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture
async def browser():
    async with async_api.async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        await browser.close()


@pytest.fixture
async def page(browser):
    page = await browser.new_page()
    page.problems = []
    page.on("console", lambda message: page.problems.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: page.problems.append(str(error)))
    return page


async def bubbles(page, kind, number):
    """The texts of the first `number` bubbles of a kind, once they are there."""
    await page.locator(f"#log li.{kind}").nth(number - 1).wait_for()
    return await page.locator(f"#log li.{kind}").all_text_contents()


async def test_somebody_types_and_reads(serve, page):
    async with serve(author="Oscar") as server:
        await page.goto(f"http://127.0.0.1:{server.port('websocket')}/")
        assert await bubbles(page, "bot", 1) == ["welcome"]
        assert await page.locator("#log li.bot").first.get_attribute("data-author") == "Oscar"
        await page.fill("#text", "hello <b>there</b>")
        await page.press("#text", "Enter")
        assert await bubbles(page, "bot", 2) == ["welcome", "echo hello <b>there</b>"]
        assert await bubbles(page, "mine", 1) == ["hello <b>there</b>"]
        assert await page.inner_text("#state") == "Connected"
        assert page.problems == []


async def test_nothing_is_lost_or_doubled_while_the_server_is_away(serve, page, tmp_path):
    conf = {"store": f"sqlite:///{tmp_path}/zoozl.db"}
    async with serve(**conf) as server:
        port = server.port("websocket")
        await page.goto(f"http://127.0.0.1:{port}/")
        await bubbles(page, "bot", 1)
        await page.fill("#text", "before")
        await page.press("#text", "Enter")
        await bubbles(page, "bot", 2)
    await page.locator("#state.gone").wait_for()
    assert "No connection" in await page.inner_text("#state")
    await page.fill("#text", "typed meanwhile")
    await page.click("#send")
    assert await bubbles(page, "waiting", 1) == ["typed meanwhile"]
    async with serve(websocket_port=port, **conf):
        async with asyncio.timeout(20):
            await page.locator("#state:not(.gone)").wait_for()
            assert await bubbles(page, "bot", 3) == ["welcome", "echo before", "echo typed meanwhile"]
        assert await page.locator("#log li.waiting").count() == 0


async def test_a_reload_goes_on_with_the_same_conversation(serve, page):
    async with serve() as server:
        await page.goto(f"http://127.0.0.1:{server.port('websocket')}/")
        await bubbles(page, "bot", 1)
        await page.reload()
        await page.locator("#state:not(.gone)").wait_for()
        await page.fill("#text", "after")
        await page.press("#text", "Enter")
        assert await bubbles(page, "bot", 1) == ["echo after"], "no second greeting"


@pytest.mark.parametrize("path", ["/chat", "/chat/", "/a/b"])
async def test_the_page_works_below_any_path(serve, page, path):
    async with serve(websocket={"path": path}) as server:
        await page.goto(f"http://127.0.0.1:{server.port('websocket')}{path}")
        assert await bubbles(page, "bot", 1) == ["welcome"]
        assert page.problems == []


async def test_a_title_is_shown_as_text(serve, page):
    async with serve(websocket={"title": "Me & <b>you</b>"}) as server:
        await page.goto(f"http://127.0.0.1:{server.port('websocket')}/")
        assert await page.title() == "Me & <b>you</b>"
        assert await page.inner_text("h1") == "Me & <b>you</b>"
        assert page.problems == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_the_page_fits_a_phone(serve, browser, scheme):
    context = await browser.new_context(viewport={"width": 360, "height": 640}, color_scheme=scheme)
    page = await context.new_page()
    async with serve() as server:
        await page.goto(f"http://127.0.0.1:{server.port('websocket')}/")
        await page.fill("#text", "a" * 300)
        await page.press("#text", "Enter")
        await bubbles(page, "bot", 2)
        assert await page.evaluate("document.documentElement.scrollWidth") <= 360
