"""A whole game: guess what can still be right, until it is."""

from itertools import permutations

from zoozl.plugins.games import count


def test_a_game_is_won_at_last(chatbot):
    bot = chatbot("zoozl.plugins.games")
    bot.say("/play")
    candidates = ["".join(digits) for digits in permutations("0123456789", 4)]
    guesses = 0
    while True:
        guess = candidates[0]
        (answer,) = bot.say(guess)
        guesses += 1
        if answer.startswith("Congratulations"):
            break
        bulls, cows = (int(part.split()[0]) for part in answer.split(".")[0].split(", "))
        candidates = [c for c in candidates[1:] if count(c, guess) == (bulls, cows)]
    assert answer == f"Congratulations! {guess} is right, in {guesses} guess{'es' if guesses > 1 else ''}."
    assert guesses <= 10
    assert bot.say("/pending") == ["Nothing is waiting for your answer."]
