"""`zoozl init`: write a configuration for the channels that one wants, asking what it must know."""

from __future__ import annotations

import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from zoozl.cli import BAD_CONFIGURATION

if TYPE_CHECKING:
    from zoozl.config.starter import Chosen

FAILED = 1


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path), default="chatbot.toml")
@click.option("--channel", "names", metavar="NAME", multiple=True, help="A channel it shall have; may be repeated.")
@click.option("--silence", is_flag=True, help="Ask nothing and take the defaults.")
@click.option("--overwrite", is_flag=True, help="Replace the file if it is there.")
def init(file: Path, names: tuple[str, ...], silence: bool, overwrite: bool) -> None:
    """Write a configuration in which every key is explained.

    FILE is chatbot.toml unless given. Secrets that are asked for go to the file .env beside it.
    """
    if file.exists() and not overwrite:
        _refuse(f"{file}: is there already; --overwrite replaces it")
    if not silence and not (sys.stdin is not None and sys.stdin.isatty()):
        _refuse("init asks questions, and there is no terminal to ask at; --silence takes the defaults")
    from zoozl.chatbot.context import BUNDLED
    from zoozl.config import starter
    from zoozl.config.environment import read_dotenv
    from zoozl.errors import ConfigError

    secrets = file.parent / ".env"
    try:
        known = _known()
        _check(names, known)
        there, _ = read_dotenv(secrets)
        chosen = _named(names, known) if names else [one for one in _named(list(known), known) if one.is_on()]
        author = "Zoozl"
        if not silence:
            if not names:
                chosen = _ask_channels(chosen, known)
            author = click.prompt("Name of the bot", default=author)
            chosen = [_ask(one, there) for one in chosen]
    except ConfigError as exc:
        _refuse(str(exc))
    variables = {name: value for one in chosen for name, value in one.variables().items() if name not in there}
    try:
        if variables:
            _append(secrets, starter.dotenv(variables))
        _write(file, starter.starter(file.name, BUNDLED, author, chosen))
    except OSError as exc:
        path = secrets if exc.filename == str(secrets) else file
        click.echo(f"error: {path}: cannot be written: {exc.strerror}", err=True)
        sys.exit(FAILED)
    _tell(file, chosen, secrets if variables else None)


def _refuse(text: str) -> NoReturn:
    click.echo(f"error: {text}", err=True)
    sys.exit(BAD_CONFIGURATION)


def _known() -> dict[str, Chosen]:
    """The channels that there are, each with a port of its own if a port is what it asks for."""
    from zoozl import registry
    from zoozl.config.sections import Sections
    from zoozl.config.starter import FIRST_PORT, Chosen

    sections = Sections({})
    models = {name: sections.options(name) for name in registry.names("channels")}
    # What works with a port alone comes first: that is what a newcomer meets.
    ready = [name for name, model in models.items() if Chosen(name, model, {"port": FIRST_PORT}).is_on()]
    ordered = [*ready, *(name for name in models if name not in ready)]
    return {
        name: Chosen(name, models[name], {"port": FIRST_PORT + n} if "port" in models[name].asks else {})
        for n, name in enumerate(ordered)
    }


def _check(names: tuple[str, ...] | list[str], known: dict[str, Chosen]) -> None:
    from zoozl.config.sections import nearest
    from zoozl.errors import ConfigError

    for name in names:
        if name not in known:
            near = nearest(name, known) if len(known) > 1 else ""
            raise ConfigError(f"there is no channel called {name} (there are: {', '.join(known)}){near}")


def _named(names: tuple[str, ...] | list[str], known: dict[str, Chosen]) -> list[Chosen]:
    return [known[name] for name in dict.fromkeys(names)]


def _ask_channels(default: list[Chosen], known: dict[str, Chosen]) -> list[Chosen]:
    from zoozl.config.schema import summary
    from zoozl.errors import ConfigError

    for name, one in known.items():
        click.echo(f"  {name:12}{summary(one.model)}")

    def read(text: str) -> list[Chosen]:
        names = [name for name in text.replace(",", " ").split() if name]
        try:
            _check(names, known)
        except ConfigError as exc:
            raise click.BadParameter(str(exc)) from exc
        return _named(names, known)

    shown = ", ".join(one.name for one in default)
    found: list[Chosen] = click.prompt("Channels, with commas between them", default=shown, value_proc=read)
    return found


def _ask(chosen: Chosen, there: dict[str, str]) -> Chosen:
    """The channel with all that it needs to be on. What `.env` has already (`there`) is not asked for."""
    from zoozl.config.starter import variable

    for option in chosen.model.model_fields:
        if (name := variable(chosen.name, option)) in there:
            chosen = replace(chosen, values={**chosen.values, option: there[name]})
    for option in chosen.model.asks:
        if variable(chosen.name, option) not in there:
            chosen = _ask_option(chosen, option)
    if not chosen.missing() and not chosen.is_on():
        chosen = _ask_option(chosen, "port")
    while groups := chosen.missing():
        for group in groups:
            chosen = _ask_option(chosen, group[0], others=group[1:])
    return chosen


def _ask_option(chosen: Chosen, name: str, others: tuple[str, ...] = ()) -> Chosen:
    from zoozl.config.environment import typed
    from zoozl.config.schema import options

    option = next(option for option in options(chosen.model) if option.name == name)

    def read(text: str) -> Chosen:
        if not text and others:
            return chosen
        value = typed(text, chosen.model.model_fields[name].annotation)
        found = replace(chosen, values={**chosen.values, name: value})
        if why := found.refused(name):
            raise click.BadParameter(why)
        return found

    click.echo(f"{chosen.name}: {option.about}")
    found: Chosen = click.prompt(
        f"  {name}" + (f" (or nothing, if you have {' or '.join(others)})" if others else ""),
        default="" if others else chosen.values.get(name),
        show_default=not others,
        hide_input=option.secret,
        value_proc=read,
    )
    if others and found is chosen:
        return _ask_option(chosen, others[0], others[1:])
    return found


def _append(path: Path, lines: str) -> None:
    """Add lines to a file that only its owner may read, if it is new."""
    with open(path, "a+", encoding="utf-8", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.seek(0)
        text = file.read()
        file.write(lines if not text or text.endswith("\n") else f"\n{lines}")


def _write(path: Path, text: str) -> None:
    """Put the whole text there or nothing."""
    path = path.resolve()
    handle, part = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with open(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(part, 0o644)
        os.replace(part, path)
    except BaseException:
        os.unlink(part)
        raise


def _tell(file: Path, chosen: list[Chosen], secrets: Path | None) -> None:
    shown: Any = click.format_filename(file)
    click.echo(f"Wrote {shown}.")
    if secrets is not None:
        click.echo(f"The secrets are in {click.format_filename(secrets)}; keep it out of version control.")
    for one in chosen:
        if not one.is_on():
            click.echo(f"[{one.name}] is switched off until you have filled it in.")
    click.echo(f"Start it with: zoozl --conf {shown}")
