"""Import extension modules, make their plugins, and draw up the table of aliases."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import TYPE_CHECKING, Any

from zoozl.chatbot.cancel import normalize
from zoozl.chatbot.interface import SPECIAL, Interface, Plugin
from zoozl.errors import ConfigError, ExtensionError, describe

if TYPE_CHECKING:
    from zoozl.chatbot.context import InterfaceRoot

log = logging.getLogger(__name__)


@dataclass
class Plugins:
    """What was loaded: all plugins in order, and the one behind each alias (as it was written)."""

    all: list[Plugin] = field(default_factory=list)
    table: dict[str, Plugin] = field(default_factory=dict)
    claimed: dict[str, Plugin] = field(default_factory=dict, repr=False)
    """The table by what is compared: `Play!` and `play` are one phrase."""
    by_extension: dict[str | type[Interface], list[Plugin]] = field(default_factory=dict, repr=False)

    def names(self) -> set[str]:
        """Every name a configuration table may have: modules, their last parts, plugin names."""
        modules = {plugin.module for plugin in self.all}
        return modules | {m.rpartition(".")[2] for m in modules} | {plugin.name for plugin in self.all}

    def close(self) -> None:
        """Close all, the last loaded first; one that fails does not keep the others from it."""
        for plugin in reversed(self.all):
            try:
                plugin.interface.close()
            except Exception:  # the edge of foreign code
                log.exception("plugin %s failed to close", plugin.name)


def load(extensions: Iterable[str | type[Interface]], root: InterfaceRoot) -> None:
    """Load modules by name (or Interface classes as they are) into `root.plugins`.

    Raises ExtensionError, after closing what was loaded before.
    """
    _fill(root.plugins, extensions, root, {})
    _warn(root.plugins)


def load_again(root: InterfaceRoot) -> None:
    """Close all plugins of `root` and make them anew from what is imported. Raises ExtensionError."""
    # The old ones go first, as when a process ends and another starts: they may hold what the new ones need.
    root.plugins.close()
    root.plugins = Plugins()
    _fill(root.plugins, root.conf.get("extensions", ()), root, {})


def load_beside(extensions: Collection[str | type[Interface]], root: InterfaceRoot, again: Collection[str]) -> Plugins:
    """A table beside that of `root`: extensions in `again` are made anew from what is imported, others are shared.

    Raises ExtensionError, after closing what was made anew.
    """
    plugins = Plugins()
    _fill(plugins, extensions, root, {e: p for e, p in root.plugins.by_extension.items() if e not in again})
    _warn(plugins)
    return plugins


def _fill(
    plugins: Plugins,
    extensions: Iterable[str | type[Interface]],
    root: InterfaceRoot,
    kept: Mapping[str | type[Interface], list[Plugin]],
) -> None:
    """Load extensions in their order, those in `kept` as they are."""
    seen: set[type[Interface]] = set()
    made = Plugins()
    try:
        for extension in extensions:
            if extension in plugins.by_extension:
                continue  # named twice
            mine = plugins.by_extension[extension] = []
            if extension in kept:
                for plugin in kept[extension]:
                    seen.add(type(plugin.interface))
                    _enter(plugins, plugin)
                    plugins.all.append(plugin)
                    mine.append(plugin)
                continue
            for cls in _classes(extension):
                if cls not in seen:
                    seen.add(cls)
                    plugin = _make(plugins, cls, root)
                    for table in (plugins.all, made.all, mine):
                        table.append(plugin)
    except BaseException:
        made.close()
        raise


def _warn(plugins: Plugins) -> None:
    for alias in SPECIAL:
        if alias not in plugins.table:
            log.warning('no plugin has the special alias "%s"', alias)


def _classes(extension: str | type[Interface]) -> list[type[Interface]]:
    if isinstance(extension, type):
        return [extension]
    module = import_extension(extension)
    found = [
        cls
        for cls in vars(module).values()
        if inspect.isclass(cls) and issubclass(cls, Interface) and cls is not Interface and not inspect.isabstract(cls)
    ]
    # What a module imports is normally another extension's, or a base class; only a module that has
    # nothing of its own means the classes that it imports.
    own = [cls for cls in found if f"{cls.__module__}.".startswith(f"{module.__name__}.")]
    if not found:
        raise ExtensionError(f"extension {extension!r} has no subclass of zoozl.chatbot.Interface")
    return list(dict.fromkeys(own or found))


def import_extension(name: str) -> ModuleType:
    """The module called `name`. Raises ExtensionError."""
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as exc:  # the edge of foreign code: whatever it does, one sentence tells of it
        raise ExtensionError(f"extension {name!r} cannot be imported: {describe(exc)}") from exc


def _make(plugins: Plugins, cls: type[Interface], root: InterfaceRoot) -> Plugin:
    """A new plugin, loaded, whose aliases are entered in the table."""
    try:
        interface = cls()
        name = interface.name or cls.__name__
        context = root.of_plugin(name, cls.__module__, interface.space)
        context.plugins = plugins
        plugin = Plugin(interface, context)
        _enter(plugins, plugin)
        load: Callable[..., Any] = interface.load
        if inspect.isawaitable(load(plugin.context)):
            raise ExtensionError(f"plugin {plugin.name}: load must do its work itself, nobody awaits what it returns")
    except ConfigError:
        raise
    except (Exception, SystemExit) as exc:  # the edge of foreign code
        raise ExtensionError(f"plugin {cls.__name__} of {cls.__module__} cannot be loaded: {describe(exc)}") from exc
    return plugin


def _enter(plugins: Plugins, plugin: Plugin) -> None:
    """Give a plugin its name and its aliases. Raises ExtensionError if they are another's."""
    for other in plugins.all:
        if other.name == plugin.name:
            raise ExtensionError(
                f"two plugins are called {plugin.name!r}, in {other.module} and in {plugin.module}: "
                "give one of them another `name`"
            )
    for alias in plugin.aliases:
        _claim(plugins, alias, plugin)


def _claim(plugins: Plugins, alias: str, plugin: Plugin) -> None:
    # What has no letter at all, like a lone emoji, is compared as it stands.
    same = alias.casefold() if alias.startswith("/") else normalize(alias) or alias
    holder = plugins.claimed.setdefault(same, plugin)
    if holder is not plugin:
        raise ExtensionError(
            f"alias {alias!r} is claimed by {plugin.name} ({plugin.module}) and by {holder.name} ({holder.module})"
        )
    plugins.table[alias] = plugin
