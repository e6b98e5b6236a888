"""Bulls & cows: guess a number of four different digits."""

import random

from zoozl.chatbot import Interface, Package

DIGITS = "0123456789"


def count(secret: str, guess: str) -> tuple[int, int]:
    """Bulls (right digit, right place) and cows (right digit, wrong place)."""
    bulls = sum(a == b for a, b in zip(secret, guess, strict=True))
    return bulls, len(set(secret) & set(guess)) - bulls


class BullsAndCows(Interface):
    """A game that lasts many messages; what it thinks of is in `data`."""

    name = "games"
    description = "a number guessing game"
    sticky = True  # a guess that is none must not end the game
    aliases = ("play bulls and cows", "play a game", "play games", "let's play something", "/play")

    async def consume(self, package: Package) -> None:
        """One guess."""
        data = package.conversation.data
        if "secret" not in data:
            data["secret"] = "".join(random.sample(DIGITS, 4))
            data["guesses"] = 0
            package.callback(
                "Let's play bulls & cows! I think of four different digits, you guess them.\n"
                "A bull is a right digit in its place, a cow a right digit elsewhere. Your guess?"
            )
            return
        guess = "".join(package.last_message_text.split())
        if len(guess) != 4 or not all(digit in DIGITS for digit in guess) or len(set(guess)) != 4:
            package.callback('Please guess four different digits, like 1234 (or say "cancel").')
            return
        data["guesses"] += 1
        bulls, cows = count(data["secret"], guess)
        if bulls == 4:
            tries = "1 guess" if data["guesses"] == 1 else f"{data['guesses']} guesses"
            package.callback(f"Congratulations! {guess} is right, in {tries}.")
            package.finish()
            return
        package.callback(f"{_plural(bulls, 'bull')}, {_plural(cows, 'cow')}. Next guess?")


def _plural(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"
