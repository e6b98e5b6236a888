"""Values as JSON text, as stores keep them: whatever made them, they come back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import orjson

from zoozl.chatbot.ports import Entry
from zoozl.errors import Unstorable


def dump(value: Any) -> str:
    """`value` as JSON, also what orjson refuses: half a surrogate pair, an integer of more than 64 bits."""
    try:
        return orjson.dumps(value).decode()
    except TypeError:
        return json.dumps(value)


def load(text: str) -> Any:
    """The reverse of `dump`, but for large integers, which become floats."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return json.loads(text)


def dump_entries(entries: Sequence[Entry]) -> str:
    """Entries of a journal. Raises Unstorable for a value that is not JSON."""
    try:
        # As lists: to orjson an Entry is not a tuple.
        return dump(list(map(list, entries)))
    except (TypeError, ValueError, RecursionError) as exc:
        raise Unstorable(f"a value in a journal is not JSON: {exc}") from exc


def load_entries(text: str) -> list[Entry]:
    """The reverse of `dump_entries`."""
    # Not orjson: an integer must come back as it was, however large.
    return [Entry(*packed) for packed in json.loads(text)]
