"""What a dialog is given as an answer, from whom, and what of it is kept."""

import datetime
import decimal

import pytest

from zoozl.chatbot import Interface
from zoozl.chatbot.message import Address, Event, Message
from zoozl.chatbot.question import Answer, Form
from zoozl.errors import ExtensionError
from zoozl.testing import Bot

FORM = Form().text("name", "Your name").number("seats", "Seats").text("wish", "A wish?", required=False)


class Table(Interface):
    aliases = ("/table",)

    async def consume(self, package):
        given = await package.form("A table:", FORM, validate={"seats": self.seats, "wish": self.wish})
        package.callback(str(given))

    async def seats(self, text):
        if int(text) > 8:
            raise ValueError("8 at most.")
        return int(text)

    def wish(self, text):
        return text != "the moon"


async def test_a_form_is_validated_field_by_field():
    async with Bot(Table) as bot:
        await bot.say("/table")
        await bot.say("Anna")
        assert await bot.say("9") == ["Seats: 8 at most."]
        assert await bot.say("8") == ["A wish? (- to leave it out)"]
        assert await bot.say("the moon") == ["A wish?: Sorry, that does not fit. Please try again."]
        assert await bot.say("-") == ["{'name': 'Anna', 'seats': 8, 'wish': ''}"]


async def test_a_form_that_comes_whole_is_validated_whole():
    async with Bot(Table) as bot:
        bot.shows = {"forms"}
        await bot.say("/table")
        (dialog,) = await bot.chatbot.root.store.dialogs_of("test", "tester")

        async def send(**values):
            answer = Answer(dialog.question.id, values)
            bot.chatbot.receive(Event(Address("test", talker="tester"), Message(""), answer=answer))
            return await bot.replies()

        assert await send(name="Anna", seats="9") == ["Seats: 8 at most."]
        assert await send(name="Anna", seats="8") == ["{'name': 'Anna', 'seats': 8, 'wish': ''}"]


async def test_what_a_form_was_filled_in_with_is_there_after_a_restart():
    async with Bot(Table) as bot:
        bot.shows = {"forms"}
        await bot.say("/table")
        store = bot.chatbot.root.store
        (dialog,) = await store.dialogs_of("test", "tester")
        for values in ({"name": "Anna", "seats": "9", "wish": "a window"}, {"name": "Anna", "seats": "10"}):
            answer = Answer(dialog.question.id, values)
            await bot.restart()
            bot.chatbot.receive(Event(Address("test", talker="tester"), Message(""), answer=answer))
            assert await bot.replies() == ["Seats: 8 at most."]
        (dialog,) = await store.dialogs_of("test", "tester")
        assert [field.default for field in dialog.question.fields] == ["Anna", "10", "a window"]


async def test_validating_a_field_that_is_not_there_is_a_mistake(caplog):
    class Wrong(Interface):
        aliases = ("/wrong",)

        async def consume(self, package):
            await package.form("?", FORM, validate={"seat": int})

    async with Bot(Wrong) as bot:
        assert await bot.say("/wrong") == ["Sorry, something went wrong here. It has been noted."]
    assert "the form has no field called 'seat' to validate" in caplog.text


@pytest.mark.parametrize("make", [datetime.date.fromisoformat, lambda text: decimal.Decimal(len(text)), str.encode])
async def test_an_answer_that_cannot_be_kept_is_an_error_at_once(caplog, make):
    class Day(Interface):
        aliases = ("/day",)

        async def consume(self, package):
            await package.ask("When?", validate=make)

    async with Bot(Day) as bot:
        await bot.say("/day")
        assert await bot.say("2027-01-20") == ["Sorry, something went wrong here. It has been noted."]
    assert "validate gave what is not JSON" in caplog.text


async def test_an_answer_is_the_same_before_a_restart_and_after():
    class Pair(Interface):
        aliases = ("/pair",)

        async def consume(self, package):
            pair = await package.ask("Two?", validate=lambda text: tuple(text.split()))
            await package.ask(f"{pair}?")

    async with Bot(Pair, restarts=False) as bot:
        await bot.say("/pair")
        assert await bot.say("a b") == ["['a', 'b']?"]


async def test_a_parameter_that_is_called_key_may_be_given():
    class Notes(Interface):
        aliases = ("/note",)

        async def consume(self, context, package):
            await package.step(context.memory.put, "a", 1)
            await package.step(context.memory.put, key="b", value=await package.step(context.memory.get, "a"))
            package.callback(f"{await context.memory.keys()} {await package.step(self.own, 5)}")

        def own(self, number, key):
            return [number, key.count(".")]

    async with Bot(Notes) as bot:
        assert await bot.say("/note") == ["['a', 'b'] [5, 1]"]


async def test_a_dialog_may_keep_the_floor_when_it_is_over():
    class Host(Interface):
        aliases = ("/host",)

        async def consume(self, package):
            if package.conversation.data.setdefault("name", "") == "":
                package.conversation.data["name"] = await package.ask("Your name?")
            package.callback(f"Well, {package.conversation.data['name']}?")

        def is_complete(self, package):
            return package.last_message_text == "bye"

    async with Bot(Host) as bot:
        await bot.say("/host")
        assert await bot.say("Anna") == ["Well, Anna?"]
        route = bot.reports[-1].route
        assert (route.plugin.name, route.alias) == ("Host", "/host"), "it is known who asked"
        assert await bot.say("anything") == ["Well, Anna?"]
        assert await bot.say("bye") == ["Well, Anna?"]
        assert await bot.say("anything") == []


# Several people


class Listens(Interface):
    aliases = ("/listen",)

    async def consume(self, package):
        heard = []
        while (said := await package.ask("", participants="anyone")) != "done":
            heard.append(f"{package.answered_by}: {said}")
        package.callback(f"{heard}, {package.talker}, {package.answered_by}")


@pytest.mark.parametrize("restarts", [True, False])
async def test_who_answered_is_known_and_an_empty_question_says_nothing(restarts):
    async with Bot(Listens, restarts=restarts) as bot:
        anna, bert = (bot.at(name, room="r", thread="1") for name in ("anna", "bert"))
        assert await anna.say("/listen") == []
        assert await bert.say("one") == []
        assert await anna.say("two") == []
        assert "/listen, 1440 min left: /cancel_" in (await anna.say("/pending"))[0]
        assert await bert.say("done") == ["['bert: one', 'anna: two'], anna, bert"]


async def test_whoever_may_answer_may_cancel():
    async with Bot(Listens) as bot:
        await bot.say("/listen", "anna", room="r", thread="1")
        assert await bot.say("never mind", "bert", room="r", thread="1") == ["Cancelled."]
        assert await bot.say("/pending", "anna") == ["Nothing is waiting for your answer."]


async def test_in_a_room_a_history_tells_who_said_what():
    class Tells(Interface):
        aliases = ("/tell",)

        async def consume(self, package):
            package.callback(" ".join(f"{m.author}:{m.text}" for m in await package.history()))

    class Hears(Interface):
        aliases = ("help",)

        def consume(self, package):
            pass

    async with Bot(Tells, Hears) as bot:
        await bot.post("hello", "anna", room="r", thread="1")
        await bot.post(Message("hi", author="Bert B."), "bert", room="r", thread="1")
        assert await bot.say("/tell", "carl", room="r", thread="1") == ["anna:hello Bert B.:hi"]
        await bot.post("hello", "anna")
        assert await bot.say("/tell", "anna") == [":hello"]


async def test_an_answer_by_id_from_elsewhere_is_of_the_one_who_gave_it():
    class Vote(Interface):
        aliases = ("/vote",)

        async def consume(self, package):
            choice = await package.ask("Which?", choices=["tea", "coffee"], participants="anyone")
            package.callback(f"{package.answered_by} wants {choice}")

    async with Bot(Vote) as bot:
        await bot.say("/vote", "anna", room="r", thread="1")
        (dialog,) = await bot.chatbot.root.store.dialogs_of("test", "anna")
        # A tap on a button that is shown outside the thread.
        answer = Answer(dialog.question.id, "tea")
        await bot.deliver(Event(Address("test", room="r", talker="bert"), Message("tea"), answer=answer))
        assert await bot.at("bert", room="r", thread="1").replies() == ["bert wants tea"]


# Spaces


def sharing(name, space):
    class Sharing(Interface):
        aliases = (f"/{name}",)

        async def consume(self, context, package):
            had = await context.memory.get("by"), await context.vault.get_key(package, "by")
            await context.memory.put("by", name)
            await context.vault.add_key(package, "by", name)
            package.callback(str(had))

    Sharing.name, Sharing.space = name, space
    return Sharing


async def test_plugins_of_one_space_share_memory_and_vault():
    async with Bot(sharing("one", "shop"), sharing("two", "shop"), sharing("three", ""), sharing("shop", "")) as bot:
        assert await bot.say("/one") == ["(None, None)"]
        assert await bot.say("/two") == ["('one', 'one')"]
        assert await bot.say("/three") == ["(None, None)"]
        assert await bot.say("/shop") == ["('two', 'two')"], "it is the space that a plugin of this name has"
        assert await bot.say("/two", "bert") == ["('shop', None)"], "secrets are still each talker's own"


def test_the_spaces_of_zoozl_are_for_no_plugin():
    with pytest.raises(
        ExtensionError, match="plugin 'one': give it a `space` that does not begin with zoozl: or vault:"
    ):
        Bot(sharing("one", "zoozl:vectors"))
