"""Dialogs whose plugins do what they should not: they swallow, hurry, ask twice at once, act after their end."""

import asyncio
import sys
from pathlib import Path

import pytest

from zoozl.chatbot import Interface
from zoozl.chatbot.excuses import APOLOGY, CHANGED, TOO_SLOW
from zoozl.stores.memory import Store as MemoryStore
from zoozl.stores.sqlite import Store as SqliteStore
from zoozl.testing import Bot

sys.path.append(str(Path(__file__).parents[1] / "fakes"))

from deaf import deaf_until

LANE = "test::user:tester"


class Joke(Interface):
    aliases = ("/joke", "help")

    async def consume(self, package):
        package.callback("knock")


async def open_dialogs(store):
    return (await store.load(LANE)).dialogs


# Asked in a task of its own


async def together(package):
    await asyncio.gather(package.ask("One?"), package.ask("Two?"))


async def in_a_group(package):
    async with asyncio.TaskGroup() as group:
        group.create_task(package.ask("One?"))
        group.create_task(package.sleep(1))


async def steps_together(package):
    await asyncio.gather(package.step(str), package.step(int))


@pytest.mark.parametrize("call", [together, in_a_group, steps_together])
async def test_asking_in_another_task_fails_at_once_and_says_why(call, caplog):
    class Tasks(Interface):
        aliases = ("/tasks",)

        async def consume(self, package):
            await call(package)

    store = MemoryStore()
    async with Bot(Tasks, Joke, store=store, restarts=False) as bot:
        async with asyncio.timeout(5):
            assert (await bot.say("/tasks"))[-1] == APOLOGY
        assert await open_dialogs(store) == ()
        assert await bot.say("/joke") == ["knock"]
    assert "a task of its own" in caplog.text


async def test_a_timeout_of_asyncio_around_a_question_does_not_take_the_answer_with_it(caplog):
    class Hurry(Interface):
        aliases = ("/hurry",)

        async def consume(self, package):
            try:
                async with asyncio.timeout(0.05):
                    name = await package.ask("Name?")
            except TimeoutError:
                over.set()
                package.callback("Too slow.")
                return
            package.callback(f"Hello {name}.")

    over = asyncio.Event()
    async with Bot(Hurry, restarts=False) as bot:
        assert await bot.say("/hurry") == ["Name?"]
        await over.wait()
        assert await bot.say("Anna") == ["Hello Anna."]
    assert "timeout=" in caplog.text


# What swallows its end


async def test_a_plugin_that_asks_again_whatever_happens_does_not_hold_the_loop():
    asked = 0

    class Stubborn(Interface):
        aliases = ("/stubborn",)
        timeout = 1.0

        async def consume(self, package):
            nonlocal asked
            while True:
                try:
                    asked += 1
                    if asked > 10_000:
                        return
                    int(await package.ask("A number?"))
                    return
                except Exception:
                    continue

    async with Bot(Stubborn, Joke, restarts=False) as bot:
        assert await bot.say("/stubborn") == ["A number?"]
        assert await bot.say("x") == ["A number?"]
        await bot.say("cancel")
        assert asked < 100
        assert await bot.say("/joke") == ["knock"]


async def test_a_coroutine_that_swallows_its_being_let_go_does_not_hold_the_loop():
    asked, over = 0, False

    class Stubborn(Interface):
        aliases = ("/stubborn",)

        async def consume(self, package):
            nonlocal asked
            while asked < 10_000 and not over:
                asked += 1
                try:
                    package.callback(await package.ask("Well?"))
                    return
                except BaseException:
                    continue

    async with Bot(Stubborn, store=MemoryStore(), kept_dialogs=1, restarts=False) as bot:
        await bot.say("/stubborn", "anna")
        await bot.say("/stubborn", "bert")
        for _ in range(20):
            await asyncio.sleep(0)
        assert asked < 100
        assert await bot.say("x", "anna") == ["x"]
        over = True


async def test_what_was_stopped_cannot_ask():
    class Slow(Interface):
        aliases = ("/slow",)
        timeout = 0.2

        async def consume(self, package):
            try:
                await asyncio.Event().wait()
            finally:
                await package.ask("Shall I go on?")

    store = MemoryStore()
    async with Bot(Slow, Joke, store=store, restarts=False) as bot:
        assert await bot.say("/slow") == [TOO_SLOW]
        assert await open_dialogs(store) == ()
        assert await bot.say("/joke") == ["knock"]


async def test_what_was_given_up_leaves_no_dialog_behind():
    going = asyncio.Event()

    class Deaf(Interface):
        aliases = ("/deaf",)
        timeout = 0.1

        async def consume(self, package):
            await deaf_until(going)
            await package.step(str)

    store = MemoryStore()
    async with Bot(Deaf, Joke, store=store, restarts=False) as bot:
        assert await bot.say("/deaf") == [TOO_SLOW]
        going.set()
        await asyncio.sleep(0.01)
        assert await open_dialogs(store) == ()


async def test_the_end_of_a_dialog_that_was_given_up_is_told():
    going, reasons = asyncio.Event(), []

    class Deaf(Interface):
        aliases = ("/deaf",)
        timeout = 0.1

        async def consume(self, package):
            await package.ask("Well?")
            await deaf_until(going)

        async def on_end(self, conversation, reason):
            reasons.append(reason)

    async with Bot(Deaf, Joke, restarts=False) as bot:
        await bot.say("/deaf")
        assert await bot.say("x") == [TOO_SLOW]
        assert await bot.say("/joke") == ["knock"]
        going.set()
    assert reasons == ["failed"]


async def test_what_the_end_of_the_server_cuts_says_nothing_more(tmp_path):
    """Else its last words would take the place of a reply when the message is answered after the start."""
    begun, cut = asyncio.Event(), True

    class Long(Interface):
        aliases = ("/long",)

        async def consume(self, package):
            package.callback("One moment.")
            try:
                begun.set()
                if cut:
                    await asyncio.Event().wait()
            finally:
                if cut:
                    package.callback("I was cut.")
            package.callback("Here it is.")

    heard = []
    store = await SqliteStore.open(tmp_path / "zoozl.db")
    bot = Bot(Long, store=store, restarts=False)
    await bot.chatbot.start()
    await bot.post("/long")
    await begun.wait()
    while not bot._sent:
        await asyncio.sleep(0.01)
    assert not await bot.chatbot.drain(0.01)
    heard += [m.text for _, m in bot._sent]
    cut = False
    store = await SqliteStore.open(tmp_path / "zoozl.db")
    async with Bot(Long, store=store, restarts=False) as bot:
        await bot.chatbot.idle()
        heard += [m.text for _, m in bot._sent]
    assert heard == ["One moment.", "Here it is."]


async def test_cancel_is_heard_while_a_plugin_waits_for_more():
    ran = []

    class Merges(Interface):
        aliases = ("/merges", "help")
        busy = "merge"
        debounce = 0.2

        async def consume(self, package):
            ran.append(package.last_message_text)

    async with Bot(Merges, restarts=False) as bot:
        # Else the first message waits for the model, and is cancelled before anything is merged.
        await bot.chatbot.router.warm_up()
        await bot.deliver(bot.event("do this"), bot.event("and that"))
        await asyncio.sleep(0.05)
        await bot.post("cancel")
        assert await bot.replies() == ["Cancelled."]
    assert ran == []


async def test_a_plugin_that_swallows_the_misfit_of_its_journal_does_not_act_on():
    prompt, done = "One?", []

    class Changed(Interface):
        aliases = ("/changed",)

        async def consume(self, package):
            try:
                await package.ask(prompt)
            except BaseException:
                pass
            package.callback("paid")
            await package.step(lambda: done.append(1))

    store = MemoryStore()
    bot = Bot(Changed, store=store, kept_dialogs=0, restarts=False)
    await bot.chatbot.start()
    assert await bot.say("/changed") == ["One?"]
    prompt = "Two?"
    await bot.post("x")
    await bot.chatbot.idle()
    assert [message.text for _, message in bot._sent] == [CHANGED]
    assert done == []
    assert await open_dialogs(store) == ()
    await bot.chatbot.drain(1.0)


# Secrets


@pytest.mark.parametrize("how", ["refused", "slow", "failed"])
async def test_a_secret_stays_nowhere_whatever_becomes_of_it(tmp_path, how):
    class Token(Interface):
        aliases = ("/token",)

        async def consume(self, package):
            await package.ask("Token?", secret=True, validate=lambda text: self.check(package, text))
            package.callback("Thanks.")

        async def check(self, package, text):
            package.callback("One moment.")
            if how == "slow":
                await asyncio.sleep(0.5)
            elif how == "refused":
                raise ValueError("That is too short.")
            else:
                raise KeyError("broken")

    file = tmp_path / "zoozl.db"
    store = await SqliteStore.open(file)
    async with Bot(Token, store=store, restarts=False) as bot:
        await bot.say("/token")
        assert (await bot.say("hunter2"))[0] == "One moment."
        messages = (await store.load(LANE)).messages
        assert "hunter2" not in [m.text for m in messages]
        assert "●●●" in [m.text for m in messages]
    assert b"hunter2" not in file.read_bytes()


async def test_a_secret_stays_nowhere_if_its_plugin_is_gone(tmp_path):
    class Token(Interface):
        aliases = ("/token",)

        async def consume(self, package):
            await package.ask("Token?", secret=True)

    file = tmp_path / "zoozl.db"
    async with Bot(Token, store=await SqliteStore.open(file), restarts=False) as bot:
        await bot.say("/token")
    async with Bot(Joke, store=await SqliteStore.open(file), restarts=False) as bot:
        assert len(await bot.say("hunter2")) == 1
    assert b"hunter2" not in file.read_bytes()


# What is no good JSON


@pytest.mark.parametrize("where", ["say", "ask", "step"])
async def test_half_a_character_harms_nobody(tmp_path, where):
    class Half(Interface):
        aliases = ("/half",)

        async def consume(self, package):
            if where == "say":
                package.callback("\ud800")
            elif where == "ask":
                await package.ask("\ud800")
            else:
                await package.step(lambda: "\ud800")
                await package.ask("Well?")

    store = await SqliteStore.open(tmp_path / "zoozl.db")
    async with Bot(Half, Joke, store=store, restarts=False) as bot:
        async with asyncio.timeout(5):
            assert await bot.say("/half")
            await bot.say("x")
            assert await bot.say("/joke") == ["knock"]


@pytest.mark.parametrize("text", ["9" * 30, "\ud800"])
async def test_an_answer_that_databases_do_not_like_comes_back_as_it_was(tmp_path, text):
    class Number(Interface):
        aliases = ("/number",)

        async def consume(self, package):
            number = await package.ask("How many?", validate=lambda text: int(text) if text.isdigit() else ascii(text))
            await package.ask("Sure?")
            assert number == (int(text) if text.isdigit() else ascii(text))
            package.callback(f"{number}")

    store = await SqliteStore.open(tmp_path / "zoozl.db")
    async with Bot(Number, store=store) as bot, asyncio.timeout(10):
        await bot.say("/number")
        assert await bot.say(text) == ["Sure?"]
        assert await bot.say("yes") == [f"{int(text)}" if text.isdigit() else ascii(text)]
