"""An answer that the suite has a plugin write, page by page."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from zoozl.testing.conformance.desk import Tale
from zoozl.testing.conformance.talk import Talk

PAGE, LAST = "and so the tale went on, ", "until it was told."
# Seconds between two pages, and how many are written at the most: they fit into one message everywhere.
PAUSE, MOST = 0.1, 150


def whole(pages: int) -> str:
    """The answer at its end."""
    return PAGE * pages + LAST


def write(page: str | None = PAGE) -> None:
    """Have one more page written."""
    assert Tale.pages is not None
    Tale.pages.put_nowait(page)


async def write_until(talk: Talk, condition: Callable[[], object], what: str) -> int:
    """Write on until it is so; how many pages it took. Raises AssertionError if it does not come."""
    for pages in range(MOST):
        if condition():
            return pages
        write()
        await asyncio.sleep(PAUSE)
    raise AssertionError(f"{what} did not come; the platform has heard {[one.text for one in talk.driver.heard()]}")


def end() -> None:
    """Write the last page."""
    write(LAST)
    write(None)
