"""A new key for the vault: everything sealed in the store is sealed again, while the bot goes on."""

from __future__ import annotations

import re
import sqlite3
from collections import Counter
from dataclasses import dataclass
from typing import Any, NamedTuple

from zoozl.chatbot.vault import SPACE, Cipher
from zoozl.errors import StoreError, VaultError
from zoozl.stores.sqlite.commands import Held, Progress, empty_log, scrub

# Rows of one transaction: some milliseconds, in which nobody else is served.
ROWS = 100
# What Fernet makes, as a whole string of JSON: a version, then the upper half of the seconds since 1970.
TOKEN = re.compile(r'(?<=")gAAAAA[A-Za-z0-9_-]{92,}={0,2}(?=")')


@dataclass(frozen=True, slots=True)
class Place:
    """A column that holds what is sealed: all of the text, or with `inside` strings of JSON in it."""

    table: str
    primary_key: tuple[str, ...]
    column: str
    where: str
    inside: bool = False


PLACES = (
    # The spaces that begin with "vault:": the character after ":" is ";".
    Place("value", ("space", "key"), "value", f"space >= '{SPACE}' AND space < '{SPACE[:-1]};'"),
    # What is secret in a dialog that waits.
    Place("journal", ("id",), "entries", "entries LIKE '%\"gAAAAA%'", inside=True),
)


async def rotate(store: Held, cipher: Cipher | None, fingerprint: str, progress: Progress) -> dict[str, Any]:
    """Seal everything with the first key of `cipher`, whose `fingerprint` the caller knows as well.

    How many were `renewed`, `current` already, or `failed`, as no key opens them; these stay as they are. What was
    there before is overwritten, see `forget` for `log_emptied`. Raises StoreError.
    """
    if cipher is None or cipher.fingerprint != fingerprint:
        raise StoreError("the running server has other keys than the configuration: restart it first")
    counts: Counter[str] = Counter()
    for place in PLACES:
        counts += await _renew_all(store, place, cipher, progress)
    if counts["renewed"]:
        await scrub(store)
    found = {name: counts[name] for name in ("renewed", "current", "failed")}
    return {**found, "log_emptied": await empty_log(store)}


async def _renew_all(store: Held, place: Place, cipher: Cipher, progress: Progress) -> Counter[str]:
    (total,) = await store.run(
        lambda db: db.execute(f"SELECT count(*) FROM {place.table} WHERE {place.where}").fetchone()  # noqa: S608
    )
    counts: Counter[str] = Counter()
    batch = _Batch(place, cipher, ())
    while total:
        renewed: tuple[Counter[str], tuple[Any, ...]] = await store.run(batch.__call__)
        done, last = renewed
        counts += done
        progress(min(counts["rows"], total), total)
        if not last:
            break
        batch = batch._replace(after=last)
    return counts


class _Batch(NamedTuple):
    """The rows after a key. Called in a transaction, it renews them: how many, and the last key, () at the end."""

    place: Place
    cipher: Cipher
    after: tuple[Any, ...]

    def __call__(self, db: sqlite3.Connection) -> tuple[Counter[str], tuple[Any, ...]]:
        place = self.place
        columns, marks = ", ".join(place.primary_key), ", ".join("?" * len(place.primary_key))
        onward = f"AND ({columns}) > ({marks})" if self.after else ""
        found = db.execute(
            f"SELECT {columns}, {place.column} FROM {place.table} WHERE {place.where} {onward}"  # noqa: S608
            f" ORDER BY {columns} LIMIT {ROWS}",
            self.after,
        ).fetchall()
        counts = Counter(rows=len(found))
        changed = [
            (new, *key) for *key, text in found if (new := _renewed(text, self.cipher, place.inside, counts)) != text
        ]
        sql = f"UPDATE {place.table} SET {place.column} = ? WHERE ({columns}) = ({marks})"  # noqa: S608
        db.execute("PRAGMA secure_delete = ON")
        try:
            db.executemany(sql, changed)
        finally:
            db.execute("PRAGMA secure_delete = FAST")
        return counts, tuple(found[-1][:-1]) if found else ()


def _renewed(text: str, cipher: Cipher, inside: bool, counts: Counter[str]) -> str:
    """`text`, or what is sealed inside of it, under the first key; as it was if no key opens it."""

    def renew(sealed: str) -> str:
        try:
            new = cipher.renew(sealed)
        except VaultError:
            # Among other texts it may be no secret at all, only look like one.
            counts["failed"] += not inside
            return sealed
        counts["current" if new is None else "renewed"] += 1
        return sealed if new is None else new

    return TOKEN.sub(lambda found: renew(found[0]), text) if inside else renew(text)
