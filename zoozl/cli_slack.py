"""`zoozl slack`: the app manifest, to be pasted where Slack's apps are made."""

from __future__ import annotations

import json

import click


@click.group()
def slack() -> None:
    """What Slack has to be told."""


@slack.command()
@click.option("--name", default="zoozl", show_default=True, help="Name of the app and of its bot.")
@click.option("--url", metavar="URL", help="Public address of the server, with its path; Socket Mode without.")
@click.option("--command", default="/zoozl", show_default=True, help="The slash command, as in [slack] command.")
@click.option("--no-threads", is_flag=True, help="Only mentions: without the events for follow_threads.")
def manifest(name: str, url: str | None, command: str, no_threads: bool) -> None:
    """Print the app manifest (JSON).

    Paste it at https://api.slack.com/apps under Create New App, From a manifest.
    """
    from zoozl.channels.slack.manifest import manifest as made

    if url is not None and not url.startswith("https://"):
        raise click.BadParameter("Slack sends to https:// only", param_hint="--url")
    if not name.strip():
        raise click.BadParameter("must not be empty", param_hint="--name")
    click.echo(json.dumps(made(name.strip(), url, command, follow_threads=not no_threads), indent=2))
