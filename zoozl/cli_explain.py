"""`zoozl explain`: why a message goes where it goes."""

from __future__ import annotations

import asyncio
import json
import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from zoozl.cli import _end, _load, conf_option, verbose_option
from zoozl.cli_store import _fail, _plain, _store_of
from zoozl.errors import ConfigError, StoreError
from zoozl.redaction import clean

if TYPE_CHECKING:
    from zoozl.chatbot.explain import Explanation, Situation
    from zoozl.config import Config


@dataclass(frozen=True, slots=True)
class _Asked:
    """What to explain, and in which situation."""

    text: str
    situation: Situation
    notes: list[str]


@click.command()
@conf_option
@verbose_option
@click.argument("text", required=False)
@click.option("--talker", metavar="NAME", help="As if this talker said it: what is going on for him counts.")
@click.option("--channel", metavar="NAME", help="Only the conversation of the talker in this channel.")
@click.option("--message", "number", metavar="ID", help="A stored message: its turn in the log, or the platform's id.")
@click.option("--most", type=click.IntRange(1, 100), default=5, show_default=True, help="Plugins that are listed.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_obj
def explain(
    common: dict[str, Any],
    conf: str | None,
    verbose: bool,
    text: str | None,
    talker: str | None,
    channel: str | None,
    number: str | None,
    most: int,
    as_json: bool,
) -> None:
    """Tell which plugin gets TEXT, by which rule, and what else came into question.

    It loads the plugins, and reads the store without changing it, also beside a running server. Nothing is answered.
    """
    if (text is None) == (number is None):
        raise click.UsageError("Give a text, or a stored message by --message ID.")
    if channel is not None and talker is None:
        raise click.UsageError("--channel goes with --talker.")
    verbose = verbose or common["verbose"]
    config = _load(conf or common["conf"], verbose, channels=False)
    from zoozl import logs

    logs.install(logs.handler(), "DEBUG" if verbose else "CRITICAL")
    asked = _asked(config, verbose, text, talker, channel, number)
    try:
        found, made = _explained(config, asked, most)
    except Exception as exc:  # the outermost edge: a mistake in the configuration, or a fault of ours
        _end(exc, verbose)
    if as_json:
        shown = {**found.as_json(), "notes": [*asked.notes, *found.notes], "table_ms": made}
        click.echo(clean(json.dumps(shown, ensure_ascii=False, indent=2)))
        return
    for line in lines(found, asked.notes, made):
        click.echo(clean(line))


def _explained(config: Config, asked: _Asked, most: int) -> tuple[Explanation, float]:
    """The explanation, and the milliseconds that the table of aliases took to make."""
    from zoozl.chatbot import explain as explaining
    from zoozl.errors import EmbeddingError
    from zoozl.routes.offline import loaded
    from zoozl.settings import Dialogs

    dialogs = config.tables.get("conversation", Dialogs())
    idle = getattr(dialogs, "ttl", None)

    with loaded(config) as bot:

        async def run() -> tuple[Explanation, float]:
            begin = time.perf_counter()
            try:
                await bot.router.warm_up()
            except EmbeddingError:
                pass  # the explanation says so
            made = (time.perf_counter() - begin) * 1e3
            found = await explaining.explain(
                bot.router,
                bot.root.embedding,
                asked.text,
                asked.situation,
                now=time.time(),
                idle=math.inf if idle is None else idle,
                most=most,
            )
            return found, made

        return asyncio.run(run())


def _asked(
    config: Config, verbose: bool, text: str | None, talker: str | None, channel: str | None, number: str | None
) -> _Asked:
    """What the store knows of it; ends the program if that is nothing."""
    from zoozl.chatbot.explain import NOTHING, Situation

    if talker is None and number is None:
        return _Asked(text or "", NOTHING, [])
    from zoozl.stores.sqlite import lookup, reading

    path, _ = _store_of(config, verbose)
    situation, notes = NOTHING, []
    try:
        with reading.reading(path) as db:
            if number is not None:
                stored = lookup.message(db, number)
                if stored is None:
                    raise StoreError(f"{path}: there is no message {number!r}, neither by turn nor by a platform's id")
                text = stored.text
                if talker is None:
                    notes.append(f"said by {stored.talker} in {stored.lane}; explained as if nothing was going on")
            if talker is not None:
                places = lookup.places(db, talker, channel)
                if not places:
                    raise StoreError(f"{path}: nothing is known of {talker!r}{f' in {channel}' if channel else ''}")
                place = places[0]
                situation = Situation(talker, place.subject, place.dialogs, place.at)
                more = f", the latest of {len(places)} conversations" if len(places) > 1 else ""
                notes.append(f"in {place.lane}{more}")
    except StoreError as exc:
        _fail(str(exc))
    except ConfigError as exc:
        _end(exc, verbose)
    return _Asked(text or "", situation, notes)


def lines(found: Explanation, notes: list[str], made: float) -> list[str]:
    """For people. `made` is how long the table of aliases took, in milliseconds."""
    where = found.plugin or "no plugin"
    score = f", score {found.score:.2f}" if found.rule not in ("open question", "current subject") else ""
    shown = [
        f'"{_plain(found.text)}"',
        f'-> {where}, by rule {found.number} of 8, {found.rule}: "{_plain(found.alias)}"{score}',
        *(f"   {_plain(note)}" for note in (*notes, *found.notes)),
    ]
    if found.candidates:
        rows = [("", "plugin", "nearest alias", "score", "threshold")]
        rows += [
            ("*" if one.accepted else "", one.plugin, _plain(one.alias), f"{one.score:.2f}", f"{one.threshold:.2f}")
            for one in found.candidates
        ]
        widths = [max(len(row[column]) for row in rows) for column in range(5)]
        shown += ["", *("  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows)]
    by = "letters and meaning" if found.by_meaning else "letters alone"
    shown += [
        "",
        f"compared by {by}, {found.embedder}",
        f"{found.vector_ms:.1f} ms for the vector, {found.ranking_ms:.1f} ms for the ranking;"
        f" the table was made in {made:.0f} ms",
    ]
    return shown
