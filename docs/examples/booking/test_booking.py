"""It is the 15th of January 2027 in tests, until time is let pass."""

ANSWERS = ("Anna", "2027-01-20", "4", "garden", "no")


def book(bot, talker="anna"):
    bot.say("/book", talker)
    for text in ANSWERS:
        bot.say(text, talker)
    return bot.say("yes", talker)


def test_field_by_field_where_there_are_no_forms(chatbot):
    bot = chatbot("booking")
    assert bot.say("could we have a table please") == ["A table for you:", "Your name"]
    assert bot.say("Anna") == ["Day"]
    assert bot.say("tomorrow") == ["Day: please write the day like 2026-11-21."]
    assert bot.say("2027-01-14") == ["Day: we take bookings from today on, for 90 days."]
    assert bot.say("2027-01-20") == ["Seats"]
    assert bot.say("nine") == ["Seats: this must be a number."]
    assert bot.say("9") == ["Seats: from 1 to 8."]
    assert bot.say("4") == ["Where\n\n1. Inside\n2. Garden"]
    assert bot.say("2") == ["A quiet corner? (yes/no)"]
    assert bot.say("no") == ["4 seats on 2027-01-20, garden, anywhere? (yes/no)"]
    (answer,) = bot.say("yes")
    assert answer.startswith("Booked.")


def test_the_last_table_is_booked_once(chatbot):
    bot = chatbot("booking", conf={"booking": {"tables": 1}})
    assert book(bot, "anna")[0].startswith("Booked.")
    assert book(bot, "bert") == ["That day is full, sorry. Another one?"]


def test_an_answer_that_arrives_twice_books_once(chatbot):
    bot = chatbot("booking")
    book(bot)
    assert bot.duplicate("anna") == []
    assert len(bot.run(bot.bot.chatbot.root.store.keys("booking", ""))) == 1


def test_a_form_that_is_left_alone_is_over(chatbot):
    bot = chatbot("booking")
    bot.say("/book")
    bot.pass_time(16 * 60)
    assert bot.replies() == ["Sorry, I have waited too long for an answer. Please begin again."]
