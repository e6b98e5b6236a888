"""The chat page with the real server."""

import asyncio

import pytest

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_somebody_types_and_reads(serve, page, bubbles):
    async with serve(author="Oscar") as server:
        await page.goto(f"http://127.0.0.1:{server.port('websocket')}/")
        assert await bubbles(page, "bot", 1) == ["welcome"]
        assert await page.locator("#list li.bot .who span").first.inner_text() == "Oscar"
        await page.fill("#text", "hello <b>there</b>")
        await page.press("#text", "Enter")
        assert await bubbles(page, "bot", 2) == ["welcome", "echo hello <b>there</b>"]
        assert await bubbles(page, "mine", 1) == ["hello <b>there</b>"]
        assert await page.inner_text("#state") == "Connected"
        assert page.problems == []


async def test_nothing_is_lost_or_doubled_while_the_server_is_away(serve, page, bubbles, tmp_path):
    conf = {"store": f"sqlite:///{tmp_path}/zoozl.db"}
    async with serve(**conf) as server:
        port = server.port("websocket")
        await page.goto(f"http://127.0.0.1:{port}/")
        await bubbles(page, "bot", 1)
        await page.fill("#text", "before")
        await page.press("#text", "Enter")
        await bubbles(page, "bot", 2)
    await page.locator("#state.gone").wait_for()
    assert "Trying again" in await page.inner_text("#state")
    await page.fill("#text", "typed meanwhile")
    await page.click("#send")
    assert await bubbles(page, "waiting", 1) == ["typed meanwhile"]
    async with serve(websocket_port=port, **conf):
        async with asyncio.timeout(20):
            await page.locator("#state:not(.gone)").wait_for()
            assert await bubbles(page, "bot", 3) == ["welcome", "echo before", "echo typed meanwhile"]
        assert await page.locator("#list li.waiting").count() == 0


@pytest.mark.parametrize("store", ["memory", "sqlite"])
async def test_a_reload_goes_on_with_the_same_conversation(serve, page, bubbles, tmp_path, store):
    conf = {"store": f"sqlite:///{tmp_path}/zoozl.db"} if store == "sqlite" else {"store": "memory"}
    async with serve(**conf) as server:
        await page.goto(f"http://127.0.0.1:{server.port('websocket')}/")
        await page.fill("#text", "before")
        await page.press("#text", "Enter")
        await bubbles(page, "bot", 2)
        await page.reload()
        await bubbles(page, "bot", 2)
        await page.fill("#text", "after")
        await page.press("#text", "Enter")
        assert await bubbles(page, "bot", 3) == ["welcome", "echo before", "echo after"], "no second greeting"
        assert await bubbles(page, "mine", 2) == ["before", "after"]
        assert page.problems == []


@pytest.mark.parametrize("path", ["/chat", "/chat/", "/a/b"])
async def test_the_page_works_below_any_path(serve, page, bubbles, path):
    async with serve(websocket={"path": path}) as server:
        await page.goto(f"http://127.0.0.1:{server.port('websocket')}{path}")
        assert await bubbles(page, "bot", 1) == ["welcome"]
        assert page.problems == []


async def test_a_title_is_shown_as_text(serve, page):
    async with serve(websocket={"title": "Me & <b>{{files}}</b>"}) as server:
        await page.goto(f"http://127.0.0.1:{server.port('websocket')}/")
        assert await page.title() == "Me & <b>{{files}}</b>"
        assert await page.inner_text("h1") == "Me & <b>{{files}}</b>"
        assert page.problems == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_the_page_fits_a_phone(serve, browser, bubbles, scheme):
    context = await browser.new_context(viewport={"width": 360, "height": 640}, color_scheme=scheme)
    page = await context.new_page()
    async with serve() as server:
        await page.goto(f"http://127.0.0.1:{server.port('websocket')}/")
        await page.fill("#text", "a" * 300)
        await page.press("#text", "Enter")
        await bubbles(page, "bot", 2)
        assert await page.evaluate("document.documentElement.scrollWidth") <= 360
        assert await page.evaluate("document.getElementById('log').scrollWidth") <= 360


async def test_files_go_up_and_come_down(serve, page, bubbles):
    async with serve() as server:
        await page.goto(f"http://127.0.0.1:{server.port('websocket')}/")
        await bubbles(page, "bot", 1)
        await page.set_input_files("#picker", files=[{"name": "a.txt", "mimeType": "text/plain", "buffer": b"content"}])
        assert "a.txt (7 B)" in await page.inner_text("#chosen")
        await page.fill("#text", "look")
        await page.press("#text", "Enter")
        assert await bubbles(page, "bot", 2) == ["welcome", "echo look"]
        async with page.expect_download() as download:
            await page.click("#list li.bot figure a")
        saved = await (await download.value).path()
        assert (await download.value).suggested_filename == "a.txt"
        assert await asyncio.to_thread(saved.read_bytes) == b"content"
        assert page.problems == []
