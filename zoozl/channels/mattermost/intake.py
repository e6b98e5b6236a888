"""Posts between the socket and the bot: in order within a room, each once, and how far they have been taken."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable

from zoozl.channels.mattermost.decode import Post
from zoozl.chatbot.lru import LRU

log = logging.getLogger(__name__)

# Posts that may wait; beyond that nothing more is read until some are taken.
MOST_WAITING = 2_000
REMEMBERED = 20_000


class Intake:
    """Calls `take` for every post, one after the other in a room, side by side in many.

    `take` returns when the post is durable or of no concern; until then it counts as waiting.
    """

    def __init__(self, take: Callable[[Post], Awaitable[None]]) -> None:
        self._take = take
        self._rooms: dict[str, deque[Post]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._waiting: dict[str, int] = {}
        self._seen: LRU[bool] = LRU(REMEMBERED)
        self._room = asyncio.Event()
        self._room.set()
        self.newest = 0
        """When the latest post was made that has come, in milliseconds."""

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def taken(self) -> int:
        """Everything that was made up to this time (ms) is durable, as far as it has come; 0 before the first."""
        return min(self._waiting.values(), default=self.newest + 1) - 1

    def put(self, post: Post) -> bool:
        """Line a post up; False if it has come before."""
        if self._seen.get(post.id):
            return False
        self._seen.put(post.id, True)
        self.newest = max(self.newest, post.created)
        self._waiting[post.id] = post.created
        if len(self._waiting) >= MOST_WAITING:
            self._room.clear()
        queue = self._rooms.get(post.channel_id)
        if queue is not None:
            queue.append(post)
            return True
        self._rooms[post.channel_id] = deque([post])
        task = asyncio.create_task(self._work(post.channel_id))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return True

    async def has_room(self) -> None:
        """Wait until fewer posts wait."""
        await self._room.wait()

    def changed(self, post: Post) -> bool:
        """Take over the text of a post that was edited while it waits; False if it does not wait any more."""
        for waiting in self._rooms.get(post.channel_id, ()):
            if waiting.id == post.id:
                waiting.text, waiting.deleted = post.text, post.deleted
                return True
        return False

    async def _work(self, room: str) -> None:
        queue = self._rooms[room]
        try:
            while queue:
                # Not in the queue any more: from now on an edit comes too late.
                post = queue.popleft()
                try:
                    await self._take(post)
                except Exception:  # a fault of our own with one post must not stop those behind it
                    log.exception("post %s cannot be taken", post.id)
                del self._waiting[post.id]
                if len(self._waiting) < MOST_WAITING:
                    self._room.set()
        finally:
            del self._rooms[room]

    async def join(self) -> None:
        """Wait until nothing waits."""
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    async def close(self) -> None:
        """Stop; what was not taken comes again at the next start."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=2.0)
