"""Which plugin gets a message: the order of the rules, each of them."""

import pytest

from zoozl.chatbot import Interface
from zoozl.chatbot.router import Rule
from zoozl.errors import ConfigError, ExtensionError
from zoozl.testing import Bot


def plugin(name, *aliases, text=None, **attributes):
    """A plugin class that says its name and the subject it was called with."""

    def consume(self, package):
        package.callback(text or f"{name}: {package.conversation.subject}")

    return type(name, (Interface,), {"aliases": aliases, "consume": consume, "name": name, **attributes})


Helper = plugin("helper", "help")
Weather = plugin("weather", "what is the weather like", "will it rain tomorrow")
Wages = plugin("wages", "pay the wages", "/wages")


class Booking(Interface):
    """Keeps the floor by writing to data; three answers and it is over."""

    name = "booking"
    aliases = ("book a table",)

    async def consume(self, package):
        answers = package.conversation.data.setdefault("answers", [])
        answers.append(package.last_message_text)
        package.callback(f"booking {len(answers)}")
        if len(answers) == 3:
            package.finish()


class Canceller(Interface):
    name = "canceller"
    aliases = ("cancel", "let me out")

    async def consume(self, package):
        package.callback(f"cancelled, ongoing {package.conversation.ongoing}")


def test_the_nearest_alias_wins_not_the_first(chatbot):
    far, near = plugin("far", "play games"), plugin("near", "pay my wages")
    for order in ((far, near), (near, far)):
        bot = chatbot(*order, Helper)
        assert bot.say("please pay my salary") == ["near: pay my wages"]
        assert bot.last.route.rule is Rule.ALIAS


def test_paraphrases_are_understood_and_strangers_go_to_help(chatbot):
    bot = chatbot(Helper, Weather, Wages)
    assert bot.say("is it going to rain tomorrow?") == ["weather: will it rain tomorrow"]
    assert bot.say("my grandmother paints fences") == ["helper: help"]
    assert bot.last.route.rule is Rule.FALLBACK
    assert bot.last.route.near


def test_alias_text_matches_by_the_letter_whatever_the_case(chatbot):
    bot = chatbot(Helper, plugin("odd", "xq 17"))
    assert bot.say("  XQ 17! ") == ["odd: xq 17"]
    assert bot.last.route.score == 1.0


def test_a_message_of_nothing_goes_to_help(chatbot):
    bot = chatbot(Helper, Weather)
    for text in ("", "   ", "\n"):
        assert bot.say(text) == ["helper: help"]


@pytest.mark.parametrize("text", ["cancel", "Stop!", "never mind", "  CANCEL  ", "/cancel", "please stop"])
def test_literal_cancel_ends_the_subject(chatbot, text):
    bot = chatbot(Helper, Booking)
    assert bot.say("book a table") == ["booking 1"]
    assert bot.say(text) == ["Cancelled."]
    assert bot.last.route.rule is Rule.CANCEL
    assert bot.say("Friday") == ["helper: help"]
    assert bot.say("book a table") == ["booking 1"], "data of the cancelled subject is gone"


def test_cancel_with_nothing_going_on_says_so(chatbot):
    assert chatbot(Helper, Booking).say("cancel") == ["There is nothing to cancel."]


def test_the_cancel_plugin_is_called_on_a_match_only(chatbot):
    bot = chatbot(Helper, Booking, Canceller)
    assert bot.say("book a table") == ["booking 1"]
    assert bot.say("Friday") == ["booking 2"]
    assert bot.say("Let me out!") == ["cancelled, ongoing True"]
    assert bot.say("let me out") == ["cancelled, ongoing False"]


def test_cancel_by_meaning_needs_something_going_on(chatbot):
    bot = chatbot(Helper, Booking, Canceller)
    assert bot.say("please stop this, I changed my mind") == ["helper: help"]
    bot.say("book a table")
    assert bot.say("please stop this, I changed my mind") == ["cancelled, ongoing True"]
    assert bot.last.route.rule is Rule.CANCEL_BY_MEANING


@pytest.mark.parametrize("text", ["cancel my subscription", "stop the music", "1234", "no", "Friday at eight"])
def test_what_only_sounds_like_cancel_stays_with_the_subject(chatbot, text):
    bot = chatbot(Helper, Booking, Canceller)
    bot.say("book a table")
    assert bot.say(text) == ["booking 2"]
    assert bot.last.route.rule is Rule.SUBJECT


def test_a_command_goes_before_the_subject_and_leaves_it_as_it_is(chatbot):
    bot = chatbot(Helper, Booking, Wages)
    bot.say("book a table")
    assert bot.say("/wages for May") == ["wages: /wages"]
    assert bot.last.route.rule is Rule.COMMAND
    assert bot.say("Friday") == ["booking 2"]


def test_help_is_an_ordinary_word_while_a_subject_is_going_on(chatbot):
    bot = chatbot(plugin("helper", "help", "/help"), Booking)
    bot.say("book a table")
    assert bot.say("help") == ["booking 2"]
    assert bot.say("/help") == ["helper: /help"]


def test_a_stateless_plugin_never_keeps_the_talker(chatbot):
    bot = chatbot(Helper, Weather, Wages)
    bot.say("what is the weather like")
    assert bot.say("pay the wages") == ["wages: pay the wages"]


def test_a_sticky_plugin_keeps_the_floor_until_it_finishes(chatbot):
    class Sticky(Interface):
        aliases = ("stick to me",)
        sticky = True

        def consume(self, package):
            package.callback("still here")
            if package.last_message_text == "go":
                package.finish()

    bot = chatbot(Helper, Weather, Sticky)
    for text, answer in [
        ("stick to me", "still here"),
        ("what is the weather like", "still here"),
        ("go", "still here"),
    ]:
        assert bot.say(text) == [answer]
    assert bot.say("what is the weather like") == ["weather: what is the weather like"]


@pytest.mark.parametrize("form", ["none", "package", "async"])
def test_a_plugin_that_overrides_is_complete_decides_itself(chatbot, form):
    class Decider(Interface):
        aliases = ("decide",)
        done = False

        def consume(self, package):
            package.callback("decider")
            self.done = package.last_message_text == "done"

        if form == "none":

            def is_complete(self):
                return self.done
        elif form == "package":

            def is_complete(self, package):
                return package.last_message_text == "done"
        else:

            async def is_complete(self, package):
                return package.last_message_text == "done"

    bot = chatbot(Helper, Decider)
    assert bot.say("decide") == ["decider"]
    assert bot.say("anything") == ["decider"]
    assert bot.say("done") == ["decider"]
    assert bot.say("anything") == ["helper: help"]


def test_one_finished_talker_does_not_end_everybody_elses(chatbot):
    bot = chatbot(Helper, Booking)
    for talker in ("anna", "bert"):
        assert bot.say("book a table", talker) == ["booking 1"]
    bot.say("a", "anna"), bot.say("b", "anna")
    assert bot.say("x", "anna") == ["helper: help"]
    assert bot.say("Friday", "bert") == ["booking 2"]


def test_one_plugin_may_hold_all_three_special_aliases_and_answers_once(chatbot):
    bot = chatbot(plugin("all", "greet", "help", "cancel", "calendar"))
    assert bot.connect() == ["all: greet"]
    assert bot.say("hello world") == ["all: help"]
    assert bot.say("cancel") == ["all: cancel"]
    assert bot.say("calendar") == ["all: calendar"]
    assert bot.say("what", "somebody else") == ["all: help"], "no second answer as a greeting"


def test_the_greeting_comes_once_and_before_the_first_answer(chatbot):
    bot = chatbot(plugin("greeter", "greet"), Helper, Weather)
    assert bot.say("what is the weather like") == ["greeter: greet", "weather: what is the weather like"]
    assert bot.say("what is the weather like") == ["weather: what is the weather like"]
    assert bot.connect("other") == ["greeter: greet"]
    assert bot.connect("other") == []
    assert bot.say("what is the weather like", "other") == ["weather: what is the weather like"]
    assert bot.say("hi there", "anna", room="lobby") == ["helper: help"], "never in rooms"


def test_the_fallback_can_be_another_plugin(chatbot):
    assert chatbot(Helper, Weather, fallback="plugin:weather").say("qwerty asdf")[0].startswith("weather")
    assert chatbot(Helper, Wages, fallback="pay the wages").say("qwerty asdf") == ["wages: pay the wages"]
    with pytest.raises(ConfigError, match="no plugin called 'wether' .*helper, weather"):
        Bot(Helper, Weather, fallback="plugin:wether")


def test_nobody_to_help_is_silence_and_a_log_line(chatbot, caplog):
    assert chatbot(Weather).say("my grandmother paints fences") == []
    assert "no plugin for a message" in caplog.text


def test_two_plugins_cannot_claim_one_alias():
    with pytest.raises(ExtensionError, match="'Book  a table' is claimed by b .* and by a "):
        Bot(plugin("a", "book a table"), plugin("b", "Book  a table"))


@pytest.mark.parametrize("aliases", ["greet", 7, ("ok", ""), (None,)])
def test_aliases_that_are_no_phrases_are_refused(aliases):
    with pytest.raises(ExtensionError, match="alias"):
        Bot(type("Odd", (Interface,), {"aliases": aliases, "consume": lambda self, package: None}))


def test_a_guess_that_is_none_does_not_end_the_game(chatbot):
    bot = chatbot("zoozl.plugins.games", Helper)
    assert "bulls & cows" in bot.say("play a game")[0]
    assert "four different digits, like 1234" in bot.say("hello")[0]
    assert "Next guess" in bot.say("1234")[0] or "Congratulations" in bot.say("1234")[0]
