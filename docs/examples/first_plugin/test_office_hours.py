"""Three lines a test: make a bot of the module, say something, look at the answer."""

CONF = {"office_hours": {"text": "We are open on weekdays from 9 to 17."}}


def test_people_ask_in_their_own_words(chatbot):
    bot = chatbot("office_hours", conf=CONF)
    assert bot.say("what time does your office open?") == ["We are open on weekdays from 9 to 17."]


def test_somebody_leaves_a_number(chatbot):
    bot = chatbot("office_hours")
    assert bot.say("can somebody call me back please") == ["Under which number can we reach you?"]
    assert bot.say("555 0123") == ["Thank you, we will call 555 0123."]


def test_somebody_thinks_better_of_it(chatbot):
    bot = chatbot("office_hours", "zoozl.plugins.helpers")
    bot.say("I want to talk to a human")
    assert bot.say("never mind") == ["OK, we leave it at that."]
