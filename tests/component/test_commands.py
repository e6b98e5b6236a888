"""Commands: arguments that were declared, usage errors, "!" for "/", slips, and help."""

import re
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Literal

import pytest
from pydantic import BaseModel, Field, field_validator

from zoozl.chatbot import Interface
from zoozl.chatbot.identity import Identity
from zoozl.chatbot.message import Address, Event, Message
from zoozl.chatbot.router import Rule
from zoozl.chatbot.run import Ending
from zoozl.errors import ExtensionError
from zoozl.stores.memory import Store as MemoryStore
from zoozl.testing import CHANNEL, Bot

HELPERS = "zoozl.plugins.helpers"
PAGE = Path(__file__).parents[2] / "docs" / "howto" / "commands.md"


class Wanted(BaseModel):
    seats: int
    name: str = Field("nobody", description="who comes")
    area: Literal["inside", "garden"] = Field("inside", kw_only=True)


class Book(Interface):
    name = "book"
    description = "Books a table."
    aliases = ("book a table", "/book", "/reserve")
    arguments = Wanted

    async def consume(self, package):
        package.callback(str(package.arguments))


class Danger(Interface):
    name = "danger"
    aliases = ("delete everything", "/delete")
    roles = {"admin"}

    def consume(self, package):
        package.callback("deleted")


class Secret(Interface):
    name = "secret"
    description = "keeps secrets"
    aliases = ("/whisper",)
    usage = "/whisper WORD, and nothing else"
    dm_only = True

    async def consume(self, package):
        package.callback(package.last_message_text)


class Waits(Interface):
    name = "waits"
    aliases = ("/wait",)

    async def consume(self, package):
        package.callback("got " + await package.ask("For what?"))


async def say(bot, text, *roles):
    identity = Identity("jane", {}, frozenset(roles)) if roles else None
    bot.chatbot.receive(Event(Address(CHANNEL, talker="tester"), Message(text), (), "message", identity))
    return await bot.replies()


@pytest.mark.parametrize(
    "text", ["/book 4 Ann Lee --area garden", "!BOOK --area=garden 4 Ann Lee", " /reserve 4 Ann Lee --area GARDEN"]
)
def test_a_command_brings_its_arguments(chatbot, text):
    bot = chatbot(Book, HELPERS)
    assert bot.say(text) == ["seats=4 name='Ann Lee' area='garden'"]
    assert bot.last.route.rule is Rule.COMMAND


def test_plain_words_bring_none(chatbot):
    assert chatbot(Book).say("please book a table") == ["None"]


def test_a_plain_def_has_them_too(chatbot):
    class Plain(Book):
        def consume(self, package):
            package.callback(package.arguments.name)

    assert chatbot(Plain).say("/book 4 Ann") == ["Ann"]


def test_a_mistake_never_calls_the_plugin_and_shows_the_usage(chatbot):
    usage = "book SEATS [NAME...] [--area inside|garden]"
    bot = chatbot(Book, HELPERS)
    assert bot.say("/book") == [f"SEATS is missing.\nUsage: /{usage}"]
    assert bot.say("!book many") == [f'SEATS must be a whole number, not "many".\nUsage: !{usage}']
    assert bot.last.ending is Ending.REFUSED

    class Own(Book):
        usage = "/book HOW_MANY"

    assert chatbot(Own).say("/book") == ["SEATS is missing.\nUsage: /book HOW_MANY"]


def test_a_mistake_leaves_what_is_going_on_as_it_is(chatbot):
    bot = chatbot(Book, Waits, HELPERS)
    assert bot.say("/wait") == ["For what?"]
    assert "SEATS is missing." in bot.say("/book")[0]
    assert bot.say("rain") == ["got rain"]


def test_those_who_may_not_use_a_command_are_not_told_its_usage(chatbot):
    class Closed(Book):
        roles = {"admin"}

    assert chatbot(Closed).say("/book") == ["Sorry, you may not use this."]


def test_a_validator_that_fails_fails_the_turn_alone(chatbot, caplog):
    class Odd(BaseModel):
        n: int

        @field_validator("n")
        @classmethod
        def check(cls, value):
            raise KeyError(value)

    class Broken(Book):
        arguments = Odd

    bot = chatbot(Broken, Waits)
    assert bot.say("/book 1") == ["Sorry, something went wrong here. It has been noted."]
    assert "the arguments of plugin book failed" in caplog.text
    assert bot.say("/wait") == ["For what?"]


async def test_arguments_are_the_same_after_a_restart():
    drawn = count()

    @dataclass
    class Drawn:
        seats: int
        number: int = field(default_factory=lambda: next(drawn))

    class Asks(Book):
        arguments = Drawn

        async def consume(self, package):
            arguments = package.arguments
            arguments.seats += 1
            await package.ask(f"{arguments}?")
            package.callback(f"{arguments}!")

    store = MemoryStore()
    async with Bot(Asks, store=store) as bot:
        (asked,) = await bot.say("/book 4")
        assert asked.endswith("Drawn(seats=5, number=0)?")
    async with Bot(Asks, store=store) as bot:
        assert await bot.say("yes") == [asked.replace("?", "!")]


async def test_a_dialog_whose_command_is_another_one_by_now_ends():
    class Asks(Book):
        async def consume(self, package):
            package.callback("got " + await package.ask("Sure?"))

    class Before(BaseModel):
        seats: int

    class After(BaseModel):
        seats: Literal["two", "four"]

    store = MemoryStore()
    Asks.arguments = Before
    async with Bot(Asks, store=store) as bot:
        assert await bot.say("/book 4") == ["Sure?"]
    Asks.arguments = After
    async with Bot(Asks, store=store) as bot:
        assert await bot.say("yes") == ["Sorry, I have changed meanwhile and lost the thread. Please begin again."]
        assert bot.reports[-1].ending is Ending.UNFIT
        assert await bot.say("/book two") == ["Sure?"]


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"aliases": ("book",)}, "plugin book has arguments but no command"),
        ({"arguments": {"seats": int}}, "plugin book: arguments must be a dataclass or a pydantic model"),
        ({"usage": 5}, "plugin book: usage must be a text, not 5"),
    ],
)
def test_a_declaration_that_cannot_work_ends_the_start(chatbot, attributes, reason):
    with pytest.raises(ExtensionError, match=reason):
        chatbot(type("Wrong", (Book,), attributes))


async def test_what_follows_a_mention_is_a_command_where_it_fits():
    async with Bot(Book, Waits, HELPERS) as bot:
        as_command = bot.chatbot.router.as_command
        assert as_command("book 4 Ann") == "/book 4 Ann"
        assert as_command("!book a table") == "/book a table"
        assert as_command("book a table") == "book a table"
        assert as_command("Wait") == "/wait"
        assert as_command("wait for me") == "wait for me"


# Slips


def test_a_slip_in_a_command_is_pointed_out(chatbot):
    bot = chatbot(Book, Waits, HELPERS)
    assert bot.say("/bok 4") == ["There is no /bok. Did you mean /book?"]
    assert bot.last.route.rule is Rule.UNKNOWN_COMMAND
    assert bot.say("!hepl") == ["There is no !hepl. Did you mean !help?"]
    assert bot.say("/cancle") == ["There is no /cancle. Did you mean /cancel?"]


@pytest.mark.parametrize("text", ["/path/to/file is broken", "/elephants are grey", "!!!", "/book/table", "! book"])
def test_what_is_no_slip_is_routed_by_meaning(chatbot, text):
    bot = chatbot(Book, Waits, HELPERS)
    bot.say(text)
    assert bot.last.route.rule in (Rule.ALIAS, Rule.FALLBACK)


def test_a_phrase_that_looks_like_a_slip_is_a_phrase(chatbot):
    class Wow(Interface):
        aliases = ("!boook",)

        def consume(self, package):
            package.callback("wow")

    assert chatbot(Book, Wow).say("!boook") == ["wow"]


def test_what_is_going_on_gets_a_slip_as_it_is(chatbot):
    class Notes(Interface):
        aliases = ("/note",)
        sticky = True

        def consume(self, package):
            package.callback("noted " + package.last_message_text)

    bot = chatbot(Book, Waits, Notes, HELPERS)
    bot.say("/wait")
    assert bot.say("/bok") == ["got /bok"]
    bot.say("/note")
    assert bot.say("/bok") == ["noted /bok"]


async def test_a_command_that_is_not_for_the_talker_is_not_suggested():
    async with Bot(Danger, Book, HELPERS) as bot:
        assert "Did you mean" not in (await say(bot, "/delte"))[0]
        assert await say(bot, "/delte", "admin") == ["There is no /delte. Did you mean /delete?"]
        assert "Did you mean" not in (await say(bot, "/delte", "user"))[0]


def test_cancel_with_an_exclamation_mark_ends_a_question_that_takes_everything(chatbot):
    class Asks(Interface):
        aliases = ("/ask",)

        async def consume(self, package):
            package.callback("got " + await package.ask("What?", literal=True))

    bot = chatbot(Asks)
    bot.say("/ask")
    assert bot.say("!cancel") == ["Cancelled."]
    bot.say("/ask")
    assert bot.say("!stop") == ["got !stop"]


# Help

LIST = """Here is what you can ask:
- book: Books a table ("book a table" or /book SEATS [NAME...] [--area inside|garden])
- secret: keeps secrets (/whisper WORD, and nothing else), only in private
- greeter: Says hello ("hello")"""


async def test_help_lists_what_this_talker_may_use():
    async with Bot("zoozl.plugins.greeter", Book, Danger, Secret, HELPERS) as bot:
        assert (await say(bot, "/help"))[-1] == LIST
        assert await say(bot, "what can you do?") == [LIST]
        assert await say(bot, "!help") == [LIST.replace("/book", "!book")]
        assert '- danger: "delete everything" or /delete' in (await say(bot, "/help", "admin"))[0]


def test_what_was_not_understood_gets_a_short_list(chatbot):
    def plugin(n):
        return type(f"P{n}", (Interface,), {"aliases": (f"the number {n}",), "consume": lambda self, package: None})

    (answer,) = chatbot(HELPERS, Book, Danger, Secret).say("my grandmother paints fences")
    assert answer == (
        'I did not understand that. You can ask:\n- "book a table": Books a table.\n'
        "- /whisper WORD, and nothing else: keeps secrets"
    )
    (answer,) = chatbot(HELPERS, *map(plugin, range(9))).say("my grandmother paints fences")
    assert len(answer.splitlines()) == 7
    assert answer.endswith("\n/help lists everything.")


ABOUT = """book: Books a table.
Usage: /book SEATS [NAME...] [--area inside|garden]
- NAME: who comes
- --area: one of inside, garden
Also: /reserve
You can say: "book a table\""""


@pytest.mark.parametrize("name", ["book", "BOOK", "/book", "!book", "reserve", "Book a  table", '"book"'])
def test_help_tells_all_of_one_plugin(chatbot, name):
    assert chatbot(Book, HELPERS).say(f"/help {name}") == [ABOUT]


async def test_help_on_what_is_not_there_says_so():
    async with Bot(Book, Danger, Secret, HELPERS) as bot:
        assert await say(bot, "/help bock") == ['There is nothing called "bock". Did you mean book?']
        assert await say(bot, "!help elephants") == ['There is nothing called "elephants". !help lists everything.']
        assert await say(bot, "/help danger") == ['There is nothing called "danger". /help lists everything.']
        assert (await say(bot, "/help danger", "admin"))[0].startswith("danger\nUsage: /delete\n")
        assert (await say(bot, "/help secret"))[0].endswith("\nOnly in private.")


def test_help_without_a_plugin_says_so(chatbot):
    assert chatbot(HELPERS).say("/help") == ["I cannot do anything yet: no plugin is loaded."]


def test_the_page_shows_what_happens(chatbot, tmp_path, monkeypatch):
    text = PAGE.read_text("utf-8")
    (source,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (tmp_path / "book_of_the_page.py").write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))
    bot = chatbot("book_of_the_page", HELPERS)
    (shown,) = re.findall(r"```\n(> .*?)\n```", text, re.DOTALL)
    for exchange in shown.split("\n\n"):
        said, _, answer = exchange.partition("\n")
        assert bot.say(said.removeprefix("> ")) == [answer]
    assert bot.say("/bok") == ["There is no /bok. Did you mean /book?"]
    for plain in ("book a table", "/var/log is full"):
        bot.say(plain)
        assert bot.last.route.rule is not Rule.UNKNOWN_COMMAND
