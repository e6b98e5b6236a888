"""Many rows with few calls.

Each step of a statement lets go of Python's lock and has to get it back from the event loop, which is busy: row by row
(`executemany`) that costs ten times the row itself. So one statement takes many rows.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import chain
from typing import Any

import orjson

SIZES = (32, 16, 8, 4, 2, 1)


def insert(db: sqlite3.Connection, into: str, rows: Sequence[tuple[Any, ...]], after: str = "") -> None:
    """`INSERT INTO {into} VALUES ... {after}`; all rows have the same length."""
    for some in _in_sizes(rows):
        db.execute(_insert(into, after, len(rows[0]), len(some)), tuple(chain.from_iterable(some)))


def update(db: sqlite3.Connection, table: str, columns: tuple[str, ...], rows: Sequence[tuple[Any, ...]]) -> None:
    """Set columns; each of the rows is the row's id and then their values."""
    for some in _in_sizes(rows):
        db.execute(_update(table, columns, len(some)), tuple(chain.from_iterable(some)))


def _in_sizes(rows: Sequence[tuple[Any, ...]]) -> Iterator[Sequence[tuple[Any, ...]]]:
    """In parts of few sizes, so that there are few statements to prepare."""
    start, left = 0, len(rows)
    for size in SIZES:
        while left >= size:
            yield rows[start : start + size]
            start += size
            left -= size


@cache
def _insert(into: str, after: str, columns: int, rows: int) -> str:
    row = f"({', '.join('?' * columns)})"
    return f"INSERT INTO {into} VALUES {', '.join([row] * rows)} {after}"  # noqa: S608 - names of our own


@cache
def _update(table: str, columns: tuple[str, ...], rows: int) -> str:
    row = f"({', '.join('?' * (len(columns) + 1))})"
    values = ", ".join(f"{column} = new.column{n}" for n, column in enumerate(columns, 2))
    return (
        f"UPDATE {table} SET {values} FROM (VALUES {', '.join([row] * rows)}) new"  # noqa: S608 - names of our own
        f" WHERE {table}.id = new.column1"
    )


def delete(db: sqlite3.Connection, table: str, column: str, numbers: Iterable[int]) -> None:
    """Delete the rows with these numbers."""
    db.execute(
        f"DELETE FROM {table} WHERE {column} IN (SELECT value FROM json_each(?))",  # noqa: S608 - names of our own
        (orjson.dumps(list(numbers)).decode(),),
    )
