"""Talks to the plugin in memory."""

from collections.abc import Callable

from zoozl.testing import SyncBot

CONF = {"order_status": {"orders": {"4711": "It was sent on Monday."}}}


def test_it_asks_for_the_number(chatbot: Callable[..., SyncBot]) -> None:
    """And people need not use the words of the alias."""
    bot = chatbot("order_status", conf=CONF)
    assert bot.say("could you tell me where my order is?") == ["What is the number of the order?"]
    assert bot.say("it is 4711") == ["It was sent on Monday."]


def test_two_talkers_do_not_mix(chatbot: Callable[..., SyncBot]) -> None:
    """One object of the plugin serves everybody."""
    bot = chatbot("order_status", conf=CONF)
    bot.say("where is my order", talker="ann")
    assert bot.say("where is my order 4711", talker="bob") == ["It was sent on Monday."]
    assert bot.say("12", talker="ann") == ["There is no such order."]


def test_what_is_something_else_goes_elsewhere(chatbot: Callable[..., SyncBot]) -> None:
    """Load the plugins it has to live with, to see whether they get in each other's way."""
    bot = chatbot("order_status", "zoozl.plugins.helpers", "zoozl.plugins.games", conf=CONF)
    bot.say("let's play a game")
    assert bot.last.route.plugin.name == "games"
