"""Many rows with few calls.

Each step of a statement lets go of Python's lock and has to get it back from the event loop, which is busy: row by row
(`executemany`) that costs ten times the row itself. So one statement takes many rows.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from itertools import chain
from typing import Any

import orjson

SIZES = (32, 8, 2, 1)


def insert(db: sqlite3.Connection, into: str, rows: Sequence[tuple[Any, ...]], after: str = "") -> None:
    """`INSERT INTO {into} VALUES ... {after}`; all rows have the same length."""
    start, left = 0, len(rows)
    for size in SIZES:
        while left >= size:
            sql = _insert(into, after, len(rows[0]), size)
            db.execute(sql, tuple(chain.from_iterable(rows[start : start + size])))
            start += size
            left -= size


@cache
def _insert(into: str, after: str, columns: int, rows: int) -> str:
    row = f"({', '.join('?' * columns)})"
    return f"INSERT INTO {into} VALUES {', '.join([row] * rows)} {after}"  # noqa: S608 - names of our own


def delete(db: sqlite3.Connection, table: str, column: str, numbers: Iterable[int]) -> None:
    """Delete the rows with these numbers."""
    db.execute(
        f"DELETE FROM {table} WHERE {column} IN (SELECT value FROM json_each(?))",  # noqa: S608 - names of our own
        (orjson.dumps(list(numbers)).decode(),),
    )


def update(db: sqlite3.Connection, table: str, column: str, values: Mapping[int, int]) -> None:
    """Set a column to a number, by the row's id."""
    db.execute(
        f"UPDATE {table} SET {column} = pair.value FROM json_each(?) pair"  # noqa: S608 - names of our own
        f" WHERE {table}.id = CAST(pair.key AS INTEGER)",
        (orjson.dumps(values, option=orjson.OPT_NON_STR_KEYS).decode(),),
    )
