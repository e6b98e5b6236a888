"""Interface, what a plugin extends; and Plugin, one bound once when it is loaded."""

from __future__ import annotations

import inspect
import math
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any

from zoozl.chatbot.arguments import Arguments, UsageError
from zoozl.chatbot.cancel import normalize
from zoozl.chatbot.conversation import Conversation
from zoozl.chatbot.package import Package
from zoozl.errors import ExtensionError

if TYPE_CHECKING:
    from zoozl.chatbot.context import InterfaceRoot

GREET, HELP, CANCEL = "greet", "help", "cancel"
SPECIAL = (GREET, HELP, CANCEL)
BUSY = ("queue", "merge", "replace", "reject")


class Interface:
    """A plugin: phrases that call it, and what it does then.

    Set `aliases` and write `consume`, as `(self, context, package)` or `(self, package)`, `def` or
    `async def`. A `def` runs in a thread and may block; an `async def` runs on the event loop and must not.
    The instance is shared by all talkers: what belongs to one goes to `package.conversation.data`.
    """

    aliases: Collection[str] = ()
    """Phrases, compared by meaning. "greet", "help" and "cancel" are special; "/word" is a command."""
    name: str = ""
    """How help, logs and the configuration call it; the class name when empty."""
    description: str = ""
    usage: str = ""
    """How its command is written, for help and usage errors; made from `arguments` when empty."""
    arguments: Any = None
    """What its commands take: a dataclass or a pydantic model. `package.arguments` is an instance of it."""
    space: str = ""
    """Where `memory` and `vault` keep things, for all plugins that name the same; the plugin's name when empty."""
    sticky: bool = False
    """Keep the floor until `finish()`, cancel or the idle limit, even if nothing was written to `data`."""
    threshold: float | None = None
    """What a message must score to be meant for it: 0.5 is where the aliases themselves put it, 1 is by the letter."""
    thresholds: Mapping[str, float] = {}
    """The same for single aliases: `{"alias": 0.7}`."""
    timeout: float | None = None
    """Seconds that one turn may take; None takes `turn_timeout` of the configuration."""
    roles: Collection[str] = ()
    """Only for those who have proved one of these roles (`package.identity.roles`); empty is for everybody."""
    hidden: bool = False
    """With `roles`: its commands do not exist for everybody else, instead of being refused."""

    dm_only: bool = False
    """Only in a direct conversation; elsewhere it refuses politely and offers to go on there."""
    interruptible: bool = False
    """While it asks, a message that clearly calls for another plugin goes there; then the question is put again."""
    busy: str = "queue"
    """What becomes of a message that comes while this plugin handles another one of the same conversation: "queue" (it
    waits), "merge" (all that wait become one), "replace" (the first is ended), "reject" (the talker is told)."""
    debounce: float = 0.0
    """With `busy = "merge"`: seconds to wait for more before it begins."""
    idle_timeout: float | None = None
    """Seconds after which a dialog or subject ends in which nothing is said; None takes `ttl` of `[conversation]`."""

    def load(self, context: InterfaceRoot) -> None:
        """Called once, before the first message; `context` is the one `consume` gets. May raise to end the start."""

    def consume(self, *args: Any) -> Any:
        """Handle `package`, the last argument. Overridden by every plugin that has aliases."""
        raise NotImplementedError(f"{type(self).__name__} has aliases but no consume()")

    def is_complete(self, package: Package) -> bool:
        """Whether the subject ended with this turn. Override it to decide that yourself; `package` is optional."""
        return True

    def on_end(self, conversation: Conversation, reason: str) -> Any:
        """Called when a dialog or subject of this plugin has ended, and why.

        `reason` is "done", "cancelled", "replaced", "idle", "timeout" or "failed". A `def` runs in a thread.
        """

    def close(self) -> None:
        """Called once when the server stops, in reverse order of loading."""


class Plugin:
    """An Interface whose forms of `consume` and `is_complete` were looked at once."""

    __slots__ = (
        "_complete",
        "_consume",
        "_two",
        "aliases",
        "arguments",
        "busy",
        "commands",
        "context",
        "debounce",
        "decides",
        "dm_only",
        "guarded",
        "hears_end",
        "hidden",
        "idle_timeout",
        "interface",
        "interruptible",
        "is_async",
        "key",
        "module",
        "name",
        "roles",
        "sticky",
        "threshold",
        "thresholds",
        "timeout",
    )

    def __init__(self, interface: Interface, context: InterfaceRoot) -> None:
        self.interface = interface
        self.context = context
        self.module = type(interface).__module__
        self.name = interface.name or type(interface).__name__
        self.aliases = _aliases(interface)
        self.commands = tuple(alias for alias in self.aliases if alias.startswith("/"))
        self.arguments = _arguments(interface, self.name, self.commands)
        self.key = f"{self.module}:{type(interface).__qualname__}"
        self.sticky = bool(interface.sticky)
        self.threshold = _threshold(interface.threshold, self.name, "threshold")
        self.thresholds = _thresholds(interface, self.name, self.aliases)
        self.dm_only = bool(interface.dm_only)
        self.interruptible = bool(interface.interruptible)
        self.busy = interface.busy
        if self.busy not in BUSY:
            raise ExtensionError(f"plugin {self.name}: busy must be one of {', '.join(BUSY)}, not {self.busy!r}")
        self.timeout = _seconds(interface, self.name, "timeout")
        self.idle_timeout = _seconds(interface, self.name, "idle_timeout")
        self.debounce = (_seconds(interface, self.name, "debounce") if interface.debounce else None) or 0.0
        self.hears_end = type(interface).on_end is not Interface.on_end
        self.roles = _roles(interface)
        self.hidden = bool(interface.hidden)
        self.guarded = bool(self.roles or self.dm_only or self.busy == "merge" or self.arguments is not None)
        """Whether a message has to pass something before `consume`: most plugins take it as it is."""
        _check_methods(interface, self.name)
        self._consume: Callable[..., Any] = interface.consume
        self.is_async = inspect.iscoroutinefunction(interface.consume)
        self._two = _takes(interface.consume, self.name, "consume", ("context, package", "package")) != 1
        self._complete = _bind_complete(interface, self.name)
        self.decides = type(interface).is_complete is not Interface.is_complete

    def usage(self, mark: str = "/") -> str:
        """How its command is written, "" if it has none; `mark` is what commands begin with where this is read."""
        if self.interface.usage or not self.commands:
            return self.interface.usage
        command = mark + self.commands[0][1:]
        return f"{command} {self.arguments.usage}".rstrip() if self.arguments is not None else command

    def takes(self, line: str) -> bool:
        """Whether `line` may follow its command; nothing may where no arguments are declared."""
        if self.arguments is None:
            return not line.strip()
        try:
            self.arguments.parse(line)
        except UsageError:
            return False
        return True

    def consume(self, package: Package) -> Any:
        """Call the plugin: what it returns, a coroutine if it is async."""
        return self._consume(self.context, package) if self._two else self._consume(package)

    def is_complete(self, package: Package) -> bool | Awaitable[bool]:
        """Ask a plugin that `decides` whether its subject has ended."""
        return self._complete(package)

    def on_end(self, conversation: Conversation, reason: str) -> Any:
        """Tell it that a dialog or subject has ended: what it returns, a coroutine if it is async."""
        return self.interface.on_end(conversation, reason)

    def __repr__(self) -> str:
        return f"<Plugin {self.name} of {self.module}>"


def _aliases(interface: Interface) -> tuple[str, ...]:
    given: Any = interface.aliases
    name = interface.name or type(interface).__name__
    if isinstance(given, str) or not isinstance(given, Collection):
        raise ExtensionError(
            f"plugin {name}: aliases must be a tuple, list or set of phrases, not {type(given).__name__}"
            ' (a tuple of one needs its comma: ("phrase",))'
        )
    for alias in given:
        if not isinstance(alias, str) or not alias.strip():
            raise ExtensionError(f"plugin {name}: an alias must be a phrase, not {alias!r}")
    # A set has no order: sorted, so that every start compares the same table.
    phrases = sorted(given) if isinstance(given, set | frozenset) else given
    return tuple(dict.fromkeys(_alias(alias, name) for alias in phrases))


def _alias(written: str, plugin: str) -> str:
    """The alias as the table holds it: as it was written, but the special ones and commands in one form."""
    if normalize(written) in SPECIAL and not written.lstrip().startswith("/"):
        return normalize(written)
    command = written.strip()
    if not command.startswith("/"):
        return written
    if command == "/" or len(command.split()) > 1:
        raise ExtensionError(
            f'plugin {plugin}: the command {written!r} must be one word like "/start"; what follows it in a message '
            "is in package.last_message_text, or in package.arguments if you declare `arguments`"
        )
    return command


def _arguments(interface: Interface, name: str, commands: tuple[str, ...]) -> Arguments | None:
    if not isinstance(interface.usage, str):
        raise ExtensionError(f"plugin {name}: usage must be a text, not {interface.usage!r}")
    if interface.arguments is None:
        return None
    if not commands:
        raise ExtensionError(f'plugin {name} has arguments but no command: it needs an alias like "/start"')
    return Arguments(interface.arguments, name)


def _seconds(interface: Interface, name: str, what: str) -> float | None:
    given: Any = getattr(interface, what)
    if given is None:
        return None
    if isinstance(given, bool) or not isinstance(given, int | float) or not (0 < given < math.inf):
        raise ExtensionError(f"plugin {name}: {what} must be a number of seconds above 0, or None, not {given!r}")
    return float(given)


def _threshold(given: Any, name: str, what: str) -> float | None:
    if given is None:
        return None
    if isinstance(given, bool) or not isinstance(given, int | float) or not 0 <= given <= 1:
        raise ExtensionError(f"plugin {name}: {what} must be a number from 0 to 1, not {given!r}")
    return float(given)


def _thresholds(interface: Interface, name: str, aliases: Collection[str]) -> dict[str, float]:
    given: Any = interface.thresholds
    if not isinstance(given, Mapping):
        raise ExtensionError(f"plugin {name}: thresholds must be numbers by alias, not {given!r}")
    found = {}
    for phrase, value in given.items():
        alias = _alias(phrase, name) if isinstance(phrase, str) else phrase
        if alias not in aliases:
            raise ExtensionError(f"plugin {name}: thresholds names {phrase!r}, which is no alias of it")
        threshold = _threshold(value, name, f"the threshold of {phrase!r}")
        if threshold is not None:
            found[alias] = threshold
    return found


def _roles(interface: Interface) -> frozenset[str]:
    given: Any = interface.roles
    if (
        isinstance(given, str)
        or not isinstance(given, Collection)
        or not all(isinstance(role, str) and role for role in given)
    ):
        name = interface.name or type(interface).__name__
        raise ExtensionError(f'plugin {name}: roles must be a set of names like {{"admin"}}, not {given!r}')
    return frozenset(given)


def _check_methods(interface: Interface, name: str) -> None:
    """Refuse methods that would be called and then do nothing."""
    for what in ("load", "consume", "is_complete", "close"):
        method = getattr(interface, what)
        if not callable(method):
            raise ExtensionError(f"plugin {name}: {what} must be a method, not {type(method).__name__}")
        if inspect.isgeneratorfunction(method) or inspect.isasyncgenfunction(method):
            raise ExtensionError(f"plugin {name}: {what} must not yield; answer with package.callback(text)")
    for what in ("load", "close"):
        if inspect.iscoroutinefunction(getattr(interface, what)):
            raise ExtensionError(
                f"plugin {name}: {what} must be a plain `def`, it is not awaited; "
                "an `async def consume` can open what it needs when it is first called"
            )
    if interface.aliases and getattr(interface.consume, "__func__", None) is Interface.consume:
        raise ExtensionError(f"plugin {name} has aliases but no consume(self, context, package)")


def _takes(method: Callable[..., Any], plugin: str, what: str, forms: tuple[str, ...]) -> int:
    """How many positional arguments a bound method is to get: 0, 1 or 2.

    As many as it requires; a parameter with a default is the plugin's own, if it requires another.
    """
    parameters = inspect.signature(method).parameters.values()
    plain = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    starred = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    least = sum(p.default is p.empty for p in plain)
    most = 2 if starred else least or len(plain)
    named = any(p.kind is p.KEYWORD_ONLY and p.default is p.empty for p in parameters)
    wanted = [form.count(",") + 1 if form else 0 for form in forms]
    for count in wanted:
        if least <= count <= most and not named:
            return count
    written = " or ".join(f"{what}(self{', ' + form if form else ''})" for form in forms)
    raise ExtensionError(f"plugin {plugin}: {what} must be written {written}")


def _bind_complete(interface: Interface, name: str) -> Callable[[Package], bool | Awaitable[bool]]:
    method: Callable[..., Any] = interface.is_complete
    if _takes(method, name, "is_complete", ("package", "")) == 1:
        return method
    return lambda package: method()
