"""`/explain some text`, for admins: which plugin would get it, by which rule, and what else came into question.

To switch it on name `zoozl.plugins.explain` among the `extensions`, and say who is an admin in the channel's `roles`.
"""

from zoozl.chatbot import Interface, InterfaceRoot, Package
from zoozl.chatbot.explain import Candidate, Explanation, explain

MOST = 5
# Characters of a text that are repeated.
SHOWN = 80
USAGE = "Write after it what is to be explained: {}explain what can you do"
NOT_HERE = "There is nothing to explain with: this bot was not started by the server."


class Explain(Interface):
    """Answers as if somebody new had said it: what is going on for the admin does not count."""

    name = "explain"
    description = "Tells why a message goes where it goes."
    usage = "/explain TEXT"
    aliases = ("/explain",)
    roles = ("admin",)
    # For everybody else there is no such command.
    hidden = True

    async def consume(self, context: InterfaceRoot, package: Package) -> None:
        """Explain what follows the command."""
        said = package.last_message_text.lstrip()
        text = "".join(said.split(maxsplit=1)[1:])
        bot = context.companions.get("bot")
        if not text:
            package.callback(USAGE.format("!" if said.startswith("!") else "/"))
        elif bot is None:
            package.callback(NOT_HERE)
        else:
            package.callback(told(await explain(bot.router, context.embedding, text, most=MOST)))


def told(found: Explanation) -> str:
    """An explanation in a few lines, as a block of code: chats would take what is in it for markup."""
    score = f", score {found.score:.2f}" if found.candidates or found.score else ""
    lines = [
        f'"{_short(found.text)}"',
        f'-> {found.plugin or "no plugin"}, by rule {found.number} of 8, {found.rule}: "{_short(found.alias)}"{score}',
        *(f"   {_short(note, 3 * SHOWN)}" for note in found.notes),
        *_table(found.candidates),
        f"compared by {'letters and meaning' if found.by_meaning else 'letters alone'}, {found.embedder}",
    ]
    return "\n".join(["```", *lines, "```"])


def _table(candidates: list[Candidate]) -> list[str]:
    """The plugins that came into question, the nearest first; a star for those that are near enough."""
    rows = [
        (f"{'*' if one.accepted else ' '} {one.score:.2f} of {one.threshold:.2f}", one.plugin, _short(one.alias))
        for one in candidates
    ]
    width = max((len(plugin) for _, plugin, _ in rows), default=0)
    return [f'{figures}  {plugin.ljust(width)}  "{alias}"' for figures, plugin, alias in rows]


def _short(text: str, most: int = SHOWN) -> str:
    """One line that ends no block of code."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split()).replace("```", "'''")
    return line if len(line) <= most else f"{line[: most - 1]}…"
