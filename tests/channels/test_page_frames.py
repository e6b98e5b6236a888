"""What the chat page makes of every frame, with a server that says what a test wants."""

import asyncio
import base64

import pytest

pytestmark = pytest.mark.asyncio(loop_scope="module")

CODE = "Look:\n\n```python\nprint('<hello>')\n```\n\n<script>alert(1)</script> [bad](javascript:alert(1)) ![p](https://x.y/p.png)"
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


async def open_page(page, server):
    await page.goto(server.url)
    await page.locator("#state", has_text="Connected").wait_for()
    await server.until(lambda: any("operation" in packet for packet in server.received))


async def say(page, text):
    await page.fill("#text", text)
    await page.press("#text", "Enter")


async def test_markdown_is_shown_and_code_is_copied(talking, browser, watched):
    context = await browser.new_context(permissions=["clipboard-read", "clipboard-write"])
    page = watched(await context.new_page())
    async with talking() as server:
        await open_page(page, server)
        await server.reply(CODE)
        assert await page.locator(".code pre").inner_text() == "print('<hello>')\n"
        assert await page.locator(".code .bar span").inner_text() == "python"
        await page.click(".copy")
        await page.locator(".copy", has_text="Copied").wait_for()
        assert await page.evaluate("navigator.clipboard.readText()") == "print('<hello>')"
        assert await page.locator("#list script").count() == 0
        links = await page.locator("#list .words a").evaluate_all("all => all.map((a) => [a.href, a.rel, a.target])")
        assert links == [["https://x.y/p.png", "noopener noreferrer nofollow", "_blank"]]
        assert page.problems == []


async def test_html_that_no_renderer_would_send_is_not_let_in(talking, page):
    async with talking() as server:
        await open_page(page, server)
        html = (
            '<p onclick="x()" style="position:fixed" id="text" class="hidden">a<img src="/x" onerror="document.title=1">'
            '<script>document.title = 1</script><a href="javascript:document.title=1">b</a><iframe src="/"></iframe>'
            '<svg><a href="/c">c</a></svg><style>p { color: red }</style></p>'
        )
        await server.reply("never mind", html=html)
        left = await page.locator("#list .marked").inner_html()
        assert left == "<p>adocument.title = 1<a>b</a>cp { color: red }</p>"
        assert await page.title() == "zoozl"


async def test_a_choice_is_tapped_once(talking, page):
    choices = {"question": "q1", "options": [{"value": "s", "label": "Small"}, {"value": "l", "label": "Large"}]}
    async with talking() as server:
        await open_page(page, server)
        await server.reply("Which size?", choices=choices)
        await page.get_by_role("button", name="Large").click()
        await server.until(server.messages)
        [message] = server.messages()
        assert (message["text"], message["choice"]) == ("Large", {"question": "q1", "value": "l"})
        assert await page.locator(".choices button:disabled").count() == 2
        await server.reply("Sure?", choices={**choices, "question": "q2"})
        await server.reply("And?", choices={**choices, "question": "q3"})
        await page.locator(".choices button:enabled").nth(3).wait_for()
        await server.reply("By mail, then", answered=["q2"])
        await page.locator(".words", has_text="By mail").wait_for()
        assert await page.locator(".choices button:enabled").count() == 2
        await say(page, "neither")
        await server.until(lambda: len(server.messages()) == 2)
        assert await page.locator(".choices button:enabled").count() == 0


async def test_open_buttons_are_there_after_a_reload(talking, page):
    choices = {"question": "q1", "options": [{"value": "s", "label": "Small"}]}
    async with talking() as server:
        await open_page(page, server)
        await server.reply("Which size?", choices=choices)
        await server.until(lambda: server.acked == 1)
        await page.reload()
        await page.get_by_role("button", name="Small").click()
        await server.until(server.messages)
        assert server.messages()[0]["choice"] == {"question": "q1", "value": "s"}
        await page.reload()
        await page.locator(".words", has_text="Which size?").wait_for()
        assert await page.locator(".choices button:enabled").count() == 0


async def test_a_form_is_filled_in_and_its_password_is_not_shown(talking, page):
    fields = [
        {"name": "name", "label": "Name", "type": "text", "required": True},
        {"name": "many", "label": "How many", "type": "number", "default": 2},
        {"name": "kind", "label": "Kind", "type": "select", "options": [{"value": "a", "label": "Paper"}]},
        {"name": "word", "label": "Password", "type": "password"},
        {"name": "gift", "label": "As a gift", "type": "checkbox"},
    ]
    async with talking() as server:
        await open_page(page, server)
        await server.reply("Please", form={"question": "f", "title": "Order", "fields": fields})
        form = page.get_by_role("form", name="Order")
        await form.get_by_role("button", name="Send").click()
        assert server.messages() == [], "the name is required"
        await form.get_by_label("Name").fill("Ann")
        await form.get_by_label("Kind").select_option("Paper")
        await form.get_by_label("Password").fill("hunter2")
        await form.get_by_label("As a gift").check()
        await form.get_by_role("button", name="Send").click()
        await server.until(server.messages)
        [message] = server.messages()
        values = {"name": "Ann", "many": 2, "kind": "a", "word": "hunter2", "gift": True}
        shown = await page.locator("li.mine .words").inner_text()
        assert message == {"id": message["id"], "text": shown, "form": {"question": "f", "values": values}}
        assert shown.split("\n") == ["Name: Ann", "How many: 2", "Kind: Paper", "Password: ••••••••", "As a gift: yes"]
        assert "hunter2" not in await page.content()
        assert "hunter2" not in await page.evaluate("JSON.stringify(sessionStorage)")


async def test_typing_is_shown_until_the_reply(talking, page):
    async with talking() as server:
        await open_page(page, server)
        await server.reply("first")
        await server.push({"typing": True})
        await page.locator("#typing", has_text="Oscar is writing").wait_for()
        await server.reply("second")
        await page.locator("#typing").wait_for(state="hidden")
        await server.push({"typing": True})
        await page.locator("#typing").wait_for()
        await server.push({"typing": False})
        await page.locator("#typing").wait_for(state="hidden")


async def test_an_answer_grows_and_the_reply_takes_its_place(talking, page, bubbles):
    async with talking() as server:
        await open_page(page, server)
        for text in ("An", "An answer", "An answer that grows"):
            await server.push({"stream": {"id": "s", "text": text, "html": f"<p>{text}</p>"}})
        await page.locator(".growing .words", has_text="that grows").wait_for()
        # The bot's work is shown by the growing answer alone; whatever comes of the other sign, it still grows.
        await server.push({"typing": False})
        await page.locator("li.bot:not(.growing)").wait_for()
        await server.push({"stream": {"id": "s", "text": "An answer that grew", "html": "<p>An answer that grew</p>"}})
        await page.locator(".growing .words", has_text="that grew").wait_for()
        await server.reply("An answer that has grown.", stream="s")
        await page.locator("li.bot:not(.growing)").wait_for()
        assert await bubbles(page, "bot", 1) == ["An answer that has grown."]
        assert server.received[-1] == {"ack": 1}


async def test_a_lost_connection_takes_half_an_answer_with_it(talking, page, bubbles):
    async with talking() as server:
        await open_page(page, server)
        await server.push({"stream": {"id": "s", "text": "An", "html": "<p>An</p>"}})
        await page.locator(".growing").wait_for()
        await server.hang_up()
        await page.locator("#state.gone").wait_for()
        await page.locator("#state:not(.gone)").wait_for()
        await server.reply("An answer.", stream="s")
        assert await bubbles(page, "bot", 1) == ["An answer."]


async def test_a_reply_is_edited(talking, page):
    async with talking() as server:
        await open_page(page, server)
        first = await server.reply("frist")
        await server.reply("second")
        server.seq += 1
        await server.push({"edit": {"seq": first, "text": "first", "html": "<p>first</p>"}, "seq": server.seq})
        await page.locator(".words", has_text="first").wait_for()
        assert await page.locator("li.bot .words").all_inner_texts() == ["first", "second"]
        await server.until(lambda: server.acked == 3)


async def test_a_reply_from_before_a_reload_is_edited(talking, page):
    async with talking() as server:
        await open_page(page, server)
        first = await server.reply("frist")
        await server.until(lambda: server.acked == 1)
        await page.reload()
        await page.locator(".words", has_text="frist").wait_for()
        server.history[0] |= {"text": "first", "html": "<p>first</p>"}
        server.seq += 1
        await server.push({"edit": {"seq": first, "text": "first", "html": "<p>first</p>"}, "seq": server.seq})
        await page.locator(".words", has_text="first").wait_for()
        assert await page.locator("#list li").count() == 1


async def test_after_a_reload_everything_is_there_once(talking, page, bubbles):
    """What was not acknowledged comes by resume and by the history, what was not sent from the page's own store."""
    async with talking() as server:
        await open_page(page, server)
        server.answer = lambda packet: f"echo {packet['text']}"
        await say(page, "ok")
        await bubbles(page, "bot", 1)
        await say(page, "ok")
        await bubbles(page, "bot", 2)
        await server.until(lambda: server.acked == 2)
        # As if acknowledgements got lost on both ways.
        server.unacked = {3: {**server.history[-1], "seq": 3}}
        own = server.history[2]
        key = "zoozl /"
        unsent = {"text": own["text"], "id": server.messages()[1]["id"], "sent": own["sent"]}
        await page.evaluate(
            "([key, unsent]) => sessionStorage.setItem(key, JSON.stringify("
            "{...JSON.parse(sessionStorage.getItem(key)), unsent: [unsent]}))",
            [key, unsent],
        )
        await page.reload()
        await server.until(lambda: server.acked == 3)
        assert [text.strip() for text in await page.locator("#list .words").all_inner_texts()] == [
            *("ok", "echo ok"),
            *("ok", "echo ok"),
        ]


async def test_a_reload_while_offline_keeps_what_was_typed(talking, page, bubbles):
    async with talking() as server:
        await open_page(page, server)
        server.refuse = (1011, "")
        await server.hang_up()
        await page.locator("#state.gone").wait_for()
        await say(page, "typed meanwhile")
        await page.reload()
        assert await bubbles(page, "waiting", 1) == ["typed meanwhile"]
        server.refuse = None
        await page.click("#retry")
        await server.until(server.messages)
        await page.locator("li.waiting").wait_for(state="detached")


async def test_a_refusal_stands_at_its_message_and_can_be_tried_again(talking, page):
    def refuse(packet):
        raise ValueError("too many messages are waiting")

    async with talking() as server:
        await open_page(page, server)
        server.answer = refuse
        await say(page, "hello")
        await page.locator("li.refused .status", has_text="too many messages").wait_for()
        server.answer = lambda packet: "now"
        await page.get_by_role("button", name="Send again").click()
        await page.locator("li.bot").wait_for()
        assert await page.locator("li.refused").count() == 0
        assert len({message["id"] for message in server.messages()}) == 1


async def test_a_message_that_came_too_fast_is_sent_again_by_itself(talking, page, bubbles):
    answers = [ValueError("too fast", {"retry_after": 0.1}), "fine"]

    def answer(packet):
        found = answers.pop(0)
        if isinstance(found, ValueError):
            raise found
        return found

    async with talking() as server:
        await open_page(page, server)
        server.answer = answer
        await say(page, "hello")
        assert await bubbles(page, "bot", 1) == ["fine"]
        assert await page.locator("li.refused, li.note").count() == 0


async def test_a_picture_is_previewed_and_html_is_only_saved(talking, page):
    files = [
        {"filename": "dot.png", "media_type": "image/png", "data": PIXEL},
        {"filename": "evil.svg", "media_type": "image/svg+xml", "data": base64.b64encode(b"<svg/>").decode()},
        {"filename": "evil.html", "media_type": "text/html", "data": base64.b64encode(b"<b>x</b>").decode()},
    ]
    async with talking() as server:
        await open_page(page, server)
        await server.reply("Three files", files=files)
        await page.locator("figure img").wait_for()
        assert await page.locator("figure img").evaluate("async (img) => (await img.decode(), img.naturalWidth)") == 1
        assert await page.locator("figure img").count() == 1
        types = await page.evaluate(
            "Promise.all([...document.querySelectorAll('figure a')].map((a) => new Promise((resolve) => {"
            " const image = new XMLHttpRequest(); image.open('GET', a.href); resolve(a.download); })))"
        )
        assert types == ["dot.png", "evil.svg", "evil.html"]
        assert page.problems == []


async def test_files_of_the_history_are_loaded_on_demand(talking, page):
    async with talking() as server:
        for n in range(3):
            server.remember(f"before {n}")
        server.remember("one", files=[{"filename": "dot.png", "media_type": "image/png", "data": PIXEL}])
        await open_page(page, server)
        await server.reply("a later one")
        await page.get_by_role("button", name="Load dot.png (70 B)").click()
        await page.locator("figure img").wait_for()
        assert [p.get("with_files") for p in server.received if "operation" in p] == [None, True]


async def test_a_file_that_does_not_fit_is_refused_in_words(talking, page):
    async with talking() as server:
        await open_page(page, server)
        large = {"name": "large.bin", "mimeType": "application/x", "buffer": b"x" * (4 << 20)}
        small = {"name": "dot.png", "mimeType": "image/png", "buffer": base64.b64decode(PIXEL)}
        await page.set_input_files("#picker", files=[large, small])
        assert "large.bin (4.2 MB) is too large" in await page.inner_text("#problem")
        assert "dot.png" in await page.inner_text("#chosen")
        await page.get_by_role("button", name="Remove dot.png").click()
        await page.locator("#chosen").wait_for(state="hidden")
        await page.set_input_files("#picker", files=[small])
        await page.click("#send")
        await server.until(server.messages)
        assert server.messages()[0]["files"] == [{"filename": "dot.png", "media_type": "image/png", "data": PIXEL}]
        await page.locator("li.mine figure img").wait_for()


async def test_what_was_not_seen_is_marked(talking, page):
    async with talking() as server:
        for n in range(40):
            server.remember(f"message {n}")
        await open_page(page, server)
        await page.locator(".words", has_text="message 39").wait_for()
        await page.evaluate("document.getElementById('log').scrollTop -= 800")
        await page.locator("#jump").wait_for()
        before = await page.evaluate("document.getElementById('log').scrollTop")
        await server.reply("new one")
        await server.reply("new two")
        await page.locator("#jump", has_text="2 new").wait_for()
        assert await page.title() == "(2) zoozl"
        assert await page.evaluate("document.getElementById('log').scrollTop") == before, "the reader is left alone"
        await page.click("#jump")
        await page.locator(".unread").wait_for()
        assert await page.locator("li", has=page.locator(".unread")).locator(".words").inner_text() == "new one"
        assert await page.title() == "zoozl"
        await say(page, "thanks")
        await page.locator(".unread").wait_for(state="detached")


async def test_what_came_while_the_page_was_closed_is_marked(talking, page):
    async with talking() as server:
        await open_page(page, server)
        await server.reply("seen")
        # A reply is acknowledged when it came, and seen when it was drawn.
        await page.locator(".words", has_text="seen").wait_for()
        await server.until(lambda: server.acked == 1)
        await page.goto("about:blank")
        # Else it is sent to the page that is going.
        await server.until(lambda: not server.sockets)
        await server.reply("missed")
        await page.goto(server.url)
        await page.locator("li", has=page.locator(".unread")).locator(".words", has_text="missed").wait_for()
        assert await page.locator("#list li").count() == 2


async def test_the_greeting_stands_in_an_empty_conversation_only(talking, page):
    async with talking(greeting="Ask me <anything>") as server:
        await open_page(page, server)
        assert await page.inner_text("#greeting") == "Ask me <anything>"
        await server.reply("hello")
        await page.locator("#greeting").wait_for(state="hidden")
        assert server.messages() == []


async def test_colours_are_those_of_the_configuration_and_readable(talking, browser):
    async with talking(accent="#ffe600", background="#fff8e0", background_dark="#200020") as server:
        for scheme, back in (("light", "rgb(255, 248, 224)"), ("dark", "rgb(32, 0, 32)")):
            page = await browser.new_page(color_scheme=scheme)
            await page.goto(server.url)
            assert await page.evaluate("getComputedStyle(document.body).backgroundColor") == back
            send = await page.evaluate("[getComputedStyle(send).backgroundColor, getComputedStyle(send).color]")
            assert send == ["rgb(255, 230, 0)", "rgb(0, 0, 0)"]


async def test_another_tab_takes_over_in_words(talking, page):
    async with talking() as server:
        await open_page(page, server)
        for socket in list(server.sockets):
            await socket.close(code=4001, message=b"resumed by another connection")
        await page.locator("#state", has_text="goes on in another tab").wait_for()
        received = len(server.received)
        await asyncio.sleep(0.8)
        assert len(server.received) == received, "and does not come back by itself"


async def test_another_talker_on_the_same_page_begins_anew(talking, page):
    async with talking() as server:
        server.welcome = {"resume": "t" * 43, "talker": "ann"}
        await open_page(page, server)
        await server.reply("for Ann")
        await server.until(lambda: server.acked == 1)
        server.history, server.welcome = [], {"resume": "t" * 43, "talker": "bob"}
        await server.hang_up()
        await page.locator("#state.gone").wait_for()
        await page.locator("#state:not(.gone)").wait_for()
        assert await page.locator("#list li").count() == 0
