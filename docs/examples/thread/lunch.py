"""Finds a place for lunch together: everybody in the thread may name one."""

from collections import Counter

from zoozl.chatbot import Interface, Package

TEN_MINUTES = 600
DONE = "done"
QUESTION = (
    "Where shall we eat? Everybody names one place; who changes their mind names another. “Done” closes the list."
)


def place(text: str) -> str:
    """What somebody named, as it is counted. Raises ValueError if it is too long for a name."""
    name = " ".join(text.split()).rstrip(".!").capitalize()
    if len(name) > 40:
        raise ValueError("Just the name of the place, please.")
    return name


class Lunch(Interface):
    """One list for each thread, or for each room where the channel's `scope` says so."""

    name = "lunch"
    description = "finds a place for lunch, together"
    aliases = ("where shall we have lunch", "/lunch")

    async def consume(self, package: Package) -> None:
        """Listen until somebody says that it is done, or nobody has said anything for ten minutes."""
        wishes: dict[str, str] = {}
        said = await self.listen(package, QUESTION)
        while said.lower() != DONE:
            wishes[package.answered_by] = said
            said = await self.listen(package, "")
        if not wishes:
            package.callback("Nobody is hungry, it seems.")
            return
        votes = Counter(wishes.values())
        most = max(votes.values())
        best = sorted(name for name, count in votes.items() if count == most)
        chosen = best[0]
        if len(best) > 1:
            # Not of anyone: this one is for who began.
            chosen = await package.ask(f"A tie. You decide, {package.talker}:", choices=best)
        eaters = sorted(talker for talker, wish in wishes.items() if wish == chosen)
        package.callback(f"{chosen} it is. ({', '.join(eaters)})")

    async def listen(self, package: Package, text: str) -> str:
        """What anybody says next; "" says nothing before."""
        said: str = await package.ask(text, validate=place, participants="anyone", timeout=TEN_MINUTES, default=DONE)
        return said
