"""Where two plugins are alike near to a message, the talker is asked which of them is meant."""

from dataclasses import replace

import pytest

from zoozl.chatbot import Interface, Message, MessagePart
from zoozl.chatbot.did_you_mean import close
from zoozl.chatbot.identity import Identity
from zoozl.chatbot.router import Rule
from zoozl.chatbot.scorer import Match
from zoozl.errors import DialogEnded
from zoozl.stores.sqlite import Store
from zoozl.testing import Bot

UNCLEAR = "flight or hotel reservation"


def plugin(name, *aliases, **attributes):
    async def consume(self, package):
        files = "".join(f" with {part.filename}" for part in package.get_attachments())
        package.callback(f"{name}: {package.last_message_text}{files}, ongoing {package.conversation.ongoing}")

    return type(name, (Interface,), {"aliases": aliases, "consume": consume, "name": name, **attributes})


Flight = plugin("flight", "book a flight", "reserve a seat on a plane")
Hotel = plugin("hotel", "book a hotel", "reserve a room")
Weather = plugin("weather", "what is the weather like", "will it rain")


class Helper(Interface):
    name = "helper"
    aliases = ("help",)

    async def consume(self, package):
        package.callback(f"helper: {package.last_message_text}, meant {package.matched}")


EVERYBODY = (Flight, Hotel, Weather, Helper)


@pytest.fixture
def bot(chatbot):
    return chatbot(*EVERYBODY, did_you_mean=True)


def asked(bot, text=UNCLEAR):
    (question,) = bot.say(text)
    assert question.startswith('Did you mean "book a ')
    assert bot.last.route.rule is Rule.UNSURE
    return question.splitlines()


def test_the_choices_are_the_aliases_and_none_of_these(bot):
    lines = asked(bot)
    assert set(lines[2:]) == {"1. book a hotel", "2. book a flight", "3. None of these"} or set(lines[2:]) == {
        "1. book a flight",
        "2. book a hotel",
        "3. None of these",
    }


@pytest.mark.parametrize("answer", ["book a hotel", "Book a hotel!", "tap"])
def test_the_chosen_plugin_gets_the_message_and_answers_once(bot, answer):
    asked(bot)
    said = bot.tap("book a hotel") if answer == "tap" else bot.say(answer)
    assert said == [f"hotel: {UNCLEAR}, ongoing False"]
    assert bot.say("will it rain") == ["weather: will it rain, ongoing False"], "nothing is left open"


def test_none_of_these_is_for_the_fallback(bot):
    asked(bot)
    assert bot.say("3") == [f"helper: {UNCLEAR}, meant False"]


def test_another_message_is_another_message(bot):
    asked(bot)
    assert bot.say("what is the weather like") == ["weather: what is the weather like, ongoing False"]
    assert bot.say("book a hotel") == ["hotel: book a hotel, ongoing False"]
    asked(bot)
    asked(bot, "hotel or flight reservation")
    assert bot.tap("book a hotel") == ["hotel: hotel or flight reservation, ongoing False"]


def test_cancel_ends_it(bot):
    asked(bot)
    assert bot.say("cancel") == ["Cancelled."]
    assert bot.say("3") == ["helper: 3, meant False"]


def test_a_clear_message_and_a_stranger_are_not_asked_about(bot):
    assert bot.say("I want to fly, reserve me a seat on a plane")[0].startswith("flight")
    assert bot.say("my grandmother paints fences")[0].startswith("helper")


def test_it_is_off_unless_it_is_wanted(chatbot):
    assert chatbot(*EVERYBODY).say(UNCLEAR)[0].startswith(("hotel:", "flight:"))


def test_what_the_talker_may_not_use_is_no_choice(chatbot):
    bot = chatbot(plugin("hotel", "book a hotel", "reserve a room", roles={"staff"}), Flight, Weather, Helper,
                  did_you_mean=True)  # fmt: skip
    assert bot.say(UNCLEAR) == [f"flight: {UNCLEAR}, ongoing False"]
    staff = Identity("anna", roles=frozenset({"staff"}))
    bot.deliver(replace(bot.event(UNCLEAR), identity=staff))
    assert bot.replies()[0].startswith("Did you mean")


async def test_the_chosen_plugin_may_ask_in_turn_and_gets_the_files(tmp_path):
    class Asks(Interface):
        name = "hotel"
        aliases = ("book a hotel", "reserve a room")

        async def consume(self, package):
            files = [part.filename for part in package.get_attachments(3)]
            try:
                town = await package.ask("Where?")
                package.callback(f"{package.conversation.subject} in {town}, {files}")
            except DialogEnded as exc:
                package.callback(str(exc))

    store = await Store.open(tmp_path / "zoozl.db")
    async with Bot(Asks, Flight, Weather, Helper, did_you_mean=True, store=store) as bot:
        picture = MessagePart("", b"\x89PNG", "image/png", "house.png")
        (question,) = await bot.say(Message([MessagePart(UNCLEAR), picture]))
        assert question.startswith("Did you mean")
        assert await bot.tap("book a hotel") == ["Where?"]
        assert await bot.say("Riga") == ["book a hotel in Riga, ['house.png']"]


async def test_it_survives_a_kill_between_question_and_answer(tmp_path):
    bot = Bot(*EVERYBODY, did_you_mean=True, store=await Store.open(tmp_path / "zoozl.db"), restarts=False)
    await bot.chatbot.start()
    await bot.say(UNCLEAR)
    tap = bot.button("book a flight")
    await bot.chatbot.drain()
    again = Bot(*EVERYBODY, did_you_mean=True, store=await Store.open(tmp_path / "zoozl.db"), restarts=False)
    async with again:
        await again.deliver(tap)
        assert await again.replies() == [f"flight: {UNCLEAR}, ongoing False"]
        await again.deliver(tap)
        assert await again.replies() == [], "the same tap twice"


async def test_an_alias_that_is_gone_meanwhile_goes_to_the_fallback(tmp_path):
    bot = Bot(*EVERYBODY, did_you_mean=True, store=await Store.open(tmp_path / "zoozl.db"), restarts=False)
    await bot.chatbot.start()
    await bot.say(UNCLEAR)
    tap = bot.button("book a flight")
    await bot.chatbot.drain()
    again = Bot(Hotel, Weather, Helper, did_you_mean=True, store=await Store.open(tmp_path / "zoozl.db"))
    async with again:
        await again.deliver(tap)
        assert await again.replies() == [f"helper: {UNCLEAR}, meant False"]


def test_close_is_measured_before_the_scale():
    best = Match(0, 0, 0.8, 0.5)
    assert [m.plugin for m in close(best, [best, Match(1, 1, 0.75, 0.5), Match(2, 2, 0.7, 0.5)])] == [0, 1]
    low = Match(0, 0, 0.5, 0.4)
    assert close(low, [Match(1, 1, 0.6, 0.9), low, Match(2, 2, 0.3, 0.5)]) == [low], "a better one that was refused"
