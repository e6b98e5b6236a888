"""Replies as HTML, rendered aside: some texts take long on purpose."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

# Characters that are rendered at once; the worst of them take a few milliseconds.
SHORT = 200
# Seconds until a reply goes without HTML: the text is there in any case.
PATIENCE = 2.0


class Markdown:
    """Renders in one thread; what is short, on the loop."""

    def __init__(self) -> None:
        self._to_html: Callable[[str], str] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="zoozl-html")

    def html_nowait(self, text: str) -> str | None:
        """A short text as HTML; None for one that has to be rendered aside."""
        return self._to_html(text) if self._to_html is not None and len(text) <= SHORT else None

    async def html(self, texts: Sequence[str]) -> list[str]:
        """Each text as HTML; "" for what takes too long, and all "" if there is too much to render."""
        if self._to_html is not None and sum(map(len, texts)) <= SHORT:
            return [self._to_html(text) for text in texts]
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(PATIENCE):
                return await loop.run_in_executor(self._thread, self._render, texts)
        except TimeoutError:
            return [""] * len(texts)

    def _render(self, texts: Sequence[str]) -> list[str]:
        # Imported here: it takes its time, and plain clients never need it.
        from zoozl.channels.render.html import to_html

        self._to_html = to_html
        return [to_html(text) for text in texts]

    def close(self) -> None:
        """What is not rendered yet never will be."""
        self._thread.shutdown(wait=False, cancel_futures=True)
