"""Takes part in a thread, until it is sent away: what a language model needs to talk with several people."""

from zoozl.chatbot import Interface, Package

AN_HOUR = 3600
BYE = "thanks, that's all"


async def model(prompt: str) -> str:
    """Here goes the call of your model; this one only counts."""
    lines = prompt.splitlines()
    speakers = {line.partition(": ")[0] for line in lines}
    return f"I have read {len(lines)} lines by {len(speakers)} people, the last of them “{lines[-1]}”."


class Assistant(Interface):
    """Each answer is the next question: who says something to it goes on with the conversation."""

    name = "assistant"
    description = "thinks along in a thread"
    aliases = ("/assistant", "let us ask the assistant")
    idle_timeout = AN_HOUR

    async def consume(self, package: Package) -> None:
        """Answer whoever speaks."""
        answer = f"I am listening. “{BYE.capitalize()}” sends me away."
        while (said := await package.ask(answer, participants="anyone")).lower() != BYE:
            answer = await package.step(self.think, package, said)
        package.callback("Bye!")

    async def think(self, package: Package, said: str) -> str:
        """An answer to what was said last, knowing what was said before."""
        lines = [f"{message.author}: {message.text}" for message in await package.history(20)]
        return await model("\n".join([*lines, f"{package.answered_by}: {said}"]))
