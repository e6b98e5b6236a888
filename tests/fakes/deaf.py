"""A plugin that does not end when it is told to."""

import asyncio
from contextlib import suppress

LONGEST = 30.0


async def deaf_until(event):
    """Wait for `event`, whoever cancels that; at most 30 seconds, so that a test that fails comes to an end as well."""
    until = asyncio.get_running_loop().time() + LONGEST
    while not event.is_set() and asyncio.get_running_loop().time() < until:
        with suppress(asyncio.CancelledError, TimeoutError):
            async with asyncio.timeout_at(until):
                await event.wait()
