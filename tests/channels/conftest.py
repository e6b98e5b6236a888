"""A real browser for the tests of the chat page; they are skipped where there is no Chromium."""

import importlib
import json
import os
import shutil
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio

CHROMIUM = os.environ.get("ZOOZL_TEST_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def chromium():
    """A browser for all tests of a module: to start one takes longer than most of them."""
    async_api = pytest.importorskip("playwright.async_api", exc_type=ImportError)
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    async with async_api.async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="module")
async def browser(chromium):
    """The browser without anything in it. Its tests are of `pytest.mark.asyncio(loop_scope="module")`."""
    yield chromium
    for context in chromium.contexts:
        await context.close()


@pytest.fixture
def watched():
    """Has a page keep what goes wrong in it, as `page.problems`."""

    def watch(page):
        page.problems = []
        page.on("console", lambda message: page.problems.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: page.problems.append(str(error)))
        page.set_default_timeout(10_000)
        return page

    return watch


@pytest_asyncio.fixture(loop_scope="module")
async def page(browser, watched):
    return watched(await browser.new_page())


@pytest.fixture
def talking(monkeypatch):
    """`async with talking(title="...") as server`: the server of tests/fakes/page_server.py."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "fakes"))
    return importlib.import_module("page_server").page_server


@pytest.fixture
def bubbles():
    """`await bubbles(page, "bot", 2)`: the texts of all bubbles of a kind, once there are two of them."""

    async def read(page, kind, number):
        words = page.locator(f"#list li.{kind} .words")
        await words.nth(number - 1).wait_for()
        return [text.strip() for text in await words.all_inner_texts()]

    return read


MATTERMOST_OPERATIONS = Path(__file__).parents[1] / "data" / "mattermost_operations.json"


@pytest.fixture
def fake(monkeypatch):
    """The module tests/fakes/fake_mattermost.py."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "fakes"))
    return importlib.import_module("fake_mattermost")


@pytest.fixture
async def site(fake):
    """A fake Mattermost; every call to it must be one of the API's description."""
    async with fake.fake_mattermost(json.loads(MATTERMOST_OPERATIONS.read_text())) as site:
        yield site
        assert site.problems == []


@pytest.fixture
def mattermost(serve, site, fake):
    """`async with mattermost(...) as server`: connected to the site; the options are those of [mattermost]."""

    @asynccontextmanager
    async def running(conf=None, **options):
        table = {"url": site.url, "token": fake.TOKEN, "reconnect_delay": 0.05, **options}
        settings = {"extensions": ["fake_desk"], "store": "memory:", "websocket_port": None, **(conf or {})}
        async with serve(mattermost=table, **settings) as server:
            await site.until(lambda: site.connections)
            yield server

    return running
