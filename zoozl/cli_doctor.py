"""`zoozl doctor`: look at everything that a server needs, and say how to mend what is wrong."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from zoozl.cli import _end, _load, conf_option, verbose_option

if TYPE_CHECKING:
    from zoozl.doctor import Finding

FAILED = 1


@click.command()
@conf_option
@verbose_option
@click.pass_obj
def doctor(common: dict[str, Any], conf: str | None, verbose: bool) -> None:
    """Look for what is wrong, and how to mend it.

    Plugins, model, store, disk, clock, ports and channels are looked at, also beside a running server. Ends with 1 if
    something is wrong. Plugins are loaded as they are for a start, nothing else is changed.
    """
    verbose = verbose or common["verbose"]
    config = _load(conf or common["conf"], verbose, channels=False)
    from zoozl import checks, logs

    # What is logged is of the checks themselves, and would stand between what they found.
    logs.install(logs.handler(), "DEBUG" if verbose else "CRITICAL")

    failed = 0
    try:
        for about, finding in checks.all_of(config):
            _show(about, finding)
            failed += finding.level == "error"
    except Exception as exc:  # the outermost edge: a mistake in the configuration, or a fault of ours
        _end(exc, verbose)
    if failed:
        click.echo(f"{failed} {'check' if failed == 1 else 'checks'} failed", err=True)
        sys.exit(FAILED)


def _show(about: str, finding: Finding) -> None:
    from zoozl.redaction import clean

    colour = {"ok": "green", "warning": "yellow", "error": "red"}[finding.level]
    click.echo(f"{click.style(f'{finding.level:8}', fg=colour)}{about + ':':11}{clean(finding.what)}")
    if finding.fix:
        click.echo(f"{'':8}{'':11}-> {clean(finding.fix)}")
