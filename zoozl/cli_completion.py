"""`zoozl completion`: the script that makes a shell complete the command line."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from zoozl.cli import main

SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> None:
    """Print the completion script for SHELL.

    \b
    bash: zoozl completion bash > ~/.local/share/bash-completion/completions/zoozl
    zsh:  zoozl completion zsh > ~/.zfunc/_zoozl   (~/.zfunc in fpath, before compinit)
    fish: zoozl completion fish > ~/.config/fish/completions/zoozl.fish
    """  # noqa: D301 - \b is what keeps the lines apart
    found = get_completion_class(shell)
    assert found is not None
    click.echo(found(main, {}, "zoozl", "_ZOOZL_COMPLETE").source())
