"""How sure the router has to be: for all, for a plugin, for an alias; and what it compares with and waits for."""

import asyncio

import numpy as np
import pytest

from zoozl.chatbot import Interface
from zoozl.chatbot.extensions import Plugins
from zoozl.chatbot.router import Rule
from zoozl.errors import ExtensionError
from zoozl.testing import Bot, bundled_embedder

TEXT = "is it going to rain tomorrow?"


def plugin(name, *aliases, **attributes):
    async def consume(self, package):
        package.callback(f"{name}: {package.conversation.subject}")

    return type(name, (Interface,), {"aliases": aliases, "consume": consume, "name": name, **attributes})


Helper = plugin("helper", "help")
WEATHER = ("what is the weather like", "will it rain tomorrow")
Wages = plugin("wages", "pay the wages", "send the salaries")


@pytest.mark.parametrize(
    ("attributes", "everywhere", "answer"),
    [
        ({}, None, "weather: will it rain tomorrow"),
        ({}, 0.98, "helper: help"),
        ({"threshold": 0.5}, 0.98, "weather: will it rain tomorrow"),
        ({"threshold": 0.98}, None, "helper: help"),
        ({"threshold": 0.98, "thresholds": {"will it rain tomorrow": 0.5}}, None, "weather: will it rain tomorrow"),
        ({"thresholds": {"will it rain tomorrow": 1.0}}, None, "helper: help"),
    ],
)
def test_the_nearest_to_the_alias_counts(chatbot, attributes, everywhere, answer):
    bot = chatbot(Helper, Wages, plugin("weather", *WEATHER, **attributes), threshold=everywhere)
    assert bot.say(TEXT) == [answer]
    assert bot.say("Will it rain tomorrow") == ["weather: will it rain tomorrow"], "by the letter, whatever is set"


def test_a_plugin_that_asks_for_too_much_makes_room_for_the_next(chatbot):
    strict = plugin("strict", "book a hotel", "reserve a room", threshold=0.99)
    bot = chatbot(Helper, strict, plugin("lax", "book a flight", "reserve a seat on a plane", threshold=0.2))
    assert bot.say("hotel or flight reservation")[0].startswith("lax")


@pytest.mark.parametrize(
    ("attributes", "why"),
    [
        ({"threshold": 2}, "threshold must be a number from 0 to 1, not 2"),
        ({"threshold": True}, "not True"),
        ({"thresholds": 0.5}, "thresholds must be numbers by alias"),
        ({"thresholds": {"snow": 0.5}}, "thresholds names 'snow', which is no alias of it"),
        (
            {"thresholds": {"will it rain tomorrow": "high"}},
            "the threshold of 'will it rain tomorrow' must be a number",
        ),
    ],
)
def test_thresholds_that_are_none_are_refused(attributes, why):
    with pytest.raises(ExtensionError, match=why):
        Bot(plugin("weather", *WEATHER, **attributes))


def test_a_background_of_ones_own_is_what_aliases_are_told_apart_from(chatbot, tmp_path):
    file = tmp_path / "strangers.txt"
    file.write_text("\n".join(["my grandmother paints fences"] + [f"the train number {n} is late" for n in range(40)]))
    own = chatbot(Helper, plugin("weather", *WEATHER), Wages, background=file)
    other = chatbot(Helper, plugin("weather", *WEATHER), Wages)
    assert own.say(TEXT) == other.say(TEXT) == ["weather: will it rain tomorrow"]
    assert own.last.route.score != other.last.route.score


class Slow:
    """The bundled model, which takes its time for tables."""

    latin_only = True
    name = "slow"

    def __init__(self):
        import threading

        self.go_on = threading.Event()

    def embed(self, texts):
        if len(texts) > 1:
            assert self.go_on.wait(30)
        return bundled_embedder().embed(list(texts)).astype(np.float32)


async def test_while_a_table_is_being_made_messages_are_compared_by_letters():
    slow = Slow()
    async with Bot(Helper, plugin("weather", *WEATHER), Wages, embedder=slow, restarts=False) as bot:
        try:
            assert await bot.say("will it be rain tomorrow") == ["weather: will it rain tomorrow"]
            assert bot.reports[-1].route.rule is Rule.ALIAS
            assert await bot.say("transfer money to my staff") == ["helper: help"]
        finally:
            slow.go_on.set()
        async with asyncio.timeout(20):
            await bot.chatbot.router.tables.scorer()
        assert await bot.say("transfer money to my staff") == ["wages: send the salaries"]


async def test_a_changed_table_is_made_from_the_old_one():
    async with Bot(*(plugin(f"p{n}", f"word{n} one", f"word{n} two") for n in range(8)), restarts=False) as bot:
        old = bot.chatbot.router
        before = await old.tables.scorer()
        same = bot.chatbot.router_for(bot.chatbot.root.plugins)
        same.take_over(old)
        assert await same.tables.scorer() is before
        more = Plugins()
        more.all = [*bot.chatbot.root.plugins.all]
        more.table = {**bot.chatbot.root.plugins.table, "word0 three": more.all[0]}
        changed = bot.chatbot.router_for(more)
        changed.take_over(old)
        after = await changed.tables.scorer()
        assert after is not before
        assert after.likeness.texts[3] is before.likeness.texts[3], "what did not change was not computed again"
        assert after.best("word0 three", None).index == 16
