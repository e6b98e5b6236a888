"""Identity: who a talker has proved to be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Identity:
    """What a channel has verified about a talker. `claims` is JSON, and shared by all messages of a connection."""

    talker: str
    claims: Mapping[str, Any] = field(default_factory=dict, repr=False)
    roles: frozenset[str] = frozenset()


def may_use(identity: Identity | None, roles: frozenset[str]) -> bool:
    """Whether somebody may use what is for those with one of `roles`; without roles everybody may."""
    return not roles or (identity is not None and not roles.isdisjoint(identity.roles))
