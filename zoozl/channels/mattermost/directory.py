"""Who is who on a site: users, rooms and direct channels, remembered for a while."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from zoozl.channels.mattermost import decode
from zoozl.channels.mattermost.api import Api, Rejected
from zoozl.chatbot.lru import LRU
from zoozl.errors import DeliveryError

REMEMBERED = 10_000
# Seconds after which somebody is looked at again: names change.
FRESH = 600.0


@dataclass(frozen=True, slots=True)
class Person:
    """A user. `names` are all that access can go by."""

    id: str
    username: str = ""
    email: str = ""
    """Only if it was verified: anybody can claim another one."""

    @property
    def names(self) -> tuple[str, ...]:
        """Id, user name, mail address, as far as there are."""
        return tuple(name for name in (self.id, self.username, self.email) if name)


@dataclass(frozen=True, slots=True)
class Room:
    """A channel of Mattermost's. `type` is O, P, D or G."""

    id: str
    name: str
    type: str


class Directory:
    """Asks once, and remembers. Methods raise DeliveryError."""

    def __init__(self, api: Api, now: Callable[[], float] = time.monotonic) -> None:
        self._api = api
        self._now = now
        self._people: LRU[tuple[float, Person]] = LRU(REMEMBERED)
        self._rooms: LRU[Room] = LRU(REMEMBERED)
        self._direct: LRU[str] = LRU(REMEMBERED)

    async def person(self, user_id: str) -> Person:
        """A user; without a name if the server tells none."""
        known = self._people.get(user_id)
        if known is not None and self._now() - known[0] < FRESH:
            return known[1]
        try:
            raw = await self._api.user(user_id)
        except Rejected:
            raw = {}
        raw = raw if isinstance(raw, dict) else {}
        email = raw.get("email") if raw.get("email_verified") is True else ""
        person = Person(user_id, str(raw.get("username") or ""), str(email or ""))
        self._people.put(user_id, (self._now(), person))
        return person

    def changed(self, user_id: str) -> None:
        """A user has other names now."""
        self._people.put(user_id, (-FRESH, Person(user_id)))

    async def room(self, channel_id: str) -> Room:
        """A channel. Raises Rejected for one that the bot may not see."""
        known = self._rooms.get(channel_id)
        return known or self.learn(await self._api.room(channel_id))

    def learn(self, raw: Mapping[str, Any]) -> Room:
        """Remember a channel as the API has it. Raises DeliveryError if it is none."""
        room_id, kind = raw.get("id"), raw.get("type")
        if not (isinstance(room_id, str) and decode.ID.fullmatch(room_id) and isinstance(kind, str)):
            raise DeliveryError("a channel has no id or type")
        room = Room(room_id, str(raw.get("name") or ""), kind)
        self._rooms.put(room_id, room)
        return room

    async def direct(self, me: str, user_id: str) -> str:
        """The id of the direct channel with a user."""
        known = self._direct.get(user_id)
        if known is None:
            known = self.learn(await self._api.direct(me, user_id)).id
            self._direct.put(user_id, known)
        return known

    def met(self, user_id: str, channel_id: str) -> None:
        """A user has written in this direct channel."""
        self._direct.put(user_id, channel_id)
