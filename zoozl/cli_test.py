"""`zoozl test`: hold the conversations of .chat files with the configured bot."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zoozl.cli import FAULT, _end, _load, conf_option, verbose_option
from zoozl.errors import ConfigError
from zoozl.redaction import clean

if TYPE_CHECKING:
    from zoozl.config import Config

HERE = "chatbot.toml"


def transcripts(paths: tuple[Path, ...]) -> list[Path]:
    """The files, and the .chat files in the folders and below them, in their order. Raises UsageError if none is."""
    found = [file for path in paths for file in (sorted(path.rglob("*.chat")) if path.is_dir() else [path])]
    if not found:
        raise click.UsageError(f"there is no .chat file in {', '.join(map(str, paths))}")
    return list(dict.fromkeys(found))


@click.command()
@click.argument("files", type=click.Path(exists=True, path_type=Path), nargs=-1, required=True)
@conf_option
@click.option("--restarts/--no-restarts", default=True, help="Restart the bot between any two messages (it does).")
@verbose_option
@click.pass_obj
def test(common: dict[str, Any], files: tuple[Path, ...], conf: str | None, restarts: bool, verbose: bool) -> None:
    """Hold the conversations in FILES (.chat, or folders of them) with the bot, and tell where it goes another way.

    Every conversation has a bot of its own, with nothing in its store. The configuration is --conf, ZOOZL_CONF or
    chatbot.toml in this folder. The exit code is 1 if any of them does not go as it is written.
    """
    verbose = verbose or common["verbose"]
    found = transcripts(files)
    config = _load(conf or common["conf"] or (HERE if Path(HERE).is_file() else None), verbose, channels=False)
    from zoozl import logs

    logs.install(logs.handler(), "DEBUG" if verbose else "ERROR")
    began = time.monotonic()
    try:
        failed = asyncio.run(_hold(config, found, restarts, verbose))
    except ConfigError as exc:
        _end(exc, verbose)
    number = f"{len(found)} conversation{'' if len(found) == 1 else 's'}"
    result = f"{failed} failed" if failed else "all as written" if len(found) > 1 else "as written"
    click.echo(f"{number}, {result}, {time.monotonic() - began:.1f} s")
    if failed:
        sys.exit(FAULT)


async def _hold(config: Config, files: list[Path], restarts: bool, verbose: bool) -> int:
    """How many went another way."""
    from zoozl.testing.play import play_with, read
    from zoozl.testing.transcript import Difference, TranscriptError

    failed, embedder = 0, None
    for path in files:
        try:
            steps = await asyncio.to_thread(read, path)
            embedder = await play_with(config, steps, str(path), restarts=restarts, embedder=embedder) or embedder
        except (Difference, TranscriptError) as exc:
            failed += 1
            click.echo(clean(str(exc)))
        else:
            if verbose:
                click.echo(f"{path}: ok")
    return failed
