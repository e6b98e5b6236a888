"""The harness: it restarts the bot between any two messages, and finds dialogs that then do something else."""

import asyncio
import itertools
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest

from zoozl.chatbot import Interface, Message
from zoozl.chatbot.clock import VirtualClock
from zoozl.testing import Bot, NotDeterministic
from zoozl.testing.play import play
from zoozl.testing.transcript import Difference, parse


class Order(Interface):
    aliases = ("order food", "/order")

    async def consume(self, package):
        dish = await package.ask("What will it be?", choices=["Soup", "Fish"])
        package.conversation.data["dish"] = dish
        if await package.confirm(f"One {dish}, right?", timeout=600):
            package.callback(f"{dish} is coming.")
        else:
            package.callback("Then not.")


async def hold(plugin, *texts, **options):
    async with Bot(plugin, **options) as bot:
        return [await bot.say(text) for text in texts]


# Dialogs that are not the same again


async def test_a_text_that_is_different_after_a_restart_is_found():
    class Dice(Interface):
        name = "dice"
        aliases = ("/roll",)

        async def consume(self, package):
            package.callback(f"You have {random.random()}.")
            await package.ask("Again?")

    with pytest.raises(NotDeterministic) as caught:
        await hold(Dice, "/roll", "no")
    assert "plugin dice ('/roll')" in str(caught.value)
    assert "it said        'You have 0." in str(caught.value)
    assert "package.random()" in str(caught.value)
    assert await hold(Dice, "/roll", "no", restarts=False)


async def test_data_that_is_different_after_a_restart_is_found():
    numbers = itertools.count(1)

    class Counts(Interface):
        name = "counts"
        aliases = ("/count",)

        async def consume(self, package):
            package.conversation.data["n"] = next(numbers)
            await package.ask("Again?")

    with pytest.raises(NotDeterministic, match=r"conversation.data\['n'\] was 1\n.* it is 2"):
        await hold(Counts, "/count", "no")


async def test_a_question_that_is_different_after_a_restart_is_found():
    numbers = itertools.count(1)

    class Asks(Interface):
        aliases = ("/ask",)

        async def consume(self, package):
            await package.ask(f"Number {next(numbers)}?")

    with pytest.raises(NotDeterministic, match=r"asks 'Number 1\?', and the plugin asks 'Number 2\?'"):
        await hold(Asks, "/ask", "x")


async def test_a_dialog_that_ends_before_its_question_in_the_replay_is_found():
    class Once(Interface):
        aliases = ("/once",)
        asked = set()

        async def consume(self, package):
            if package.talker not in self.asked:
                self.asked.add(package.talker)
                await package.ask("Your name?")

    with pytest.raises(NotDeterministic, match="returned before entry 0|before it came to its open question"):
        await hold(Once, "/once", "anna")


async def test_what_nobody_looked_at_is_found_when_the_bot_stops():
    class Dice(Interface):
        aliases = ("/roll",)

        async def consume(self, package):
            package.callback(f"You have {random.random()}.")
            await package.ask("Again?")

    with pytest.raises(NotDeterministic):
        async with Bot(Dice) as bot:
            await bot.say("/roll")
            await bot.post("no")


async def test_a_dialog_that_takes_chance_and_time_from_its_package_is_the_same_again():
    class Dice(Interface):
        aliases = ("/roll",)

        async def consume(self, package):
            package.callback(f"{package.random()} at {package.now()}, {await package.step(random.random)}")
            first = await package.ask("Again?")
            package.callback(f"You said {first}: {package.last_message_text}.")
            await package.ask("And again?")
            package.callback(package.last_message_text)

    *_, second, last = await hold(Dice, "/roll", "yes", "no")
    assert second == ["You said yes: yes.", "And again?"]
    assert last == ["no"]


async def test_nothing_runs_more_often_than_a_restart_between_two_messages_runs_it():
    begun, stepped, ended = [], [], []

    class Spied(Interface):
        aliases = ("/go",)

        async def consume(self, package):
            begun.append(package.talker)
            await package.step(stepped.append, 1)
            await package.ask("One?")
            await package.ask("Two?")
            ended.append(package.talker)

    await hold(Spied, "/go", "x", "y")
    assert (len(begun), len(stepped), len(ended)) == (3, 1, 1)


# Restarts


async def test_what_a_plugin_keeps_in_memory_is_gone():
    class Remembers(Interface):
        aliases = ("help",)

        def load(self, context):
            self.context = context
            self.seen = []

        async def consume(self, package):
            self.seen.append(package.last_message_text)
            kept = await self.context.memory.get("n", 0) + 1
            await self.context.memory.put("n", kept)
            package.callback(f"{len(self.seen)} {kept}")

    assert await hold(Remembers, "a", "b", "c") == [["1 1"], ["1 2"], ["1 3"]]
    assert await hold(Remembers, "a", "b", "c", restarts=False) == [["1 1"], ["2 2"], ["3 3"]]


async def test_the_old_plugin_is_closed_before_the_new_one_is_loaded():
    told = []

    class Holds(Interface):
        aliases = ("help",)

        def load(self, context):
            told.append("load")

        def close(self):
            told.append("close")

        async def consume(self, package):
            pass

    async with Bot(Holds) as bot:
        await bot.say("a")
        await bot.restart()
    assert told == ["load", "close", "load", "close"]


async def test_a_running_turn_is_not_restarted():
    gate = asyncio.Event()

    class Waits(Interface):
        aliases = ("help",)
        count = 0

        async def consume(self, package):
            self.count += 1
            await gate.wait()
            package.callback(str(self.count))

    async with Bot(Waits) as bot:
        await bot.post("one")
        await bot.post("two")
        gate.set()
        assert await bot.replies() == ["1", "2"]
        assert await bot.say("three") == ["1"]


# Who speaks where


async def test_talkers_and_rooms():
    async with Bot(Order) as bot:
        anna, bert = bot.at("anna", room="kitchen", thread="1"), bot.at("bert", room="kitchen", thread="2")
        await anna.say("/order")
        await bert.say("/order")
        await bot.say("/order", "anna")
        assert await bert.tap("fish") == ["One Fish, right? (yes/no)"]
        assert await anna.say("soup") == ["One Soup, right? (yes/no)"]
        assert await bot.tap("Fish", "anna") == ["One Fish, right? (yes/no)"]
        assert await bot.at("bert", room="kitchen", thread="1").tap("Yes") == [
            "Only the one who was asked can answer that."
        ]
        assert await anna.tap("Yes") == ["Soup is coming."]
        assert await bert.replies() == []


async def test_a_button_that_is_not_there():
    async with Bot(Order) as bot:
        with pytest.raises(AssertionError, match="anna has not been asked anything"):
            await bot.tap("Fish", "anna")
        await bot.say("/order")
        with pytest.raises(
            AssertionError, match=r"no button \[Cake\]; the question 'What will it be\?' has \[Soup\], \[Fish\]"
        ):
            await bot.tap("Cake")


async def test_duplicates_and_messages_in_another_order():
    class Echo(Interface):
        aliases = ("help",)

        async def consume(self, package):
            package.callback(package.last_message_text)

    async with Bot(Echo) as bot:
        assert await bot.say("one") == ["one"]
        assert await bot.duplicate() == []
        first, second = bot.event("first"), bot.event("second")
        await bot.deliver(second, first, second)
        assert await bot.replies() == ["second", "first"]
        with pytest.raises(AssertionError, match="bert has not said anything"):
            await bot.duplicate("bert")


# Time


async def test_time_goes_from_one_deadline_to_the_next():
    class Egg(Interface):
        aliases = ("/egg",)

        async def consume(self, package):
            for n in range(3):
                await package.sleep(60)
                package.callback(f"{n + 1} at {package.now():%M:%S}")

    async with Bot(Egg) as bot:
        await bot.say("/egg")
        await bot.pass_time(150)
        assert await bot.replies() == ["1 at 01:00", "2 at 02:00"]
        await bot.pass_time(30)
        assert await bot.replies() == ["3 at 03:00"]


async def test_everything_that_is_said_has_the_bots_time():
    class Tells(Interface):
        aliases = ("help",)
        idle_timeout = 7200

        async def consume(self, package):
            package.conversation.data["text"] = package.last_message_text
            package.callback(Message("text") if package.last_message_text == "x" else "text")

    rules = []
    async with Bot(Tells) as bot:
        for said in ("x", "y", Message("z")):
            await bot.post(said)
            (reply,) = await bot.messages()
            assert reply.timestamp == bot.clock.time()
            # A subject in which somebody speaks every hour is never idle for two.
            rules.append(str(bot.reports[-1].route.rule))
            await bot.pass_time(3600)
    assert rules == ["fallback", "current subject", "current subject"]


async def test_time_cannot_pass_on_another_clock():
    class Mine(VirtualClock):
        pass

    class Real:
        def time(self):
            return 0.0

        async def until(self, when, sooner):
            await sooner.wait()

    async with Bot(Order, clock=Mine()) as bot:
        await bot.pass_time(1)
    async with Bot(Order, clock=Real()) as bot:
        with pytest.raises(RuntimeError, match="VirtualClock"):
            await bot.pass_time(1)


def test_a_sync_bot_has_the_same_calls(chatbot):
    bot = chatbot(Order)
    assert bot.say("/order") == ["What will it be?\n\n1. Soup\n2. Fish"]
    assert bot.tap("Fish") == ["One Fish, right? (yes/no)"]
    assert bot.duplicate() == []
    bot.restart()
    bot.pass_time(700)
    assert bot.replies() == ["Then not."]
    kitchen = bot.at("anna", room="kitchen")
    assert kitchen.say("/order") == ["What will it be?\n\n1. Soup\n2. Fish"]
    assert kitchen.tap("Soup") == ["One Soup, right? (yes/no)"]
    bot.deliver(bot.event("yes", "anna", room="kitchen"))
    assert kitchen.replies() == ["Soup is coming."]
    assert {name for name in vars(Bot) if not name.startswith("_")} - {"of", "send", "button", "sent"} <= {
        name for name in dir(bot) if not name.startswith("_")
    }


# Transcripts

CHAT = """\
anna: /order
bot: What will it be?
  1. Soup
  2. Fish
anna: [Fish]
bot: One Fish, right? (yes/no)
--- again
--- restart
--- 11 minutes later
bot: Then not.
anna: [Yes]
bot: ~ That question .*
bert @kitchen/t1: I would like to order food
bot: ...
bert @kitchen/t1: soup
bot: One Soup, right? (yes/no)
bert @kitchen/t1: [yes]
bot (to bert): Soup is coming.
"""


async def test_a_transcript_is_held():
    async with Bot(Order) as bot:
        await play(bot, parse(CHAT))


@pytest.mark.parametrize(
    ("change", "shown"),
    [
        (
            ("Then not.", "Then yes."),
            "x.chat:10: the bot says something else\n  expected  Then yes.\n  said      Then not.",
        ),
        (("  2. Fish", "  2. Cake"), "x.chat:2: the bot says something else\n  - expected, + said"),
        (("bot: Then not.\n", ""), "x.chat:9: after this the bot also said 'Then not.'"),
        (("bot (to bert): Soup is coming.\n", ""), "x.chat:17: after this the bot also said 'Soup is coming.'"),
        (("--- restart", "bot: Hello"), "x.chat:8: the bot says nothing more here\n  expected  Hello"),
        (("[yes]", "[perhaps]"), "x.chat:17: there is no button [perhaps]"),
        (("(to bert)", "(to anna)"), "x.chat:18: the bot says nothing more to anna here; it said 'Soup is coming.'"),
        (("--- restart", "--- 2020-01-01"), "x.chat:8: it is later than that already"),
    ],
)
async def test_the_first_difference_is_told_with_its_line(change, shown):
    assert change[0] in CHAT
    async with Bot(Order) as bot:
        with pytest.raises(Difference) as caught:
            await play(bot, parse(CHAT.replace(*change)), "x.chat")
    assert str(caught.value).startswith(shown)


async def test_a_transcript_tells_what_time_it_is():
    class Clock(Interface):
        aliases = ("/time",)

        async def consume(self, package):
            package.callback(f"{package.now():%A %H:%M}")

    text = "--- 2020-02-29 23:59\na: /time\nbot: Saturday 23:59\n--- a minute later\na: /time\nbot: Sunday 00:00\n"
    async with Bot(Clock) as bot:
        await play(bot, parse(text))


async def test_a_dialog_that_is_not_the_same_again_has_its_line():
    class Dice(Interface):
        aliases = ("/roll",)

        async def consume(self, package):
            package.callback(f"You have {random.random()}.")
            await package.ask("Again?")

    async with Bot(Dice) as bot:
        with pytest.raises(Difference, match=r"line 4: plugin Dice .* did something else"):
            await play(bot, parse("anna: /roll\nbot: ...\nbot: Again?\nanna: no\n"))


PAGE = (Path(__file__).parents[2] / "docs" / "howto" / "test-dialogs.md").read_text("utf-8")


def test_the_how_tos_test_passes(chatbot):
    (snippet,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    space = {}
    exec(snippet, space)
    space["test_ordering"](lambda _: chatbot(Order))


async def test_the_how_tos_transcript_is_held():
    (text,) = re.findall(r"```\n(# Ordering food\n.*?)```", PAGE, re.DOTALL)
    async with Bot(Order) as bot:
        await play(bot, parse(text))


def test_pytest_starts_no_slower_for_the_harness():
    code = "import sys, zoozl.testing; print(sorted({'numpy', 'zoozl.chatbot', 'zoozl.config'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout == "[]\n", done.stderr
