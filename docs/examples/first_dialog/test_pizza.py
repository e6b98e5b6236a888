"""The bot is restarted between any two of these messages."""


def test_somebody_orders(chatbot):
    bot = chatbot("pizza")
    assert bot.say("I'm so hungry") == ["Which one?\n\n1. Margherita\n2. Funghi\n3. Marinara"]
    assert bot.tap("Funghi") == ["How many?"]
    assert bot.say("a lot") == ["A number from 1 to 20, please."]
    assert bot.say("3") == ["3 Funghi, is that right? (yes/no)"]
    (answer,) = bot.say("yes")
    assert answer.startswith("They are in the oven.")


def test_nobody_waits_for_ever(chatbot):
    bot = chatbot("pizza")
    bot.say("/pizza")
    bot.say("marina")
    assert bot.say("1") == ["1 Marinara, is that right? (yes/no)"]
    bot.pass_time(6 * 60)
    assert bot.replies() == ["Then not."]
