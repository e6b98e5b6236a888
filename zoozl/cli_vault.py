"""`zoozl vault`: make a key, and seal everything anew when there is a new one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from zoozl.cli import _end, _load, conf_option
from zoozl.errors import ConfigError, StoreError, VaultError


@click.group()
def vault() -> None:
    """Keys for the secrets that talkers entrust to plugins."""


@vault.command("new-key")
@click.argument("file", type=click.Path(path_type=Path), required=False)
def new_key(file: Path | None) -> None:
    """Print a new key, or put it into FILE, before the keys that are there.

    The new key is for [vault] key, best as ZOOZL_VAULT__KEY in the environment; FILE is for [vault] key_file.
    """
    from zoozl import cipher
    from zoozl.cli_store import _fail

    if file is None:
        click.echo(cipher.new_key())
        return
    try:
        first = cipher.write_key(file)
    except VaultError as exc:
        _fail(str(exc))
    if first:
        click.echo(f"{file}: made; name it in the configuration, and keep a copy apart from the backups:")
        click.echo(f'\n[vault]\nkey_file = "{file}"')
    else:
        click.echo(f"{file}: the first key is new; restart the server, then run `zoozl vault rotate`")


@vault.command()
@conf_option
@click.pass_obj
def rotate(common: dict[str, Any], conf: str | None) -> None:
    """Seal everything in the store with the first key. The others are needed no more then.

    The running server does it, while it goes on; without one it is done in the file.
    """
    from zoozl import cipher
    from zoozl.cli_store import _fail, _Store, _store_of
    from zoozl.stores.sqlite import rotation

    config = _load(conf or common["conf"], common["verbose"], channels=False)
    path, synchronous = _store_of(config, common["verbose"])
    try:
        keys = cipher.of_config(config)
        if keys is None:
            raise ConfigError("vault: there is no key: set `key` or `key_file`; `zoozl vault new-key` makes one")
    except ConfigError as exc:
        _end(exc, common["verbose"])
    try:
        done = _Store(path, synchronous).change(
            "sealing",
            {"do": "rotate", "key": keys.fingerprint},
            lambda held, progress: rotation.rotate(held, keys, keys.fingerprint, progress),
        )
    except StoreError as exc:
        _fail(str(exc))
    click.echo(f"{done['renewed']} sealed with the first key, {done['current']} were before")
    if done["failed"]:
        _fail(
            f"{done['failed']} could not be opened by any key, and stay as they are; keep the old keys, and find theirs"
        )
    if not done["log_emptied"]:
        _fail(
            "all is sealed with the first key, but the file was being read, so the write-ahead log could not be "
            "emptied; give the same command again later"
        )
    click.echo("The old keys are needed for older backups only.")
