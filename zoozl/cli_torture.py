"""`zoozl torture`: prove on this machine that the server keeps its promises when it is killed."""

from __future__ import annotations

import sys
from typing import Any

import click

from zoozl.cli import _load, _run, conf_option, verbose_option
from zoozl.failpoints import NAMES

BROKEN = 1


@click.command()
@conf_option
@verbose_option
@click.option("--talkers", type=click.IntRange(1, 1000), default=10, show_default=True, help="Conversations at once.")
@click.option("--messages", type=click.IntRange(1), default=200, show_default=True, help="Messages of each of them.")
@click.option(
    "--dialogs", type=click.IntRange(0, 1000), default=5, show_default=True, help="Talkers led through dialogs."
)
@click.option("--kills", type=click.IntRange(0), default=20, show_default=True, help="How often the server is killed.")
@click.option("--seconds", type=click.FloatRange(1), default=120.0, show_default=True, help="No more kills after that.")
@click.option("--seed", type=int, help="Make the random choices of an earlier run.")
@click.option(
    "--at",
    type=click.Choice(NAMES),
    multiple=True,
    default=NAMES,
    show_default="all",
    help="A failpoint for every second kill; may be given several times.",
)
@click.pass_obj
def torture(common: dict[str, Any], /, conf: str | None, verbose: bool, **plan: Any) -> None:
    """Kill a server of its own under load, again and again, and check that nothing is lost, doubled or out of order.

    Of --conf it takes the extensions with their tables and the store's `synchronous`; the configured store and
    channels are never touched. Ends with 1 if a promise was broken.
    """
    verbose, conf = verbose or common["verbose"], conf or common["conf"]
    config = _load(conf, verbose, channels=False) if conf else None
    from zoozl.torture import Plan, run

    async def main() -> None:
        if not await run(Plan(**plan), config, click.echo):
            sys.exit(BROKEN)

    _run(main(), verbose)
