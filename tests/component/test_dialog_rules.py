"""Dialogs among others: rooms and scopes, interruptions, busy plugins, secrets, streams, forms."""

import asyncio

import pytest

from zoozl.chatbot import Interface, Message
from zoozl.chatbot.message import Address, Event
from zoozl.chatbot.question import Answer, Form
from zoozl.stores.memory import Store as MemoryStore
from zoozl.stores.sqlite import Store
from zoozl.testing import Bot


class Ask(Interface):
    aliases = ("/ask",)

    async def consume(self, package):
        package.callback(f"You said {await package.ask('What?')}.")


class Joke(Interface):
    aliases = ("tell a joke",)

    async def consume(self, package):
        package.callback("Knock knock.")


# Rooms


async def test_each_thread_has_a_dialog_of_its_own():
    async with Bot(Ask) as bot:
        await bot.say("/ask", room="r", thread="1")
        await bot.say("/ask", room="r", thread="2")
        assert await bot.say("one", room="r", thread="1") == ["You said one."]
        assert await bot.say("two", room="r", thread="2") == ["You said two."]


async def test_only_the_one_who_was_asked_may_answer():
    async with Bot(Ask, Joke, "zoozl.plugins.helpers") as bot:
        await bot.say("/ask", "anna", room="r", thread="1")
        assert await bot.say("me, me", "bert", room="r", thread="1") == [], (
            "what others say to each other is left alone"
        )
        assert await bot.say("tell a joke", "bert", room="r", thread="1") == ["Knock knock."]
        assert await bot.say("yes", "anna", room="r", thread="1") == ["You said yes."]


async def test_anyone_may_answer_what_is_asked_of_all():
    class Poll(Interface):
        aliases = ("/poll",)

        async def consume(self, package):
            package.callback(await package.ask("Who comes?", participants="anyone"))

    async with Bot(Poll) as bot:
        await bot.say("/poll", "anna", room="r", thread="1")
        assert await bot.say("I do", "bert", room="r", thread="1") == ["I do"]


async def test_the_scope_of_a_room_is_a_setting():
    async with Bot(Ask, scope_of=lambda address: "room" if address.room == "open" else "") as bot:
        await bot.say("/ask", "anna", room="open", thread="1")
        assert await bot.say("x", "anna", room="open", thread="2") == ["You said x."]
        assert await bot.chatbot.knows(Address("test", room="open", thread="9", talker="carl"))
        assert not await bot.chatbot.knows(Address("test", room="other", thread="1", talker="anna"))


async def test_a_private_plugin_refuses_in_a_room():
    class Private(Ask):
        aliases = ("/private",)
        dm_only = True

    async with Bot(Private) as bot:
        assert await bot.say("/private", room="r", thread="1") == [
            "This is for the two of us: please write to me directly."
        ]
        assert await bot.say("/private") == ["What?"]


async def test_it_offers_to_go_on_in_private_where_the_channel_can():
    class Private(Ask):
        aliases = ("/private",)
        dm_only = True

    async with Bot(Private) as bot:

        async def direct(address):
            return Address("test", talker=address.talker)

        bot.direct = direct
        assert sorted(await bot.say("/private", room="r", thread="1")) == [
            "Let us go on here: write “/private” to begin.",
            "This is for the two of us: please write to me directly.",
        ]


async def test_the_history_of_a_place_can_be_read():
    class Remembers(Interface):
        aliases = ("/remember",)

        async def consume(self, package):
            package.callback(" ".join(message.text for message in await package.history(3)))

    async with Bot(Remembers, Joke) as bot:
        await bot.say("tell a joke")
        assert await bot.say("/remember") == ["tell a joke Knock knock."]


async def test_an_answer_by_id_from_elsewhere_goes_to_its_dialog():
    class Sure(Interface):
        aliases = ("/sure",)

        async def consume(self, package):
            package.callback(f"It is {await package.confirm('Sure?')}.")

    async with Bot(Sure) as bot:
        await bot.say("/sure", room="r", thread="1")
        (listed,) = await bot.say("/pending")
        number = listed.split("/confirm_")[1].split()[0]
        assert await bot.say(f"/confirm_{number}", "bert") == ["Only the one who was asked can answer that."]
        assert await bot.say(f"/confirm_{number}") == ["It is True."]


# Other plugins


async def test_an_interruptible_dialog_steps_aside_and_asks_again():
    class Polite(Ask):
        aliases = ("/polite",)
        interruptible = True

        async def consume(self, package):
            package.callback("You chose " + await package.ask("Which?", choices=["tea", "coffee"]))

    async with Bot(Polite, Joke) as bot:
        await bot.say("/polite")
        assert await bot.say("please tell a joke") == ["Knock knock.", "Which?\n\n1. tea\n2. coffee"]
        assert await bot.say("tea") == ["You chose tea"]


async def test_a_command_is_answered_beside_the_dialog():
    class Time(Interface):
        aliases = ("/time",)

        async def consume(self, package):
            package.callback("noon")

    async with Bot(Ask, Time) as bot:
        await bot.say("/ask")
        assert await bot.say("/time") == ["noon"]
        assert await bot.say("x") == ["You said x."]


async def test_a_tap_is_the_same_as_the_words():
    class Tea(Interface):
        aliases = ("/tea",)

        async def consume(self, package):
            package.callback(await package.choose("Which?", {"g": "Green", "b": "Black"}))

    async with Bot(Tea) as bot:
        await bot.say("/tea")
        dialog = (await bot.chatbot.root.store.dialogs_of("test", "tester"))[0]
        event = Event(Address("test", talker="tester"), Message("Black"), answer=Answer(dialog.question.id, "b"))
        bot.chatbot.receive(event)
        assert await bot.replies() == ["b"]
        bot.chatbot.receive(event)
        assert await bot.replies() == ["That question has been answered already, or has expired."]


# Busy


class Slow(Interface):
    aliases = ("/slow", "work slowly")

    def load(self, root):
        self.go = asyncio.Event()
        self.heard = []

    async def consume(self, package):
        self.heard.append(package.last_message_text)
        await self.go.wait()
        package.callback(f"done with {package.last_message_text}")


async def test_what_waits_is_merged():
    class Merges(Slow):
        aliases = ("/slow", "work slowly")
        busy = "merge"
        sticky = True

    async with Bot(Merges) as bot:
        plugin = bot.chatbot.root.plugins.all[0].interface
        await bot.post("work slowly")
        for _ in range(3):
            await asyncio.sleep(0)
        while not plugin.heard:
            await asyncio.sleep(0.01)
        for text in ("two", "three", "four"):
            await bot.post(text)
        plugin.go.set()
        assert await bot.replies() == ["done with work slowly", "done with two three four"]
        assert [m.text for m in (await bot.chatbot.history(Address("test", talker="tester"), 0, 10))[0]] == [
            *("work slowly", "done with work slowly", "two", "three", "four", "done with two three four")
        ]


@pytest.mark.parametrize(
    ("policy", "answers"),
    [
        ("queue", ["done with work slowly", "done with work slowly"]),
        ("replace", ["done with work slowly"]),
        ("reject", ["Sorry, this is busy at the moment. Please try again later.", "done with work slowly"]),
    ],
)
async def test_a_message_that_comes_while_a_plugin_is_busy(policy, answers):
    class Busy(Slow):
        aliases = ("/slow", "work slowly")
        busy = policy

    async with Bot(Busy) as bot:
        plugin = bot.chatbot.root.plugins.all[0].interface
        await bot.post("work slowly")
        while not plugin.heard:
            await asyncio.sleep(0.01)
        await bot.post("work slowly")
        await asyncio.sleep(0.05)
        plugin.go.set()
        assert await bot.replies() == answers


# Secrets


class Token(Interface):
    aliases = ("/token",)

    async def consume(self, context, package):
        token = await package.ask("Your token?", secret=True, validate=lambda t: len(t) > 5)
        await context.vault.add_key(package, "service", token)
        await package.ask("Another question?")
        package.callback(f"kept {len(await context.vault.get_key(package, 'service'))}, asked {len(token)}")


async def test_a_secret_answer_stays_nowhere_in_the_clear(tmp_path):
    path = tmp_path / "zoozl.db"
    for text, expected in (
        ("/token", ["Your token?"]),
        ("XYZ", ["Sorry, that does not fit. Please try again."]),
        ("XYZZY-12345", ["Another question?"]),
        ("x", ["kept 11, asked 11"]),
    ):
        store = await Store.open(path)
        async with Bot(Token, store=store) as bot:
            assert await bot.say(text) == expected
            messages, _ = await bot.chatbot.history(Address("test", talker="tester"), 0, 20)
            assert not any("XYZZY" in message.text for message in messages)
        assert b"XYZZY" not in path.read_bytes()


async def test_a_secret_without_a_vault_key_says_what_to_set(caplog):
    async with Bot(Token, vault=False) as bot:
        assert await bot.say("/token") == ["Sorry, something went wrong here. It has been noted."]
    assert "ZOOZL_VAULT__KEY" in caplog.text


# Forms and streams

FORM = Form().text("name", "Your name").number("seats", "Seats").select("class", "Class", ["first", "second"])


class Book(Interface):
    aliases = ("/book",)

    async def consume(self, package):
        package.callback(str(await package.form("A seat for you:", FORM)))


async def test_a_form_is_asked_field_by_field_where_there_are_none():
    async with Bot(Book) as bot:
        assert await bot.say("/book") == ["A seat for you:", "Your name"]
        assert await bot.say("Anna") == ["Seats"]
        assert await bot.say("two") == ["Seats: this must be a number."]
        assert await bot.say("2") == ["Class\n\n1. first\n2. second"]
        assert await bot.say("1") == ["{'name': 'Anna', 'seats': '2', 'class': 'first'}"]


async def test_a_form_comes_whole_where_there_are_forms():
    async with Bot(Book) as bot:
        bot.shows = {"forms"}
        assert await bot.say("/book") == ["A seat for you:"]
        dialog = (await bot.chatbot.root.store.dialogs_of("test", "tester"))[0]

        async def send(values):
            answer = Answer(dialog.question.id, values)
            bot.chatbot.receive(Event(Address("test", talker="tester"), Message(""), answer=answer))
            return await bot.replies()

        assert await send({"name": "Anna", "seats": "x", "class": "first"}) == ["Seats: this must be a number."]
        assert await send({"name": "Anna", "seats": "2", "class": "second"}) == [
            "{'name': 'Anna', 'seats': '2', 'class': 'second'}"
        ]


async def test_an_answer_that_grows_is_one_message_at_the_end():
    class Tells(Interface):
        aliases = ("/tell",)

        async def consume(self, package):
            async with package.stream() as out:
                for word in ("once ", "upon ", "a time"):
                    await out.write(word)

    shown = []
    async with Bot(Tells) as bot:

        async def stream(address, key, text):
            shown.append(text)

        bot.stream = stream
        (message,) = await _messages(bot, "/tell")
        assert message.text == "once upon a time"
        assert message.stream
    assert shown == ["once "]


async def _messages(bot, text):
    await bot.post(text)
    return await bot.messages()


async def test_a_dialog_begun_by_the_greeting():
    class Host(Interface):
        aliases = ("greet",)

        async def consume(self, package):
            package.callback(f"Hello {await package.ask('Who are you?')}")

    store = MemoryStore()
    async with Bot(Host, Joke, store=store) as bot:
        assert await bot.connect() == ["Who are you?"]
    async with Bot(Host, Joke, store=store) as bot:
        assert await bot.say("Anna") == ["Hello Anna"]
    async with Bot(Host, Joke) as bot:
        assert await bot.say("tell a joke") == ["Who are you?", "Knock knock."]
        assert await bot.say("Bert") == ["Hello Bert"]


async def test_nobody_ends_what_another_one_has_begun_in_a_room():
    async with Bot(Slow) as bot:
        plugin = bot.chatbot.root.plugins.all[0].interface
        await bot.post("work slowly", "anna", room="r", thread="1")
        while not plugin.heard:
            await asyncio.sleep(0.01)
        await bot.post("stop", "bert", room="r", thread="1")
        await asyncio.sleep(0.05)
        plugin.go.set()
        assert await bot.replies("anna") == ["done with work slowly"]
        assert await bot.replies("bert") == ["There is nothing to cancel."]


async def test_a_conversation_has_only_so_many_open_dialogs(caplog):
    async with Bot(Ask) as bot:
        for _ in range(101):
            await bot.post("/ask")
            await bot.chatbot.idle()
        assert len(await bot.chatbot.root.store.dialogs_of("test", "tester")) == 100
        await bot.replies()
        assert await bot.say("x") == ["You said x."]
    assert "100 open dialogs" in caplog.text
