"""`zoozl new`: the files of a new plugin, and its place in the configuration."""

from __future__ import annotations

import importlib.util
import keyword
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from zoozl.cli import BAD_CONFIGURATION, _end, _load, conf_option, verbose_option
from zoozl.errors import ConfigError

if TYPE_CHECKING:
    from zoozl.config import Config

FAILED = 1
HERE = "chatbot.toml"
# What is called by itself; and what pytest, not the bot, would import.
SPECIAL = {"greet", "help", "cancel"}

PLUGIN = '''\
"""Answers those who ask for {words}."""

from zoozl.chatbot import Interface, InterfaceRoot, Package


class {cls}(Interface):
    """One object serves everybody: what belongs to one talker goes into `package.conversation.data`."""

    # For the list that the help plugin shows.
    description = "{words}"
    # Write how people ask for it: a message goes to the plugin with the alias that is nearest in meaning.
    aliases = ("{words}",)

    async def consume(self, context: InterfaceRoot, package: Package) -> None:
        """Answer one message. An async one must await what takes time; make it `def` if it has to block."""
        # The table [{module}] of the configuration, empty if there is none.
        settings = context.config("{module}")
        package.callback(settings.get("text", "This is {words}."))
'''

TEST = '''\
"""Talks to the plugin in memory: the fixture `chatbot` comes with zoozl."""

from collections.abc import Callable

from zoozl.testing import SyncBot


def test_it_answers(chatbot: Callable[..., SyncBot]) -> None:
    """Say more here, in the words of those who will use it."""
    bot = chatbot("{module}")
    assert bot.say("{words}") == ["This is {words}."]


def test_its_text_can_be_configured(chatbot: Callable[..., SyncBot]) -> None:
    """`conf` is what would stand in the configuration file."""
    bot = chatbot("{module}", conf={{"{module}": {{"text": "Hello!"}}}})
    assert bot.say("{words}") == ["Hello!"]
'''


@click.group()
def new() -> None:
    """Make the files of a new plugin."""


@new.command()
@click.argument("name")
@conf_option
@verbose_option
@click.pass_obj
def plugin(common: dict[str, Any], name: str, conf: str | None, verbose: bool) -> None:
    """Make the plugin NAME: NAME.py, test_NAME.py, and its line in the configuration.

    They are written beside the configuration (--conf, ZOOZL_CONF, or chatbot.toml in this folder), or here if there is
    none. Nothing that exists is overwritten.
    """
    verbose = verbose or common["verbose"]
    conf = conf or common["conf"] or (HERE if Path(HERE).is_file() else None)
    config = _load(conf, verbose, channels=False) if conf else None
    folder = config.folder if config else Path.cwd()
    try:
        _check(name, folder, config)
        changed = _extended(config, name) if config else None
    except ConfigError as exc:
        _end(exc, verbose)
    files = {folder / f"{name}.py": PLUGIN, folder / f"test_{name}.py": TEST}
    for path in files:
        if path.exists():
            _refuse(f"{_shown(path)}: is there already")
    names = {"module": name, "words": name.replace("_", " ").strip(), "cls": _class(name)}
    try:
        for path, text in files.items():
            with path.open("x", encoding="utf-8") as file:
                file.write(text.format(**names))
            click.echo(f"Wrote {_shown(path)}.")
        if config and changed is not None:
            assert config.path is not None
            _replace(config.path, changed)
            click.echo(f'Added "{name}" to extensions in {config.path}.')
    except OSError as exc:
        click.echo(f"error: {exc.filename}: cannot be written: {exc.strerror}", err=True)
        sys.exit(FAILED)
    if config is None:
        click.echo(f'Add "{name}" to `extensions` in your configuration; `zoozl init` makes one.')
    elif not (origin := config.origin("extensions")).startswith((str(config.path), "default")):
        click.echo(f"warning: {origin} sets extensions, too, and wins: add {name} there", err=True)
    click.echo("Test it with: python -m pytest")


def _refuse(text: str) -> NoReturn:
    click.echo(f"error: {text}", err=True)
    sys.exit(BAD_CONFIGURATION)


def _shown(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def _class(module: str) -> str:
    return "".join(word[:1].upper() + word[1:] for word in module.split("_"))


def _check(name: str, folder: Path, config: Config | None) -> None:
    """Raises ConfigError unless a plugin's module can be called `name`."""
    from zoozl.config.sections import Sections

    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name):
        near = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
        usable = re.fullmatch(r"[a-z][a-z0-9_]*", near) and not keyword.iskeyword(near)
        hint = f"; {near} can be one" if usable else ""
        raise ConfigError(f"{name!r} cannot be a module's name: lower-case letters, digits and underscores{hint}")
    sections = config.layers.sections if config else Sections({})
    if name in sections.names:
        raise ConfigError(f"{name!r} is the name of a table of zoozl; choose another one")
    if name in SPECIAL or name.startswith("test_") or name == "conftest":
        raise ConfigError(f"{name!r} has a meaning of its own; choose another one")
    if (folder / f"{name}.py").exists():
        return  # said with its path
    if name in sys.stdlib_module_names or importlib.util.find_spec(name) is not None:
        raise ConfigError(f"there is a module {name!r} already, which this one would hide; choose another name")


def _extended(config: Config, module: str) -> str:
    from zoozl.config.extend import with_extension

    assert config.path is not None
    with config.path.open(encoding="utf-8", newline="") as file:
        text = file.read()
    # Some editors put a byte order mark in front, which is none of TOML's.
    mark = "\ufeff" if text.startswith("\ufeff") else ""
    try:
        return mark + with_extension(text.removeprefix(mark), module)
    except ConfigError as exc:
        raise ConfigError(f"{config.path}: {exc}") from exc


def _replace(path: Path, text: str) -> None:
    """Put the new text in the file's place at once, with its permissions."""
    path = path.resolve()
    part = path.with_name(f".{path.name}.new")
    with part.open("x", encoding="utf-8", newline="") as file:
        file.write(text)
    part.chmod(path.stat().st_mode)
    os.replace(part, path)
