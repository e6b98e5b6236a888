"""How these conversations end. What is said in them is in the transcripts."""


def test_nobody_answers(chatbot):
    bot = chatbot("lunch")
    bot.at("anna", room="office", thread="1").say("/lunch")
    bot.pass_time(11 * 60)
    assert bot.at("anna", room="office", thread="1").replies() == ["Nobody is hungry, it seems."]


def test_one_who_changes_their_mind_is_counted_once(chatbot):
    bot = chatbot("lunch")
    anna, bert = (bot.at(name, room="office", thread="1") for name in ("anna", "bert"))
    anna.say("/lunch")
    for text in ("Sushi", "Soup", "Sushi"):
        bert.say(text)
    anna.say("Soup")
    bert.say("soup.")
    assert anna.say("done") == ["Soup it is. (anna, bert)"]


def test_the_assistant_goes_when_nobody_needs_it(chatbot):
    bot = chatbot("assistant")
    anna = bot.at("anna", room="office", thread="1")
    anna.say("/assistant")
    bot.pass_time(2 * 3600)
    anna.say("/pending")
    assert anna.say("/pending") == ["Nothing is waiting for your answer."]
