"""Posts that came while nobody listened: fetched room by room, and how far back is remembered over a restart."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

from zoozl.channels.mattermost import decode
from zoozl.channels.mattermost.api import Api, Rejected
from zoozl.channels.mattermost.decode import Post
from zoozl.chatbot.ports import KeyValue

# Milliseconds before the last post that was taken: those made at the same time may be numbered either way.
OVERLAP = 10_000
# An answer with so many posts may lack older ones.
FULL = 1_000
MOST_PAGES = 100


async def missed(api: Api, since: int) -> AsyncIterator[tuple[Mapping[str, Any], list[Post]]]:
    """Every room in which something was said since then (ms), with the posts made since, oldest first.

    Raises DeliveryError.
    """
    rooms = await api.rooms()
    for room in rooms if isinstance(rooms, list) else ():
        if not isinstance(room, dict) or not decode.ID.fullmatch(str(room.get("id"))):
            continue
        last = room.get("last_post_at")
        if isinstance(last, int) and last <= since:
            continue
        try:
            yield room, await _posts(api, room["id"], since)
        except Rejected as exc:
            if exc.status not in (403, 404):
                raise
            # The bot has just been taken out of it.


async def _posts(api: Api, channel_id: str, since: int) -> list[Post]:
    try:
        first = decode.posts(await api.posts_since(channel_id, since))
        found = {post.id: post for post in first}
        # It has edited and deleted posts as well, and the first posts of threads.
        page = [post for post in first if post.created > since]
        pages = 0 if len(first) >= FULL else MOST_PAGES
        # These are the latest thousand: go back from there, page by page.
        while page and page[0].created > since and pages < MOST_PAGES:
            page = [p for p in decode.posts(await api.posts_before(channel_id, page[0].id)) if p.id not in found]
            found.update((post.id, post) for post in page)
            pages += 1
    except decode.DecodeError as exc:
        raise Rejected(f"the posts of a room cannot be read: {exc}", 404) from exc
    made = [post for post in found.values() if post.created > since and not post.deleted]
    return sorted(made, key=lambda post: (post.created, post.id))


class Mark:
    """The time (ms) up to which everything was taken, kept in the store. Raises StoreError."""

    def __init__(self, store: KeyValue, channel: str) -> None:
        self._store = store
        self._space = f"channel:{channel}"
        self._kept = 0

    async def load(self, bot_id: str) -> int:
        """What was kept for this account; 0 if nothing was."""
        self._kept = 0
        text = await self._store.get(self._space, f"taken:{bot_id}")
        if text is not None:
            self._kept = int(json.loads(text))
        return self._kept

    async def keep(self, bot_id: str, taken: int) -> None:
        """Keep it, unless that is nothing new."""
        if taken > self._kept:
            await self._store.put(self._space, f"taken:{bot_id}", json.dumps(taken))
            self._kept = taken

    async def name(self, fresh: str) -> str:
        """A name for this store that no other one has; `fresh` if it has none yet."""
        text = await self._store.get(self._space, "store")
        if text is None:
            text = json.dumps(fresh)
            await self._store.put(self._space, "store", text)
        return str(json.loads(text))
