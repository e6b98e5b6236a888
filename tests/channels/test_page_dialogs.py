"""Dialogs in the chat page with the real server: buttons, forms, growing answers, and a server that is killed."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import pytest_asyncio

pytestmark = pytest.mark.asyncio(loop_scope="module")

FAKES = Path(__file__).parents[1] / "fakes"


@pytest.fixture
def talk(serve, tmp_path):
    def make(**conf):
        return serve(extensions=["fake_dialogs"], store=f"sqlite:///{tmp_path}/zoozl.db", **conf)

    return make


async def open_page(page, server):
    await page.goto(f"http://127.0.0.1:{server.port('websocket')}/")
    await page.locator("#state", has_text="Connected").wait_for()


async def say(page, text):
    await page.fill("#text", text)
    await page.press("#text", "Enter")


async def test_an_order_by_buttons_and_words(talk, page, bubbles):
    async with talk() as server:
        await open_page(page, server)
        await say(page, "/order")
        await page.get_by_role("button", name="Cake").wait_for()
        assert await bubbles(page, "bot", 1) == ["What will it be?"]
        await page.get_by_role("button", name="Fish of the *day*").click()
        assert await bubbles(page, "bot", 2) == ["What will it be?", "How many?"]
        assert await page.locator(".choices button:disabled").count() == 3
        await say(page, "2")
        await page.get_by_role("button", name="Yes").click()
        assert (await bubbles(page, "bot", 4))[2:] == ["2 times f, right?", "2 f coming."]
        assert await bubbles(page, "mine", 4) == ["/order", "Fish of the *day*", "2", "Yes"]
        await page.reload()
        await bubbles(page, "bot", 4)
        assert await bubbles(page, "mine", 4) == ["/order", "Fish of the *day*", "2", "Yes"]
        assert await page.locator(".choices").count() == 0, "nothing is asked any more"
        assert page.problems == []


async def test_open_buttons_stay_and_work_when_the_page_is_loaded_again(talk, page, bubbles):
    async with talk() as server:
        await open_page(page, server)
        await say(page, "/order")
        await page.get_by_role("button", name="Cake").wait_for()
        await page.reload()
        await page.get_by_role("button", name="Soup").wait_for()
        assert await bubbles(page, "bot", 1) == ["What will it be?"], "once, and without the numbers"
        await say(page, "lobster")
        await page.locator(".choices button:enabled").nth(2).wait_for()
        assert await bubbles(page, "bot", 2) == ["What will it be?", "Please choose one of these:"]
        assert await page.locator(".choices button:disabled").count() == 3, "those of the first time"
        await page.locator(".choices button:enabled", has_text="Soup").click()
        assert (await bubbles(page, "bot", 3))[2] == "How many?"


async def test_a_form_is_filled_in(talk, page, bubbles):
    async with talk() as server:
        await open_page(page, server)
        await say(page, "/table")
        form = page.get_by_role("form", name="A table for you")
        await form.get_by_label("Your name").fill("Ann")
        await form.get_by_label("Which day").fill("2026-12-24")
        await form.get_by_label("Where").select_option("Outside")
        await form.get_by_label("With a dog").check()
        await form.get_by_role("button", name="Send").click()
        done = "name=Ann, people=2, day=2026-12-24, place=out, dog=yes, wish="
        assert await bubbles(page, "bot", 2) == ["A table for you", done]
        filled = ["Your name: Ann", "How many people: 2", "Which day: 2026-12-24", "Where: Outside", "With a dog: yes"]
        assert (await bubbles(page, "mine", 2))[1].splitlines() == [*filled, "Anything else:"]
        await page.reload()
        assert (await bubbles(page, "mine", 2))[1].splitlines()[:5] == filled
        assert await page.get_by_role("form", name="A table for you").count() == 0
        assert page.problems == []


async def test_a_secret_is_typed_unseen(talk, page, bubbles):
    async with talk(vault={"key": "5CJ_kbj3ZrZ7zCgAUXv7R_dCHxZkl2pUcs3Rt3zLd0Q="}) as server:
        await open_page(page, server)
        await say(page, "/login")
        form = page.get_by_role("form", name="Your word?")
        await form.get_by_label("Answer").fill("hunter2")
        await form.get_by_role("button", name="Send").click()
        assert await bubbles(page, "bot", 2) == ["Your word?", "7 characters."]
        assert (await bubbles(page, "mine", 2))[1] == "Answer: ••••••••"
        await page.reload()
        assert (await bubbles(page, "mine", 2))[1] == "●●●"


async def test_it_is_shown_that_the_bot_is_at_work(talk, page, bubbles):
    async with talk(author="Oscar") as server:
        await open_page(page, server)
        await say(page, "/slow")
        await page.locator("#typing", has_text="is writing").wait_for()
        from fake_dialogs import Slow

        Slow.go_on.set()
        assert await bubbles(page, "bot", 1) == ["There."]
        await page.locator("#typing").wait_for(state="hidden")


async def test_an_answer_grows_in_its_place(talk, page, bubbles):
    async with talk() as server:
        await open_page(page, server)
        await say(page, "/tale")
        from fake_dialogs import Tale

        growing = page.locator(".growing .words")
        async with asyncio.timeout(20):
            while not await growing.count():
                Tale.more.put_nowait("**la** ")
                await asyncio.sleep(0.05)
        assert await growing.locator("strong").count() >= 1
        Tale.more.put_nowait("end.")
        Tale.more.put_nowait(None)
        await page.locator("li.bot:not(.growing) .words", has_text="end.").wait_for()
        first, second = await bubbles(page, "bot", 2)
        assert first == "Listen."
        assert second.startswith("la")
        assert await growing.count() == 0
        assert page.problems == []


@pytest_asyncio.fixture(loop_scope="module")
async def killable(tmp_path):
    """`await start()` gives a server process on always the same port and store."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (tmp_path / "chatbot.toml").write_text(f'extensions = ["fake_dialogs"]\nwebsocket_port = {port}\n')
    started = []

    async def start():
        command = [sys.executable, "-m", "zoozl", "--conf", str(tmp_path / "chatbot.toml")]
        env = {**os.environ, "PYTHONPATH": str(FAKES)}
        process = await asyncio.create_subprocess_exec(*command, env=env, stdout=subprocess.PIPE)
        started.append(process)
        while b"Ctrl+C" not in (line := await process.stdout.readline()):
            assert line, "it ended"
        return process, f"http://127.0.0.1:{port}/"

    yield start
    for process in started:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        await process.communicate()


async def test_a_dialog_goes_on_when_the_server_was_killed(killable, page, bubbles):
    process, url = await killable()
    await page.goto(url)
    await say(page, "/order")
    await page.get_by_role("button", name="Cake").wait_for()
    process.kill()
    await process.wait()
    await page.locator("#state.gone").wait_for()
    await page.get_by_role("button", name="Cake").click()
    assert await bubbles(page, "waiting", 1) == ["Cake"]
    process, _ = await killable()
    assert await bubbles(page, "bot", 2) == ["What will it be?", "How many?"]
    await say(page, "3")
    await page.get_by_role("button", name="Yes").wait_for()
    process.kill()
    await process.wait()
    await killable()
    await page.locator("#state", has_text="Connected").wait_for()
    await page.get_by_role("button", name="Yes").click()
    assert (await bubbles(page, "bot", 4))[2:] == ["3 times c, right?", "3 c coming."]
    assert await bubbles(page, "mine", 4) == ["/order", "Cake", "3", "Yes"]
