"""What foodselection.chat does not show."""


def test_two_may_be_asked_the_same_at_the_same_time(chatbot):
    bot = chatbot("foodselection")
    bot.say("/foodselection", "luca")
    bot.say("/foodselection", "anna")
    assert bot.say("1", "luca") == ["The more, the better! What shall the others read?"]
    assert bot.say("Soup", "luca") == ["“Soup (brought by luca)”: is that how you want it? (yes/no)"]
    assert bot.say("1", "anna") == ["The more, the better! What shall the others read?"]
    assert bot.say("1", "luca") == ["“Soup (brought by luca)” is on the list now, for everybody."]
    assert bot.say("Soup", "anna") == ["“Soup (brought by anna)”: is that how you want it? (yes/no)"]


def test_somebody_may_think_of_another_name(chatbot):
    bot = chatbot("foodselection")
    bot.say("/foodselection")
    bot.say("1")
    assert bot.say("x" * 61) == ["Please find a name of up to 60 letters for it."]
    bot.say("Sup")
    assert bot.say("no") == ["How then?"]
    assert bot.say("Soup") == ["“Soup (brought by tester)”: is that how you want it? (yes/no)"]


def test_a_dish_that_comes_meanwhile_does_not_change_what_was_asked(chatbot):
    bot = chatbot("foodselection")
    bot.say("/foodselection", "luca")
    for text in ("/foodselection", "1", "Cake", "yes"):
        bot.say(text, "anna")
    assert bot.say("1", "luca") == ["The more, the better! What shall the others read?"]
