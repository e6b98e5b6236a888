"""Who may talk to the bot on a channel, and who has which role there; a mistake shuts out, it never lets in."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from fnmatch import translate
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from zoozl.chatbot.lru import LRU
from zoozl.settings import ChannelOptions, Text

# Seconds in which one person is refused in words once; what he writes meanwhile is passed over.
REFUSED_AGAIN = 3600.0
# People who are remembered as refused.
REMEMBERED = 10_000
SIGILS = "@~#"


def _pattern(value: str) -> str:
    if not value.strip(SIGILS + " "):
        raise PydanticCustomError("pattern", 'must be an id or a name, in which "*" stands for anything')
    if value != value.strip() or "," in value or value.startswith("!"):
        raise PydanticCustomError("pattern", "must be one id or name for itself: no commas, no blanks around it, no !")
    return value


Pattern = Annotated[str, AfterValidator(_pattern)]


class AccessOptions(ChannelOptions):
    """What channels with people and rooms can be told about who may talk."""

    access: Literal["open", "closed"] | None = Field(
        default=None,
        description="open: everybody may talk but those in deny. closed: nobody but those in allow. "
        "Must be said when one of the lists is there; open if none is.",
    )
    allow: list[Pattern] = Field(
        default=[], description='People who may talk, by id, user name or mail address; "*" stands for anything.'
    )
    deny: list[Pattern] = Field(default=[], description="People who may not; goes before allow.")
    allow_rooms: list[Pattern] = Field(
        default=[], description="Rooms in which the bot answers, by id or name; direct messages go by allow alone."
    )
    deny_rooms: list[Pattern] = Field(default=[], description="Rooms in which it does not; goes before allow_rooms.")
    roles: dict[Text, list[Pattern]] = Field(default={}, description="The people who have a role, by role.")
    strangers: Literal["refuse", "ignore"] = Field(
        default="refuse", description="Whether those who may not talk are told so, once an hour, or hear nothing."
    )
    refusal: Text = Field(default="Sorry, I may not talk with you.", description="What they are told.")

    @model_validator(mode="after")
    def _said(self) -> Self:
        lists = ("allow", "deny", "allow_rooms", "deny_rooms")
        there = [name for name in lists if getattr(self, name)]
        if there and self.access is None:
            text = '{name} needs access = "open" or access = "closed" beside it'
            raise PydanticCustomError("access", text, {"name": there[0]})
        if self.access == "open" and (idle := [name for name in there if name.startswith("allow")]):
            raise PydanticCustomError("access", '{name} does nothing with access = "open"', {"name": idle[0]})
        if self.access == "closed" and not (self.allow or self.allow_rooms):
            raise PydanticCustomError(
                "access", 'closed needs allow or allow_rooms: nobody could talk; "*" is everybody'
            )
        return self


class Access:
    """Judges people and rooms by all their names: ids, user names, addresses that were verified."""

    def __init__(self, options: AccessOptions) -> None:
        self._closed = options.access == "closed"
        self._allow, self._deny = _compiled(options.allow), _compiled(options.deny)
        self._allow_rooms, self._deny_rooms = _compiled(options.allow_rooms), _compiled(options.deny_rooms)
        self._roles: Mapping[str, re.Pattern[str] | None] = {r: _compiled(p) for r, p in options.roles.items()}
        self._words = options.refusal if options.strangers == "refuse" else ""
        self._refused: LRU[float] = LRU(REMEMBERED)

    def admits(self, person: Iterable[str], room: Iterable[str] | None) -> bool:
        """Whether a person may talk there; `room` is None in a direct conversation.

        All names of both have to be given: a list that speaks of a name which is missing does not match.
        """
        people = [_folded(name) for name in person if name]
        rooms = None if room is None else [_folded(name) for name in room if name]
        if not people or _any(self._deny, people) or (rooms is not None and _any(self._deny_rooms, rooms)):
            return False
        if not self._closed:
            return True
        if self._allow is not None and not _any(self._allow, people):
            return False
        if rooms is None:
            return self._allow is not None
        return self._allow_rooms is None or _any(self._allow_rooms, rooms)

    def roles(self, person: Iterable[str]) -> frozenset[str]:
        """The roles of a person."""
        people = [_folded(name) for name in person if name]
        return frozenset(role for role, patterns in self._roles.items() if _any(patterns, people))

    def refusal(self, talker: str, now: float) -> str:
        """What to tell a talker who may not talk; "" for nothing. `now` in seconds of any clock."""
        if not self._words:
            return ""
        last = self._refused.get(talker)
        if last is not None and now - last < REFUSED_AGAIN:
            return ""
        self._refused.put(talker, now)
        return self._words


def _folded(name: str) -> str:
    return name.casefold().lstrip(SIGILS)


def _any(patterns: re.Pattern[str] | None, names: Iterable[str]) -> bool:
    return patterns is not None and any(patterns.match(name) for name in names)


def _compiled(patterns: Iterable[str]) -> re.Pattern[str] | None:
    # "[" has no meaning here: ids of some platforms have it.
    found = [translate(_folded(pattern).replace("[", "[[]")) for pattern in patterns]
    return re.compile("|".join(found)) if found else None
