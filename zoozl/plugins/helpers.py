"""The two plugins every bot needs: one that says what can be asked, one that lets go."""

import difflib
from dataclasses import dataclass

from zoozl.chatbot import Interface, InterfaceRoot, Package
from zoozl.chatbot.identity import may_use
from zoozl.chatbot.interface import SPECIAL, Plugin

SHORT = 5
NEAR = 0.6
EVERYTHING = "{}help lists everything."


@dataclass(frozen=True)
class About:
    """What `/help` takes."""

    name: str = ""


class Help(Interface):
    """Lists what the talker may use, tells of one plugin, and answers what nobody understood."""

    name = "help"
    description = "Says what you can ask."
    aliases = ("help", "/help", "what can you do", "can you help me", "what can I ask you")
    arguments = About

    async def consume(self, context: InterfaceRoot, package: Package) -> None:
        """Answer."""
        # As it was called, so it works: some platforms swallow what begins with "/".
        mark = "!" if package.last_message_text.lstrip().startswith("!") else "/"
        usable = [plugin for plugin in context.plugins.all if may_use(package.identity, plugin.roles)]
        listed = [plugin for plugin in usable if plugin.interface is not self and set(plugin.aliases) - set(SPECIAL)]
        # Who greets or helps as well has little else to offer.
        listed.sort(key=lambda plugin: bool(set(SPECIAL) & set(plugin.aliases)))
        if package.arguments is not None and package.arguments.name:
            package.callback(about(package.arguments.name, usable, mark))
        elif not listed:
            package.callback("I cannot do anything yet: no plugin is loaded.")
        elif package.matched:
            package.callback("\n".join(["Here is what you can ask:", *(entry(plugin, mark) for plugin in listed)]))
        else:
            lines = [hint(plugin, mark) for plugin in listed[:SHORT]]
            more = [EVERYTHING.format(mark)] if len(listed) > SHORT else []
            package.callback("\n".join(["I did not understand that. You can ask:", *lines, *more]))


def entry(plugin: Plugin, mark: str) -> str:
    """One line on a plugin: name, description, how to call it."""
    ways = [f'"{phrase}"' for phrase in phrases(plugin)[:1]]
    if usage := plugin.usage(mark):
        ways.append(usage)
    said = plugin.interface.description.rstrip(". ")
    text = f"- {plugin.name}: {said} ({' or '.join(ways)})" if said else f"- {plugin.name}: {' or '.join(ways)}"
    return f"{text}, only in private" if plugin.dm_only else text


def hint(plugin: Plugin, mark: str) -> str:
    """How to call it, and its description."""
    first = next((f'"{phrase}"' for phrase in phrases(plugin)), "") or plugin.usage(mark)
    said = plugin.interface.description
    return f"- {first}: {said}" if said else f"- {first}"


def about(name: str, usable: list[Plugin], mark: str) -> str:
    """All on the plugin of that name, command or phrase; else which names are near."""
    wanted = key(name)
    names = {key(alias): plugin for plugin in usable for alias in plugin.aliases}
    plugin = (names | {key(plugin.name): plugin for plugin in usable}).get(wanted)
    if plugin is None:
        written = {key(c): mark + c[1:] for p in usable for c in p.commands} | {key(p.name): p.name for p in usable}
        near = [written[one] for one in difflib.get_close_matches(wanted[:50], written, n=3, cutoff=NEAR)]
        said = name if len(name) <= 50 else name[:49] + "…"
        more = f"Did you mean {' or '.join(near)}?" if near else EVERYTHING.format(mark)
        return f'There is nothing called "{said}". {more}'
    said = plugin.interface.description
    lines = [f"{plugin.name}: {said}" if said else plugin.name]
    if usage := plugin.usage(mark):
        lines.append(f"Usage: {usage}")
        lines += [f"- {line}" for line in plugin.arguments.details] if plugin.arguments is not None else []
    if len(plugin.commands) > 1:
        lines.append(f"Also: {', '.join(mark + command[1:] for command in plugin.commands[1:])}")
    if spoken := phrases(plugin):
        lines.append("You can say: " + ", ".join(f'"{phrase}"' for phrase in spoken))
    if plugin.dm_only:
        lines.append("Only in private.")
    return "\n".join(lines)


def phrases(plugin: Plugin) -> list[str]:
    """What calls it in plain words."""
    return [alias for alias in plugin.aliases if alias not in SPECIAL and not alias.startswith("/")]


def key(name: str) -> str:
    """What names are compared by."""
    return " ".join(name.casefold().lstrip("/!").split())


class Cancel(Interface):
    """Says that what was going on is over; the core has ended it."""

    name = "cancel"
    description = "Ends what is going on."
    aliases = ("cancel",)

    async def consume(self, context: InterfaceRoot, package: Package) -> None:
        """Confirm."""
        going_on = package.conversation.ongoing
        package.callback("OK, we leave it at that." if going_on else "There is nothing to cancel.")
