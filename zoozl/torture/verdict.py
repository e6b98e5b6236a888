"""The contract, checked against what is in the store and what the talkers have heard."""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from zoozl.stores.sqlite.file import open_readonly
from zoozl.torture import orders
from zoozl.torture.plugin import answers
from zoozl.torture.talker import Talker

MOST_SHOWN = 5


@dataclass(slots=True)
class Check:
    """One promise: what was counted, and every case in which it was not kept."""

    promise: str
    counted: str
    broken: list[str]


def waiting(path: Path) -> int:
    """How many events and replies are not dealt with yet."""
    with closing(open_readonly(path)) as db:
        (number,) = db.execute("SELECT (SELECT count(*) FROM inbox) + (SELECT count(*) FROM outbox)").fetchone()
    return int(number)


def check(
    path: Path, talkers: Sequence[Talker], callers: Sequence[Talker], prefix: str, effects: Path, *, counter: bool
) -> list[Check]:
    """All promises, in the order in which they are shown.

    `counter`: the bundled plugin was there, and nothing else. `callers` order; `effects` is what the steps of their
    orders have written.
    """
    everybody = [*talkers, *callers]
    with closing(open_readonly(path)) as db:
        lanes = _lanes(db, prefix)
        checks = [_acknowledged(everybody), _effects(talkers, lanes)]
        if counter:
            checks.append(_state(db, talkers, lanes))
        checks.append(_replies(db, talkers, lanes, counter))
        if callers:
            checks += _orders(db, callers, effects)
        checks += [
            Check(
                "replies came again only if a kill had cut them",
                f"{sum(t.doubled for t in everybody)} of {sum(len(t.replies) for t in everybody)}",
                [f"{t.name}: {line}" for t in everybody for line in t.broken],
            ),
            _empty(db, "dead", "none is a dead letter", "kind || ' ' || payload || ': ' || error"),
            _empty(db, "inbox", "nothing is left in the inbox", "event"),
            _empty(db, "outbox", "nothing is left in the outbox", "message"),
            _integrity(db),
        ]
    return checks


def _lanes(db: sqlite3.Connection, prefix: str) -> dict[str, dict[str, list[int]]]:
    """By talker and lane, the numbers in the history in their order."""
    found: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for lane, text in db.execute(
        "SELECT lane, text FROM message m JOIN conversation c ON c.id = conversation WHERE NOT from_bot ORDER BY m.id"
    ):
        if not text.startswith(prefix):
            continue  # of those who order
        name, _, number = text.removeprefix(prefix).rpartition("-")
        found[name][lane].append(int(number))
    return found


def _acknowledged(talkers: Sequence[Talker]) -> Check:
    sent, acknowledged = sum(t.sent for t in talkers), sum(len(t.acknowledged) for t in talkers)
    return Check(
        "every message was acknowledged in the end",
        f"{acknowledged} of {sent}",
        [f"{t.name}: {sorted(set(range(1, t.sent + 1)) - t.acknowledged)}" for t in talkers if not t.done],
    )


def _in_order(talker: Talker, numbers: list[int]) -> str:
    """What is wrong with the numbers that took effect; "" if nothing is."""
    if numbers == list(range(1, talker.sent + 1)):
        return ""
    missing = sorted(talker.acknowledged - set(numbers))
    twice = sorted({number for number in numbers if numbers.count(number) > 1})
    wrong = [f"lost {missing}"] if missing else []
    wrong += [f"twice {twice}"] if twice else []
    wrong += [] if numbers == sorted(numbers) else ["not in order"]
    return ", ".join(wrong)


def _effects(talkers: Sequence[Talker], lanes: dict[str, dict[str, list[int]]]) -> Check:
    broken, count = [], 0
    for talker in talkers:
        found = lanes.get(talker.name, {})
        if len(found) > 1:
            broken.append(f"{talker.name}: has {len(found)} conversations instead of one")
        numbers = [number for lane in found.values() for number in lane]
        count += len(set(numbers))
        if wrong := _in_order(talker, numbers):
            broken.append(f"{talker.name}: {wrong}")
    return Check("each took effect exactly once and in order", str(count), broken)


def _state(db: sqlite3.Connection, talkers: Sequence[Talker], lanes: dict[str, dict[str, list[int]]]) -> Check:
    data = {lane: json.loads(text) for lane, text in db.execute("SELECT lane, data FROM conversation")}
    broken, count = [], 0
    for talker in talkers:
        for lane in lanes.get(talker.name, {}):
            numbers = data.get(lane, {}).get("numbers", [])
            count += len(set(numbers))
            if wrong := _in_order(talker, numbers):
                broken.append(f"{talker.name}: {wrong}")
    return Check("and is in conversation.data exactly once, in order", str(count), broken)


def _replies(
    db: sqlite3.Connection, talkers: Sequence[Talker], lanes: dict[str, dict[str, list[int]]], counter: bool
) -> Check:
    broken, count = [], 0
    for talker in talkers:
        heard = [talker.replies[seq].text for seq in sorted(talker.replies)]
        count += len(heard)
        said = [
            text
            for lane in lanes.get(talker.name, {})
            for (text,) in db.execute(
                "SELECT text FROM message m JOIN conversation c ON c.id = conversation"
                " WHERE from_bot AND lane = ? ORDER BY m.id",
                (lane,),
            )
        ]
        wanted = [text for number in range(1, talker.sent + 1) for text in answers(number)] if counter else said
        for what, texts in (("heard", heard), ("the history has", said)):
            if texts != wanted:
                at = next((n for n, pair in enumerate(zip(texts, wanted, strict=False)) if pair[0] != pair[1]), None)
                at = min(len(texts), len(wanted)) if at is None else at
                broken.append(f"{talker.name}: {what} {texts[at : at + 3]} where {wanted[at : at + 3]} was due")
    return Check("every reply came, once and in order", str(count), broken)


def _orders(db: sqlite3.Connection, callers: Sequence[Talker], path: Path) -> list[Check]:
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    found = orders.effects(lines)
    return [
        Check("in dialogs: each step took effect once", *orders.steps(callers, found)),
        Check("in dialogs: every reply came, once and in order", *orders.record(db, callers, found)),
        Check("in dialogs: no question was lost, all have ended", *orders.left(db)),
    ]


def _empty(db: sqlite3.Connection, table: str, promise: str, columns: str) -> Check:
    rows = [text for (text,) in db.execute(f"SELECT {columns} FROM {table}")]  # noqa: S608 - our own names
    return Check(promise, str(len(rows)), rows)


def _integrity(db: sqlite3.Connection) -> Check:
    found = [text for (text,) in db.execute("PRAGMA integrity_check")]
    return Check("the file is intact", found[0], [] if found == ["ok"] else found)


def table(checks: Sequence[Check]) -> str:
    """For people."""
    width = max(len(check.promise) for check in checks)
    lines = []
    for check in checks:
        lines.append(f"{'BROKEN' if check.broken else 'kept':<7} {check.promise:<{width}}  {check.counted}")
        lines += [f"        {line[:300]}" for line in check.broken[:MOST_SHOWN]]
        if len(check.broken) > MOST_SHOWN:
            lines.append(f"        and {len(check.broken) - MOST_SHOWN} more")
    return "\n".join(lines)
