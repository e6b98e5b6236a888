"""The chat page by keyboard, by screen reader and by axe, which knows what shuts people out."""

import os
from pathlib import Path

import pytest

pytestmark = pytest.mark.asyncio(loop_scope="module")

MARKDOWN = """# Heading

Some *text* with `code`, a [link](https://example.com) and

```python
print("hello")
```

| a | b |
|---|---|
| 1 | 2 |

> quoted
"""
CHOICES = {"question": "q", "options": [{"value": "a", "label": "One"}, {"value": "b", "label": "Two"}]}
FORM = {
    "question": "f",
    "title": "Order",
    "fields": [
        {"name": "n", "label": "Name", "type": "text", "required": True},
        {"name": "k", "label": "Kind", "type": "select", "options": [{"value": "a", "label": "A"}]},
        {"name": "c", "label": "Sure", "type": "checkbox"},
    ],
}


@pytest.fixture
def axe():
    """The text of axe.min.js: from ZOOZL_TEST_AXE, or from node_modules here."""
    path = Path(os.environ.get("ZOOZL_TEST_AXE") or Path(__file__).parents[2] / "node_modules/axe-core/axe.min.js")
    if not path.is_file():
        pytest.skip("no axe-core: npm install axe-core, or ZOOZL_TEST_AXE=.../axe.min.js")
    return path.read_text("utf-8")


async def everything(server, page):
    """A conversation with all there is."""
    for n in range(60):
        server.remember(f"message {n}", from_bot=n % 2 > 0)
    await page.goto(server.url)
    await page.locator(".words", has_text="message 59").wait_for()
    await server.reply(MARKDOWN)
    await server.reply("Which?", choices=CHOICES, files=[{"filename": "a.txt", "media_type": "text/plain", "data": ""}])
    await server.reply("Order", form=FORM)
    await server.reply("Edited", answered=["q"])
    await server.push({"stream": {"id": "s", "text": "It grows", "html": "<p>It grows</p>"}})
    await server.push({"error": "something went wrong"})
    await server.push({"typing": True})
    await page.locator("#typing").wait_for()
    await page.set_input_files("#picker", files=[{"name": "a.txt", "mimeType": "text/plain", "buffer": b"x"}])


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1000])
async def test_axe_finds_nothing_serious(talking, browser, watched, axe, scheme, width):
    context = await browser.new_context(viewport={"width": width, "height": 700}, color_scheme=scheme)
    page = watched(await context.new_page())
    async with talking(title="Ask Oscar", accent="#ffb000") as server:
        await everything(server, page)
        await page.evaluate(axe)
        for place in ("end", "middle"):
            if place == "middle":
                await page.evaluate("document.getElementById('log').scrollTop -= 900")
                await page.locator("#jump").wait_for()
                await page.wait_for_timeout(50)
            found = (await page.evaluate("axe.run()"))["violations"]
            told = [(v["id"], v["impact"], [n["html"] for n in v["nodes"]]) for v in found]
            assert [one for one in told if one[1] in ("serious", "critical", "moderate")] == [], place


async def test_everything_is_reached_by_keyboard(talking, page):
    async with talking() as server:
        await page.goto(server.url)
        await page.locator("#state", has_text="Connected").wait_for()
        assert await page.evaluate("document.activeElement.id") == "text"
        await page.keyboard.type("hello")
        await page.keyboard.press("Shift+Enter")
        await page.keyboard.type("there")
        await page.keyboard.press("Enter")
        await server.until(server.messages)
        assert server.messages()[0]["text"] == "hello\nthere"
        await server.reply(MARKDOWN)
        await server.reply("Which?", choices=CHOICES)
        await page.locator(".choices").wait_for()
        reached = []
        for _ in range(10):
            await page.keyboard.press("Shift+Tab")
            reached.append(
                await page.evaluate(
                    "(document.activeElement.ariaLabel || document.activeElement.textContent).slice(0, 20)"
                )
            )
        expected = ["Attach files", "Two", "One", "Table", 'print("hello")\n', "Copy the code", "link", "Conversation"]
        assert reached[:8] == expected
        await page.get_by_role("button", name="Two").focus()
        await page.keyboard.press("Enter")
        await server.until(lambda: len(server.messages()) == 2)
        assert server.messages()[1]["choice"]["value"] == "b"


async def test_new_replies_are_spoken_and_scrolled_ones_are_not(talking, page):
    async with talking() as server:
        for n in range(200):
            server.remember(f"message {n}")
        await page.goto(server.url)
        await page.locator(".words", has_text="message 199").wait_for()
        await page.evaluate("document.getElementById('log').scrollTop = 0")
        await page.locator(".words", has_text="message 140").wait_for()
        assert await page.inner_text("#spoken") == ""
        await server.push({"stream": {"id": "s", "text": "It", "html": "<p>It</p>"}})
        await server.reply("It **is** `so`", stream="s")
        await page.locator("#spoken p").wait_for(state="attached")
        assert await page.locator("#spoken p").all_text_contents() == ["Oscar: It is so"]
        assert await page.locator("#log [aria-live], #list[role=log]").count() == 0
