"""The `zoozl` command: serve (also without a word), chat, store, torture."""

from __future__ import annotations

import asyncio
import gc
import importlib
import sys
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from zoozl import __version__
from zoozl.errors import ConfigError, describe
from zoozl.redaction import clean, format_exception, guard

if TYPE_CHECKING:
    from zoozl.config import Config

BAD_CONFIGURATION = 2
FAULT = 1
# What `zoozl init` writes.
HERE = "chatbot.toml"

conf_option = click.option(
    "--conf", metavar="FILE", envvar="ZOOZL_CONF", help="Configuration (TOML); without it the bundled plugins run."
)
verbose_option = click.option("-v", "--verbose", is_flag=True, help="Log everything, and show tracebacks.")
force_option = click.option("--force-bind", is_flag=True, help="Share the port with another process that does so too.")


# Commands in modules of their own: imported when they are used, so that the server starts no later for them.
ELSEWHERE = {
    "completion": "zoozl.cli_completion",
    "config": "zoozl.cli_config",
    "doctor": "zoozl.cli_doctor",
    "explain": "zoozl.cli_explain",
    "init": "zoozl.cli_init",
    "new": "zoozl.cli_new",
    "record": "zoozl.cli_record",
    "routes": "zoozl.cli_routes",
    "slack": "zoozl.cli_slack",
    "store": "zoozl.cli_store",
    "test": "zoozl.cli_test",
    "torture": "zoozl.cli_torture",
    "vault": "zoozl.cli_vault",
}


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
@click.option("--reload", is_flag=True, help="Load plugins anew when their files change; for development.")
@click.option("--log-level", metavar="LEVEL", help="TRACE, DEBUG, INFO, SUCCESS, WARNING, ERROR or CRITICAL.")
@click.option("--log-file", metavar="FILE", help="Where log lines go: STDERR, STDOUT or a file.")
@click.option("--log-format", metavar="FORMAT", help="text or json.")
@click.pass_obj
def serve(
    common: dict[str, Any],
    conf: str | None,
    verbose: bool,
    force_bind: bool,
    reload: bool,
    log_level: str | None,
    log_file: str | None,
    log_format: str | None,
) -> None:
    """Run the server until it is stopped."""
    # Importing makes objects that stay; the server switches collecting on again when it is up.
    gc.disable()
    verbose = verbose or common["verbose"]
    given = {"log_level": log_level, "log_file": _from_here(log_file), "log_format": log_format}
    options = {key: value for key, value in given.items() if value is not None}
    config = _load(conf or common["conf"], verbose, force_bind=force_bind or common["force_bind"], options=options)
    from zoozl import logs, server

    try:
        logs.configure(config, "DEBUG" if verbose and log_level is None else None)
    except ConfigError as exc:
        _end(exc, verbose)
    _run(server.run(config, _announce, reload=reload), verbose, fast=True)


def _from_here(file: str | None) -> str | None:
    """A path of the command line starts at the working directory, not at the configuration's folder."""
    if not file or file.strip().upper() in ("STDERR", "STDOUT"):
        return file
    return str(Path(file).absolute())


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
    from zoozl import logs, registry, server
    from zoozl.channels import terminal

    # What is logged would run into the conversation: only what needs somebody's attention.
    logs.install(logs.handler(), "DEBUG" if verbose else "ERROR")
    try:
        # A memory store of its own: it works beside a running server.
        bot = server.compose(config, registry.find("stores", "memory")())
    except ConfigError as exc:
        _end(exc, verbose)
    _run(terminal.Channel(bot, config.settings.author, debug=debug).run(), verbose)


def _load(
    path: str | None,
    verbose: bool,
    *,
    force_bind: bool = False,
    options: Mapping[str, str] | None = None,
    channels: bool = True,
) -> Config:
    from zoozl import config as configuration

    guard()
    try:
        config = configuration.load(path, force_bind=force_bind, options=options, need_channel=channels)
        configuration.extend_import_path(config.folder)
    except ConfigError as exc:
        _end(exc, verbose)
    for warning in config.warnings:
        click.echo(clean(f"warning: {warning}"), err=True)
    if config.path is None and Path(HERE).is_file():
        click.echo(f"warning: {HERE} is here and is not used; --conf {HERE} uses it", err=True)
    return config


def _run(main_coroutine: Coroutine[Any, Any, None], verbose: bool, *, fast: bool = False) -> None:
    try:
        with asyncio.Runner(loop_factory=_fast_loop if fast else None) as runner:
            runner.run(main_coroutine)
    except ConfigError as exc:
        _end(exc, verbose)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as exc:  # the outermost edge: a fault of ours, or of a channel that somebody wrote
        _end(exc, verbose)


def _fast_loop() -> asyncio.AbstractEventLoop:
    """uvloop's, where there is one: a message that is kept on disk costs a third less with it."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


def _end(exc: Exception, verbose: bool) -> NoReturn:
    """Say what went wrong, with the traceback if that is wanted, and end with the exit code that belongs to it."""
    if verbose:
        click.echo(format_exception(exc), nl=False, err=True)
    expected = isinstance(exc, ConfigError)
    text = str(exc) if expected else f"{describe(exc)}{'' if verbose else '; -v shows the traceback'}"
    click.echo(clean(f"error: {text}"), err=True)
    sys.exit(BAD_CONFIGURATION if expected else FAULT)
