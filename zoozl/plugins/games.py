"""Bulls & cows: guess a number of four different digits."""

import random

from zoozl.chatbot import Interface, Package

DIGITS = "0123456789"
RULES = """\
Let's play bulls & cows! I think of four different digits, you guess them.
A bull is a right digit in its place, a cow a right digit elsewhere. Your guess?"""


def draw() -> str:
    """A number to be guessed."""
    return "".join(random.sample(DIGITS, 4))


def read(text: str) -> str:
    """The four digits of a guess. Raises ValueError if it is none."""
    guess = "".join(text.split())
    if len(guess) != 4 or not all(digit in DIGITS for digit in guess) or len(set(guess)) != 4:
        raise ValueError('Please guess four different digits, like 1234 (or say "cancel").')
    return guess


def count(secret: str, guess: str) -> tuple[int, int]:
    """Bulls (right digit, right place) and cows (right digit, wrong place)."""
    bulls = sum(a == b for a, b in zip(secret, guess, strict=True))
    return bulls, len(set(secret) & set(guess)) - bulls


class BullsAndCows(Interface):
    """A game that lasts many messages, told from its first line to its last."""

    name = "games"
    description = "a number guessing game"
    aliases = ("play bulls and cows", "play a game", "play games", "let's play something", "/play")

    async def consume(self, package: Package) -> None:
        """Play one game."""
        # Chance is a step: after a restart it is still the same number.
        secret = await package.step(draw)
        guess = await package.ask(RULES, validate=read)
        guesses = 1
        while guess != secret:
            bulls, cows = count(secret, guess)
            guess = await package.ask(f"{_plural(bulls, 'bull')}, {_plural(cows, 'cow')}. Next guess?", validate=read)
            guesses += 1
        package.callback(f"Congratulations! {guess} is right, in {_plural(guesses, 'guess')}.")


def _plural(number: int, word: str) -> str:
    if number == 1:
        return f"1 {word}"
    return f"{number} {word}es" if word.endswith("s") else f"{number} {word}s"
