"""The `zoozl` command: serve (also without a word), chat, store, torture."""

from __future__ import annotations

import asyncio
import gc
import importlib
import sys
import traceback
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, NoReturn

import click

from zoozl import __version__
from zoozl.errors import ConfigError

if TYPE_CHECKING:
    from zoozl.config import Config

BAD_CONFIGURATION = 2

conf_option = click.option(
    "--conf", metavar="FILE", envvar="ZOOZL_CONF", help="Configuration (TOML); without it the bundled plugins run."
)
verbose_option = click.option("-v", "--verbose", is_flag=True, help="Log everything, and show tracebacks.")
force_option = click.option("--force-bind", is_flag=True, help="Share the port with another process that does so too.")


# Commands in modules of their own: imported when they are used, so that the server starts no later for them.
ELSEWHERE = {"store": "zoozl.cli_store", "torture": "zoozl.cli_torture"}


class _Lazy(click.Group):
    """Knows the commands of ELSEWHERE without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*super().list_commands(ctx), *ELSEWHERE})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in ELSEWHERE:
            return super().get_command(ctx, cmd_name)
        command: click.Command = getattr(importlib.import_module(ELSEWHERE[cmd_name]), cmd_name)
        return command


@click.group(cls=_Lazy, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@conf_option
@verbose_option
@force_option
@click.version_option(__version__, prog_name="zoozl")
@click.pass_context
def main(context: click.Context, conf: str | None, verbose: bool, force_bind: bool) -> None:
    """Chatbot server. Without a command it serves."""
    context.obj = {"conf": conf, "verbose": verbose, "force_bind": force_bind}
    if context.invoked_subcommand is None:
        context.invoke(serve, conf=conf, verbose=verbose, force_bind=force_bind)


@main.command()
@conf_option
@verbose_option
@force_option
@click.pass_obj
def serve(common: dict[str, Any], conf: str | None, verbose: bool, force_bind: bool) -> None:
    """Run the server until it is stopped."""
    # Importing makes objects that stay; the server switches collecting on again when it is up.
    gc.disable()
    verbose = verbose or common["verbose"]
    config = _load(conf or common["conf"], verbose, force_bind=force_bind or common["force_bind"])
    from zoozl import server

    server.configure_logging("DEBUG" if verbose else config.settings.log_level)
    _run(server.run(config, _announce), verbose)


def _announce(lines: list[str]) -> None:
    click.echo("\n".join([f"zoozl {__version__}", *(f"  {line}" for line in lines), "Press Ctrl+C to stop."]))
    sys.stdout.flush()


@main.command()
@conf_option
@verbose_option
@click.option("--debug", is_flag=True, help="Show how each message was routed.")
@click.pass_obj
def chat(common: dict[str, Any], conf: str | None, verbose: bool, debug: bool) -> None:
    """Talk to the bot here; from a pipe, every line is a message."""
    verbose = verbose or common["verbose"]
    config = _load(conf or common["conf"], verbose, channels=False)
    from zoozl import registry, server
    from zoozl.channels import terminal

    # What is logged would run into the conversation: only what needs somebody's attention.
    server.configure_logging("DEBUG" if verbose else "ERROR")
    try:
        # A memory store of its own: it works beside a running server.
        bot = server.compose(config, registry.find("stores", "memory")())
    except ConfigError as exc:
        _end(exc, verbose)
    _run(terminal.Channel(bot, config.settings.author, debug=debug).run(), verbose)


def _load(path: str | None, verbose: bool, *, force_bind: bool = False, channels: bool = True) -> Config:
    from zoozl import config as configuration

    try:
        config = configuration.load(path, force_bind=force_bind, need_channel=channels)
        configuration.extend_import_path(config.folder)
    except ConfigError as exc:
        _end(exc, verbose)
    for warning in config.warnings:
        click.echo(f"warning: {warning}", err=True)
    return config


def _run(main_coroutine: Coroutine[Any, Any, None], verbose: bool) -> None:
    try:
        asyncio.run(main_coroutine)
    except ConfigError as exc:
        _end(exc, verbose)
    except KeyboardInterrupt:
        sys.exit(130)


def _end(exc: ConfigError, verbose: bool) -> NoReturn:
    if verbose:
        traceback.print_exception(exc)
    click.echo(f"error: {exc}", err=True)
    sys.exit(BAD_CONFIGURATION)
