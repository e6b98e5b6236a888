"""Vectors of aliases that outlive the process, by model and text, in the store."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from zoozl.errors import StoreError

if TYPE_CHECKING:
    from zoozl.chatbot.ports import KeyValue, Vectors

log = logging.getLogger(__name__)

# No plugin's `name` is spelled like this.
SPACE = "zoozl:vectors"
# Calls of the store at a time: they share transactions, and leave room for the messages in between.
AT_ONCE = 256


def key_of(model: str, text: str) -> str:
    """Where the vector of `text` by `model` is kept."""
    return f"{model}#{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()}"


def dump(vector: Vectors) -> str:
    """A `(d,) float32` vector as JSON, exactly."""
    return json.dumps(base64.b64encode(vector.astype("<f4").tobytes()).decode())


def load(text: str) -> Vectors | None:
    """The vector in `text`, or None if there is none."""
    import numpy as np

    try:
        raw = base64.b64decode(json.loads(text), validate=True)
    except (ValueError, TypeError, binascii.Error):
        return None
    if not raw or len(raw) % 4:
        return None
    vector = np.frombuffer(raw, "<f4").astype(np.float32)
    return vector if np.isfinite(vector).all() else None


class KeptVectors:
    """A store that fails is told of and does no harm: vectors are computed anew."""

    def __init__(self, store: KeyValue) -> None:
        self._store = store
        self._used: set[str] = set()

    async def get(self, model: str, texts: Sequence[str]) -> dict[str, Vectors]:
        """What is kept of `texts`, all of one length; from now on they count as used."""
        found: dict[str, Vectors] = {}
        length = 0
        try:
            for start in range(0, len(texts), AT_ONCE):
                part = texts[start : start + AT_ONCE]
                keys = [key_of(model, text) for text in part]
                self._used.update(keys)
                values = await asyncio.gather(*(self._store.get(SPACE, key) for key in keys))
                for text, value in zip(part, values, strict=True):
                    vector = load(value) if value is not None else None
                    if vector is not None and len(vector) == (length or len(vector)):
                        length = len(vector)
                        found[text] = vector
        except StoreError as exc:
            log.warning("the vectors of the aliases cannot be read and are computed anew: %s", exc)
        return found

    async def put(self, model: str, vectors: Mapping[str, Vectors]) -> None:
        """Keep these, by text."""
        texts = list(vectors)
        try:
            for start in range(0, len(texts), AT_ONCE):
                part = texts[start : start + AT_ONCE]
                await asyncio.gather(
                    *(self._store.put(SPACE, key_of(model, text), dump(vectors[text])) for text in part)
                )
        except StoreError as exc:
            log.warning("the vectors of the aliases are not kept: %s", exc)

    async def prune(self) -> None:
        """Forget what nobody has asked for since the start: other models' vectors, aliases that are no more."""
        try:
            unused = [key for key in await self._store.keys(SPACE, "") if key not in self._used]
            for start in range(0, len(unused), AT_ONCE):
                await asyncio.gather(*(self._store.put(SPACE, key, None) for key in unused[start : start + AT_ONCE]))
        except StoreError as exc:
            log.warning("vectors that are no longer of use stay in the store: %s", exc)
