"""`zoozl record`: a real conversation from the store as a .chat file, without what is personal in it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from zoozl.cli_store import _fail, _with_store
from zoozl.errors import StoreError

if TYPE_CHECKING:
    from zoozl.cli_store import _Store


@click.command()
@click.option("--talker", required=True, help="Whose conversations; in rooms, what the others said as well.")
@click.option("--channel", metavar="NAME", help="Only those of one channel.")
@click.option("--last", metavar="N", type=click.IntRange(1, 10_000), default=200, help="The last N messages (200).")
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True), default="-")
@_with_store
def record(store: _Store, talker: str, channel: str | None, last: int, file: Path) -> None:
    """Write what somebody and the bot have said as a transcript, to FILE or to standard output.

    It works beside a running server and changes nothing. Names of talkers become anna, bert ...; e-mail addresses,
    phone numbers, long numbers and tokens have stand-ins, secrets are ●●●. Other names and addresses in a text cannot
    be told from its words: read it before you pass it on. `zoozl test` holds the conversation again.
    """
    from zoozl.stores.sqlite import reading
    from zoozl.stores.sqlite.spoken import spoken
    from zoozl.testing.masks import Masks
    from zoozl.testing.recording import write

    with reading.reading(store.path) as db:
        lines, cut = spoken(db, talker, channel, last)
    if not lines:
        _fail(f"nothing is kept of {talker!r}" + (f" in {channel}" if channel else ""))
    masks = Masks()
    text = write(lines, masks, cut=cut)
    if str(file) == "-":
        click.echo(text, nl=False)
    else:
        try:
            with reading.new_file(file) as part:
                part.write_text(text, "utf-8")
        except OSError as exc:
            raise StoreError(f"{file}: {exc.strerror}") from exc
    people = len(masks.talkers)
    click.echo(
        f"{len(lines)} messages, {people} talker{'' if people == 1 else 's'}; masked: {masks.summary()}", err=True
    )
