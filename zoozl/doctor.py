"""What `zoozl doctor` finds, and how a channel of anybody's adds its own checks.

A channel's class may have a class method `check`, see Checked. It is called without a bot and beside a running
server, so it opens no port and says nothing to anybody: it looks whether tokens are accepted, the platform can be
reached, files can be read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

# Seconds that the check of one channel may take; after that it has failed.
PATIENCE = 15.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. `fix` is what to do about it, an imperative; without one there is nothing to do."""

    level: Literal["ok", "warning", "error"]
    what: str
    fix: str = ""


@runtime_checkable
class Checked(Protocol):
    """A channel class that can look after itself."""

    @classmethod
    async def check(cls, options: Any) -> list[Finding]:
        """What there is to say of this channel as `options` (of its own Options) describe it.

        It may take 15 seconds. What it raises becomes a finding of level "error".
        """
        ...
