"""`zoozl routes`: the table of plugins and aliases, what is wrong with it, how good it is, what it could learn."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zoozl.cli import _end, _load, conf_option, verbose_option
from zoozl.cli_store import _fail, _plain, _progress, _store_of
from zoozl.errors import StoreError

if TYPE_CHECKING:
    from zoozl.chatbot.core import Chatbot
    from zoozl.chatbot.interface import Plugin
    from zoozl.config import Config
    from zoozl.routes.measure import Figures

FAILED = 1
CONFUSIONS = 15


@click.group(invoke_without_command=True)
@conf_option
@verbose_option
@click.option("--check", is_flag=True, help="Look for aliases that collide, stray or are too few; ends with 1 if any.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_context
def routes(context: click.Context, conf: str | None, verbose: bool, check: bool, as_json: bool) -> None:
    """Show the plugins with their aliases."""
    common = context.obj
    context.obj = {"conf": conf or common["conf"], "verbose": verbose or common["verbose"]}
    if context.invoked_subcommand is not None:
        return
    with _loaded(context.obj) as (_, bot):
        if check:
            found = asyncio.run(_checked(bot))
        else:
            _show_table(bot, as_json)
            return
    if as_json:
        shown = [{"kind": one.kind, "plugin": one.plugin, "text": one.text} for one in found]
        click.echo(json.dumps(shown, ensure_ascii=False, indent=2))
    else:
        for one in found:
            click.echo(f"{click.style(f'{one.kind:10}', fg='yellow')} {_plain(one.plugin)}: {_plain(one.text)}")
        click.echo(f"{len(found)} to look at" if found else "nothing to warn about", err=bool(found))
    if found:
        sys.exit(FAILED)


@contextmanager
def _loaded(common: dict[str, Any], config: Config | None = None) -> Iterator[tuple[Config, Chatbot]]:
    """The configuration and its bot; says in one line what goes wrong, and ends the program."""
    verbose = common["verbose"]
    if config is None:
        config = _configured(common)
    from zoozl.routes.offline import loaded

    try:
        with loaded(config) as bot:
            yield config, bot
    except (click.exceptions.Exit, click.ClickException):
        raise
    except Exception as exc:  # the outermost edge: a mistake in the configuration, or a fault of ours
        _end(exc, verbose)


def _configured(common: dict[str, Any]) -> Config:
    config = _load(common["conf"], common["verbose"], channels=False)
    from zoozl import logs

    logs.install(logs.handler(), "DEBUG" if common["verbose"] else "CRITICAL")
    return config


def _kind(alias: str) -> str:
    from zoozl.chatbot.interface import SPECIAL

    return "command" if alias.startswith("/") else "special" if alias in SPECIAL else "phrase"


def _show_table(bot: Chatbot, as_json: bool) -> None:
    plugins = bot.root.plugins.all
    if as_json:
        shown = [
            {
                "plugin": plugin.name,
                "module": plugin.module,
                "threshold": plugin.threshold,
                "aliases": [
                    {"alias": alias, "kind": _kind(alias), "threshold": plugin.thresholds.get(alias)}
                    for alias in plugin.aliases
                ],
            }
            for plugin in plugins
        ]
        click.echo(json.dumps(shown, ensure_ascii=False, indent=2))
        return
    for plugin in plugins:
        click.echo(_title(plugin))
        for alias in plugin.aliases:
            own = plugin.thresholds.get(alias)
            note = "" if _kind(alias) == "phrase" else f"  ({_kind(alias)})"
            click.echo(f"  {_plain(alias)}{note}" + (f"  threshold {own:g}" if own is not None else ""))


def _title(plugin: Plugin) -> str:
    own = f", threshold {plugin.threshold:g}" if plugin.threshold is not None else ""
    roles = f", only for {', '.join(sorted(plugin.roles))}" if plugin.roles else ""
    return f"{click.style(_plain(plugin.name), bold=True)} ({plugin.module}{own}{roles})"


async def _checked(bot: Chatbot) -> Any:
    from zoozl.routes.check import check

    scorer = await bot.router.tables.scorer()
    return await asyncio.to_thread(check, scorer, {i: plugin.name for i, plugin in enumerate(bot.root.plugins.all)})


_share = click.FloatRange(0, 1)


@routes.command("eval")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--min-accuracy", type=_share, metavar="SHARE", help="End with 1 below this, from 0 to 1.")
@click.option("--min-rejection", type=_share, metavar="SHARE", help="The same for strangers that are refused.")
@click.option("--plot", type=click.Path(path_type=Path), metavar="FILE", help="Write the reliability plot as a PNG.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@conf_option
@click.pass_obj
def evaluate(
    common: dict[str, Any],
    conf: str | None,
    file: Path,
    min_accuracy: float | None,
    min_rejection: float | None,
    plot: Path | None,
    as_json: bool,
) -> None:
    """Measure how many messages in FILE reach their plugin.

    FILE is a table, a line for each message: its text, a tab, the plugin's name or an alias of it ("-" for messages
    that are for none). Or a .chat file with comments like "# -> weather" right above what a talker says.
    """
    common = {**common, "conf": conf or common["conf"]}
    from zoozl.routes import labelled, measure
    from zoozl.routes.offline import find, judge
    from zoozl.routes.plot import PlotError, png

    try:
        messages = labelled.read(file)
    except labelled.LabelError as exc:
        _fail(str(exc))
    with _loaded(common) as (_, bot):
        try:
            messages = labelled.resolved(messages, str(file), lambda label: find(bot.root.plugins, label))
        except labelled.LabelError as exc:
            _fail(str(exc))
        with _progress("messages") as progress:
            judged = asyncio.run(judge(bot, messages, lambda done: progress(done, len(messages))))
    found = measure.figures(judged)
    if as_json:
        click.echo(json.dumps(found.as_json(), ensure_ascii=False, indent=2))
    else:
        _show_figures(found)
    if plot is not None:
        try:
            png(found.bins, plot)
        except PlotError as exc:
            _fail(str(exc))
    _require("accuracy", found.accuracy, min_accuracy)
    _require("rejection", found.rejection, min_rejection)


def _show_figures(found: Figures) -> None:
    from zoozl.routes.plot import lines

    rows = (
        ("accuracy", found.accuracy, f"of {found.meant} messages that are for a plugin"),
        ("rejection", found.rejection, f"of {found.strangers} messages that are for none"),
        ("AUROC", found.auroc, "that a message for a plugin scores above one for none"),
    )
    for name, value, of in rows:
        if value is not None:
            click.echo(f"{name:10}{value:7.1%}  {of}")
    if found.asked:
        click.echo(f"{found.asked} would have been asked what they meant; the nearest counts")
    if found.confusions:
        click.echo("\nexpected -> got")
    for expected, got, count in found.confusions[:CONFUSIONS]:
        click.echo(f"{count:6}  {_plain(expected or '(none)')} -> {_plain(got or '(none)')}")
    if len(found.confusions) > CONFUSIONS:
        click.echo(f"        and {len(found.confusions) - CONFUSIONS} other pairs")
    click.echo("\nHow often the best guess was right, by its score:")
    click.echo("\n".join(lines(found.bins)))


def _require(name: str, value: float | None, least: float | None) -> None:
    if least is None:
        return
    if value is None:
        _fail(f"the {name} cannot be told: there are no such messages in the file")
    if value < least:
        _fail(f"the {name} is {value:.1%}, less than {least:.1%}")


@routes.command()
@click.option(
    "--least", type=click.IntRange(min=1), default=2, show_default=True, help="Messages that a group must have."
)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@conf_option
@click.pass_obj
def suggest(common: dict[str, Any], conf: str | None, least: int, as_json: bool) -> None:
    """Show what talkers said in vain, in groups, to be taken as new aliases.

    The server keeps such texts only with `learn = true` in [routing].
    """
    common = {**common, "conf": conf or common["conf"]}
    common = {**common, "conf": conf or common["conf"]}
    from zoozl.chatbot.unrouted import SPACE
    from zoozl.stores.sqlite import lookup, reading

    config = _configured(common)
    path, _ = _store_of(config, common["verbose"])
    try:
        with reading.reading(path) as db:
            said = Counter(str(json.loads(value)) for value in lookup.values(db, SPACE))
    except StoreError as exc:
        _fail(str(exc))
    if not said:
        learns = getattr(config.tables.get("routing"), "learn", False)
        more = "" if learns else "; the server keeps such messages only with `learn = true` in [routing]"
        click.echo(f"There is nothing to learn from{more}.", err=True)
        return
    with _loaded(common, config) as (_, bot):
        found = asyncio.run(_suggestions(bot, said, least))
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False, indent=2))
        return
    for one in found:
        _show_suggestion(one)
    if not found:
        click.echo(f"Nothing was said {least} times or more that is not understood by now.", err=True)


async def _suggestions(bot: Chatbot, said: Counter[str], least: int) -> list[dict[str, Any]]:
    """Groups with what their plugin may be. What is understood by now is left out. Raises EmbeddingError."""
    import numpy as np

    from zoozl.chatbot.likeness import centred
    from zoozl.chatbot.router import Rule
    from zoozl.routes.suggest import groups

    scorer = await bot.router.tables.scorer()
    routes = {text: await bot.router.choose(text) for text in said}
    texts = [text for text, route in routes.items() if route.rule is Rule.FALLBACK]
    if not texts:
        return []
    vectors = await bot.root.embedding.vectors(texts)
    if scorer.likeness.centre is not None:
        vectors = centred(vectors, scorer.likeness.centre)
    found = []
    for group in await asyncio.to_thread(groups, np.asarray(vectors, np.float32), [said[text] for text in texts]):
        if group.weight < least:
            continue
        members = [texts[i] for i in group.members]
        route = routes[members[0]]
        near = bot.router.holder(route.near)
        found.append(
            {
                "messages": group.weight,
                "texts": [{"text": text, "messages": said[text]} for text in members],
                "nearest": near.name if near is not None else None,
                "alias": route.near or None,
                "score": round(route.score, 3),
            }
        )
    return found


def _show_suggestion(one: dict[str, Any]) -> None:
    from zoozl.routes.suggest import SHOWN

    near = f'nearest: {one["nearest"]} ("{_plain(one["alias"])}", score {one["score"]:.2f})' if one["nearest"] else ""
    click.echo(f"{click.style(str(one['messages']), bold=True)} messages, {near or 'near to no plugin'}")
    for text in one["texts"][:SHOWN]:
        count = f"  ({text['messages']} times)" if text["messages"] > 1 else ""
        click.echo(f"    {json.dumps(text['text'], ensure_ascii=False)},{count and '  #' + count}")
    if len(one["texts"]) > SHOWN:
        click.echo(f"    # and {len(one['texts']) - SHOWN} more")
