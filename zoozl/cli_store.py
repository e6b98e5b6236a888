"""`zoozl store`: look into the store, back it up, forget somebody, deal with dead letters."""

from __future__ import annotations

import asyncio
import functools
import json
import sqlite3
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from zoozl.cli import _end, _load, conf_option
from zoozl.errors import ConfigError, StoreError
from zoozl.redaction import clean

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zoozl.config import Config
    from zoozl.stores.sqlite.commands import Held, Progress


@click.group()
def store() -> None:
    """Look into the store, back it up, forget somebody.

    All of it works beside a running server.
    """


@store.group()
def dead() -> None:
    """Events and replies that were given up."""


def _with_store(function: Callable[..., None]) -> Callable[..., None]:
    """Give the command the path of the configured store, and say what goes wrong in one line."""

    @conf_option
    @click.pass_obj
    @functools.wraps(function)
    def command(common: dict[str, Any], /, conf: str | None, **options: Any) -> None:
        path, synchronous = _configured(conf or common["conf"], common["verbose"])
        try:
            function(_Store(path, synchronous), **options)
        except StoreError as exc:
            _fail(str(exc))
        except sqlite3.Error as exc:
            _fail(f"{path}: {exc}")

    return command


def _configured(conf: str | None, verbose: bool) -> tuple[Path, str]:
    return _store_of(_load(conf, verbose, channels=False), verbose)


def _store_of(config: Config, verbose: bool) -> tuple[Path, str]:
    from zoozl.storage import sqlite_file

    try:
        found = sqlite_file(config)
        if found is None and config.path is None:
            raise ConfigError("which store? Without a configuration nothing is kept; give --conf FILE")
        if found is None:
            key = "store" if config.settings.store is not None else "memory_path"
            raise config.error(key, "is in memory: what it holds is the running server's, and ends with it")
    except ConfigError as exc:
        _end(exc, verbose)
    return found


def _fail(text: str) -> NoReturn:
    click.echo(clean(f"error: {text}"), err=True)
    sys.exit(1)


class _Store:
    """The configured store."""

    def __init__(self, path: Path, synchronous: str) -> None:
        self.path = path
        self.synchronous = synchronous

    def change(
        self,
        label: str,
        request: Mapping[str, Any],
        do: Callable[[Held, Progress], Coroutine[Any, Any, dict[str, Any]]] | None = None,
    ) -> dict[str, Any]:
        """Let the running server do it, or do it in the file when none runs (by `do`, if given). Raises StoreError."""
        from zoozl.stores.sqlite import commands, control

        if not self.path.exists():
            raise StoreError(f"{self.path}: there is no store yet; the server makes it when it first starts")
        with _progress(label) as progress:
            try:
                held = commands.Direct(self.path, self.synchronous)
            except StoreError as exc:
                answer = control.ask(self.path, request, progress)
                if answer is None:
                    raise exc from None
                return answer
            try:
                return asyncio.run(do(held, progress) if do else _do(held, request, progress))
            finally:
                held.close()


async def _do(held: Any, request: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
    from zoozl.stores.sqlite import commands

    if request["do"] == "forget":
        return await commands.forget(held, request["talker"], request["channel"], progress)
    function = commands.retry if request["do"] == "retry" else commands.drop
    return await function(held, request["ids"], progress)


@contextmanager
def _progress(label: str) -> Iterator[Progress]:
    """Show how far something is, if somebody is watching and it takes a moment."""
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    with click.progressbar(length=1, label=label, file=sys.stderr) as bar:

        def show(done: int, total: int) -> None:
            bar.length = max(total, 1)
            bar.update(done - bar.pos)

        yield show


def _plain(text: object) -> str:
    """`text` in one line that does nothing to the terminal."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in str(text))


@store.command()
@_with_store
def stats(store: _Store) -> None:
    """How much there is of everything, and how old it is."""
    from zoozl.stores.sqlite import reading

    with reading.reading(store.path) as db:
        found = reading.stats(db, store.path)
    size, log, free = (found[key] / 1e6 for key in ("bytes", "log_bytes", "free_bytes"))
    click.echo(f"{found['file']}: {size:.1f} MB, of which {free:.1f} MB are free; log {log:.1f} MB")
    click.echo(f"schema {found['schema']}")
    for table in reading.TABLES:
        oldest = found[table].get("oldest")
        click.echo(f"{table:14}{found[table]['rows']:>10}" + (f"   oldest {oldest}" if oldest else ""))


@dead.command("list")
@_with_store
def dead_list(store: _Store) -> None:
    """Show them: number, kind, time, channel, talker, and why."""
    from zoozl.stores.sqlite import reading

    with reading.reading(store.path) as db:
        none = True
        for row in reading.dead_letters(db):
            none = False
            # The error is what a platform or a plugin said, and may quote a token.
            found = (row[key] for key in ("id", "kind", "at", "channel", "talker", "error"))
            click.echo("  ".join(_plain(clean(str(value))) for value in found))
    if none:
        click.echo("There are no dead letters.", err=True)


_ids = click.argument("ids", metavar="[ID]...", type=click.IntRange(min=1), nargs=-1)
_all = click.option("--all", "everything", is_flag=True, help="All of them.")


@dead.command("retry")
@_ids
@_all
@_with_store
def dead_retry(store: _Store, ids: tuple[int, ...], everything: bool) -> None:
    """Try them again: an event is done anew, a reply is sent again."""
    answer = _change_dead(store, "retry", ids, everything)
    later = "" if answer.get("taken_up") or not answer["changed"] else "; they are taken up at the next start"
    click.echo(f"{answer['changed']} put back{later}")
    _missing(answer)


@dead.command("drop")
@_ids
@_all
@_with_store
def dead_drop(store: _Store, ids: tuple[int, ...], everything: bool) -> None:
    """Delete them."""
    answer = _change_dead(store, "drop", ids, everything)
    click.echo(f"{answer['changed']} deleted")
    _missing(answer)


def _change_dead(store: _Store, what: str, ids: tuple[int, ...], everything: bool) -> dict[str, Any]:
    if bool(ids) == everything:
        raise click.UsageError("Give the numbers that `zoozl store dead list` shows, or --all.")
    return store.change("dead letters", {"do": what, "ids": None if everything else list(ids)})


def _missing(answer: dict[str, Any]) -> None:
    if answer["missing"]:
        _fail(f"there is no dead letter {', '.join(map(str, answer['missing']))}")


# Names are the platforms': some are negative numbers.
@store.command(context_settings={"ignore_unknown_options": True})
@click.argument("talker")
@click.option("--channel", metavar="NAME", help="Only what is held of the talker of this name in one channel.")
@click.option("--dry-run", is_flag=True, help="Show what would be erased.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@_with_store
def forget(store: _Store, talker: str, channel: str | None, dry_run: bool, yes: bool) -> None:
    """Erase everything that is held on TALKER, in every channel."""
    try:
        (talker + (channel or "")).encode()
    except UnicodeEncodeError:
        raise click.UsageError("TALKER is not valid Unicode.") from None
    if dry_run or not yes:
        held = _held(store, talker, channel)
        _show(held)
        if dry_run:
            return
        if any(held.values()):
            click.confirm(f"Erase this for ever? {_plain(talker)}", abort=True, err=True)
    answer = store.change("erasing", {"do": "forget", "talker": talker, "channel": channel})
    click.echo("erased:")
    _show(answer["counts"])
    if not answer["log_emptied"]:
        _fail(
            "the rows are gone, but the file was being read, so the write-ahead log could not be emptied; "
            "give the same command again later"
        )


def _held(store: _Store, talker: str, channel: str | None) -> dict[str, int]:
    from zoozl.stores.sqlite import commands, reading

    with reading.reading(store.path) as db, _progress("searching") as progress:

        async def run(function: Callable[[sqlite3.Connection], Any]) -> Any:
            return function(db)

        ids, _ = asyncio.run(commands.find_messages(run, talker, channel, progress))
        counts = {**commands.count(db, talker, channel), "message": len(ids)}
    return {table: counts[table] for table in (*commands.PERSONAL, "unrouted", "vault")}


def _show(counts: dict[str, int]) -> None:
    for table, number in counts.items():
        click.echo(f"{table:14}{number:>10}")


@store.command()
@click.option("--talker", help="Only what is held of one talker.")
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True), default="-")
@_with_store
def export(store: _Store, talker: str | None, file: Path) -> None:
    """Write conversations and messages as JSON, one in a line, to FILE or to standard output."""
    from zoozl.stores.sqlite import reading

    with reading.reading(store.path) as db, _progress("exporting") as progress:
        lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in reading.export(db, talker, progress))
        if str(file) == "-":
            sys.stdout.buffer.writelines(line.encode() for line in lines)
            sys.stdout.buffer.flush()
            return
        try:
            with reading.new_file(file) as part, part.open("w", encoding="utf-8") as out:
                out.writelines(lines)
        except OSError as exc:
            raise StoreError(f"{file}: {exc.strerror}") from exc


@store.command()
@click.argument("file", type=click.Path(path_type=Path))
@_with_store
def backup(store: _Store, file: Path) -> None:
    """Copy the store as it is now to FILE, also while the server writes. A server can be started from the copy."""
    from zoozl.stores.sqlite import reading

    try:
        with reading.reading(store.path) as db, _progress("copying") as progress:
            size = reading.backup(db, file, progress)
    except OSError as exc:
        raise StoreError(f"{file}: {exc.strerror}") from exc
    click.echo(f"{file}: {size / 1e6:.1f} MB")


@store.command()
@_with_store
def check(store: _Store) -> None:
    """Look whether the file is sound; exit code 1 if it is not."""
    from zoozl.stores.sqlite import reading

    def working(seconds: float) -> None:
        if sys.stderr.isatty():
            click.echo(f"\rchecking, {seconds:.0f} s ", nl=False, err=True)

    with reading.reading(store.path) as db:
        wrong, orphans = reading.check(db, working)
    if sys.stderr.isatty():
        click.echo("\r\033[K", nl=False, err=True)
    for name, number in orphans.items():
        click.echo(f"{number} {name}")
    if wrong:
        _fail("\n".join([f"{store.path} is damaged; go back to a backup", *wrong]))
    click.echo(f"{store.path}: ok")
