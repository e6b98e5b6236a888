"""What is explained is what would happen: rule, plugin and score, in the situation that a talker is in."""

import numpy as np
import pytest

from zoozl.chatbot import Interface
from zoozl.chatbot.explain import NOTHING, RULES, Situation, explain
from zoozl.chatbot.router import Rule
from zoozl.errors import EmbeddingError
from zoozl.testing import Bot, bundled_embedder


def plugin(name, *aliases, **attributes):
    def consume(self, package):
        package.callback(name)

    return type(name, (Interface,), {"aliases": aliases, "consume": consume, "name": name, **attributes})


class Remembering:
    """The bundled model, which computes each text once for all of these tests."""

    latin_only = True
    name = "remembering"

    def __init__(self):
        self._vectors = {}

    def embed(self, texts):
        for text in texts:
            if text not in self._vectors:
                self._vectors[text] = bundled_embedder().embed([text])[0]
        return np.stack([self._vectors[text] for text in texts])


REMEMBERING = Remembering()


class Order(Interface):
    name = "order"
    aliases = ("order food", "bring me something to eat")
    idle_timeout = 600.0

    async def consume(self, package):
        package.callback(await package.ask("What will it be?"))


Helper = plugin("helper", "help", "/help")
Weather = plugin("weather", "what is the weather like", "will it rain tomorrow")
Flight = plugin("flight", "book a flight", "reserve a seat on a plane", roles={"staff"})
Hotel = plugin("hotel", "book a hotel", "reserve a room")
Sticky = plugin("sticky", "stick to me", sticky=True, idle_timeout=600.0)
ALL = (Helper, Weather, Flight, Hotel, Sticky, Order)


async def explained(bot, text, situation=NOTHING, **options):
    router, embedding = bot.chatbot.router, bot.chatbot.root.embedding
    return await explain(router, embedding, text, situation, **options)


async def situation_of(bot, talker="tester"):
    state, messages, dialogs = await bot.chatbot.root.store.load(bot.chatbot.lane_of(bot.at(talker).address))
    return Situation(talker, state.subject, dialogs, messages[-1].timestamp)


@pytest.mark.parametrize(
    "text",
    [
        "is it going to rain tomorrow?",
        "WILL IT RAIN TOMORROW",
        "my grandmother paints fences",
        "cancel",
        "/help me",
        "/hepl",
        "flight or hotel reservation",
        "",
    ],
)
@pytest.mark.parametrize("before", [None, "order food", "stick to me"])
async def test_it_is_what_happens(text, before):
    async with Bot(*ALL, did_you_mean=True, restarts=False, embedder=REMEMBERING) as bot:
        if before is not None:
            await bot.say(before)
        found = await explained(bot, text, await situation_of(bot) if before else NOTHING, now=bot.clock.time())
        await bot.say(text)
        # A cancel is told of twice: of the dialog, and of itself.
        reports = [report.route for report in bot.reports if report.receipt is bot.reports[-1].receipt]
        assert found.rule in [route.rule for route in reports]
        assert found.score in [route.score for route in reports]
        if found.rule != Rule.QUESTION:
            assert found.plugin in [route.plugin.name if route.plugin else "" for route in reports]


def test_every_rule_that_decides_has_a_number():
    assert sorted(rule for rules in RULES for rule in rules) == sorted(set(Rule) - {Rule.GREETING, Rule.DEADLINE})


async def test_the_candidates_are_told_with_what_they_have_to_reach():
    async with Bot(*ALL, plugin("strict", "pay the wages", "send the salaries", threshold=0.9), restarts=False) as bot:
        found = await explained(bot, "please send my salary", most=3)
        assert found.candidates[0].plugin == "strict"
        assert len(found.candidates) == 3
        assert found.candidates[0].threshold == 0.9
        assert not found.candidates[0].accepted
        assert found.rule == Rule.FALLBACK
        assert "nearest, but not near enough" in found.notes[0]
        assert found.as_json()["candidates"][0]["alias"] == "send the salaries"
        literal = await explained(bot, "Book a flight!")
        assert (literal.candidates[0].score, literal.candidates[0].plugin) == (1.0, "flight")
        assert "flight is only for those with the role staff" in literal.notes


async def test_a_question_is_open_until_its_time_is_over():
    async with Bot(*ALL, restarts=False) as bot:
        await bot.say("order food")
        situation, now = await situation_of(bot), bot.clock.time()
        found = await explained(bot, "will it rain tomorrow", situation, now=now)
        assert (found.rule, found.plugin) == (Rule.QUESTION, "order")
        assert 'the open question is "What will it be?"' in found.notes
        assert (await explained(bot, "will it rain tomorrow", situation, now=now + 601)).plugin == "weather"
        other = Situation("somebody else", dialogs=situation.dialogs)
        assert (await explained(bot, "will it rain tomorrow", other, now=now)).plugin == "weather"
        assert (await explained(bot, "/cancel_1", situation, now=now)).rule == Rule.BUTTON


async def test_a_subject_is_over_when_nothing_was_said_for_long():
    async with Bot(*ALL, restarts=False) as bot:
        await bot.say("stick to me")
        situation, now = await situation_of(bot), bot.clock.time()
        assert (await explained(bot, "will it rain tomorrow", situation, now=now)).rule == Rule.SUBJECT
        later = await explained(bot, "will it rain tomorrow", situation, now=now + 601)
        assert (later.plugin, later.notes[0]) == (
            "weather",
            'the subject "stick to me" is over: nothing was said in it for long',
        )


async def test_a_question_of_what_was_meant_is_over_with_another_message():
    async with Bot(Helper, Weather, Hotel, plugin("flight", "book a flight", "reserve a seat on a plane"),
                   did_you_mean=True, restarts=False) as bot:  # fmt: skip
        await bot.say("flight or hotel reservation")
        situation, now = await situation_of(bot), bot.clock.time()
        assert (await explained(bot, "book a hotel", situation, now=now)).rule == Rule.QUESTION
        assert (await explained(bot, "will it rain tomorrow", situation, now=now)).plugin == "weather"


class Broken:
    name = "broken"

    def embed(self, texts):
        raise EmbeddingError("no model here")


async def test_without_a_model_letters_decide_and_it_says_so():
    async with Bot(*ALL, embedder=Broken(), restarts=False) as bot:
        found = await explained(bot, "will it be rain tomorrow")
        assert (found.plugin, found.by_meaning) == ("weather", False)
        assert "by letters alone: " in found.notes[0]


async def test_it_tells_the_embedder_and_the_time():
    async with Bot(*ALL, restarts=False) as bot:
        found = await explained(bot, "is it going to rain tomorrow?")
        assert found.embedder == bundled_embedder().about
        assert found.ranking_ms > 0
