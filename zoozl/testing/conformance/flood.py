"""More messages at once than a conversation has room for."""

from __future__ import annotations

from zoozl.testing.conformance.driver import Outcome, Said
from zoozl.testing.conformance.talk import Talk

# Messages that may wait, and those that come.
DEPTH, NUMBER = 2, 6


async def flood(talk: Talk) -> dict[Outcome, list[Said]]:
    """Deliver them while the first one is held; which of them were taken, and which were not. Nothing is released."""
    found: dict[Outcome, list[Said]] = {outcome: [] for outcome in Outcome}
    for number in range(NUMBER):
        said = Said(f"hold {number}")
        found[await talk.deliver(said)].append(said)
        if not number:
            await talk.holds()
    return found
