"""What must have become of the orders: each step once, each question answered, each reply once and in order."""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from zoozl.torture.script import Orders
from zoozl.torture.talker import Talker

STEPS = ("first", "second", "third")


@dataclass(slots=True)
class Effect:
    """What is known of one step of one order."""

    key: str = ""
    results: list[str] = field(default_factory=list)
    """Of each time it was done."""
    processes: list[int] = field(default_factory=list)
    returned: str = ""
    """The result that the dialog was given."""
    broken: list[str] = field(default_factory=list)


def effects(lines: Sequence[str]) -> dict[tuple[str, str], Effect]:
    """By order and step, from what the plugin has written.

    A step may be done again only by another process, with the same key, and never once its result has come back.
    """
    found: dict[tuple[str, str], Effect] = defaultdict(Effect)
    by_result: dict[str, Effect] = {}
    for packed in map(json.loads, lines):
        if "returned" in packed:
            result = packed["returned"]
            effect = by_result.get(result) or found["?", result]
            if effect.returned not in ("", result):
                effect.broken.append(f"came back as {effect.returned!r}, then as {result!r}")
            if result not in effect.results:
                effect.broken.append("came from nowhere")
            effect.returned = result
            continue
        effect = found[packed["name"], packed["step"]]
        if effect.returned:
            effect.broken.append("was done again although its result had come back")
        if packed["process"] in effect.processes:
            effect.broken.append("was done twice by one process")
        if effect.key not in ("", packed["key"]):
            effect.broken.append(f"had the key {effect.key!r}, then {packed['key']!r}")
        effect.key = packed["key"]
        effect.results.append(packed["result"])
        effect.processes.append(packed["process"])
        by_result[packed["result"]] = effect
    return found


def steps(talkers: Sequence[Talker], found: dict[tuple[str, str], Effect]) -> tuple[str, list[str]]:
    """What was counted of the steps, and what is wrong with them."""
    broken = [f"{name} {step}: {line}" for (name, step), effect in found.items() for line in effect.broken]
    done = sum(len(effect.results) for effect in found.values())
    for talker in talkers:
        for name in _orders(talker):
            broken += [f"{name} {step}: was never done" for step in STEPS if (name, step) not in found]
    return f"{len(found)} steps, {done - len(found)} cut by a kill and done again", broken


def left(db: sqlite3.Connection) -> tuple[str, list[str]]:
    """Dialogs that have not come to their end."""
    rows = db.execute("SELECT lane || ' waits: ' || coalesce(question, 'nothing asked') FROM dialog").fetchall()
    rows += db.execute(
        "SELECT 'the journal of ' || dialog || ' is left' FROM journal WHERE dialog NOT IN (SELECT id FROM dialog)"
    ).fetchall()
    return str(len(rows)), [text for (text,) in rows]


def record(
    db: sqlite3.Connection, talkers: Sequence[Talker], found: dict[tuple[str, str], Effect]
) -> tuple[str, list[str]]:
    """The history, and what the talkers have heard, against what had to be said: every line once and in order."""
    broken, count = [], 0
    for talker in talkers:
        script = Orders(talker.name)
        lanes = db.execute("SELECT DISTINCT conversation FROM message WHERE text = ?", (script.text(1),)).fetchall()
        if len(lanes) != 1:
            broken.append(f"{talker.name}: has {len(lanes)} conversations instead of one")
            continue
        lines = db.execute("SELECT from_bot, text FROM message WHERE conversation = ? ORDER BY id", lanes[0]).fetchall()
        wanted = []
        for n, name in enumerate(_orders(talker)):
            results = tuple(found[name, step].returned if (name, step) in found else "?" for step in STEPS)
            wanted += script.replies(n, results)
        heard = [talker.replies[seq].text for seq in sorted(talker.replies)]
        count += len(heard)
        for what, texts, due in (
            ("heard", heard, wanted),
            ("the history has", [text for from_bot, text in lines if from_bot], wanted),
            ("it said", [text for from_bot, text in lines if not from_bot], _said(talker)),
        ):
            if texts != due:
                at = next((n for n, pair in enumerate(zip(texts, due, strict=False)) if pair[0] != pair[1]), None)
                at = min(len(texts), len(due)) if at is None else at
                broken.append(f"{talker.name}: {what} {texts[at : at + 2]} where {due[at : at + 2]} was due")
    return str(count), broken


def _orders(talker: Talker) -> list[str]:
    return [Orders(talker.name).order(n) for n in range(talker.sent // Orders.LENGTH)]


def _said(talker: Talker) -> list[str]:
    return [Orders(talker.name).text(number) for number in range(1, talker.sent + 1)]
