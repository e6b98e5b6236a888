"""Files that people send: fetched with the bot's token, from Slack and from nowhere else, within bounds."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import PurePosixPath
from urllib.parse import urljoin, urlsplit

import aiohttp

from zoozl.channels.slack.api import Api
from zoozl.channels.slack.decode import FileRef
from zoozl.chatbot.message import MessagePart

log = logging.getLogger(__name__)

# Slack wants its answer within 3 seconds; a file that takes longer is there when Slack asks again.
PATIENCE = 2.0
FETCH_TIMEOUT = 60.0
MOST_REDIRECTS = 3
MOST_AT_ONCE = 16
# Fetched files that are kept for the next try.
MOST_KEPT, MOST_BYTES = 64, 64 << 20
CHUNK = 64 << 10
LONGEST_NAME = 200


class NotYet(Exception):
    """The files are not here yet; the message is to be taken when Slack delivers it again."""


class NoFile(Exception):
    """A file that no later try can fetch; the text says why, for people."""


def trusted(url: str, base: str) -> bool:
    """Whether the bot's token may go there: Slack's hosts, by https, and the host of a Web API of one's own."""
    try:
        parts, own = urlsplit(url), urlsplit(base)
        host = parts.hostname or ""
        # An own gateway is trusted as it is configured, its port included.
        if (parts.scheme, parts.netloc) == (own.scheme, own.netloc):
            return True
        return parts.scheme == "https" and host.endswith(".slack.com") and parts.port in (None, 443)
    except ValueError:
        return False


def safe_name(name: str) -> str:
    """The last part of a file's name, without what has a meaning to a shell or a terminal."""
    base = PurePosixPath(name.replace("\\", "/")).name
    return "".join(char for char in base if char.isprintable() and char not in '<>:"|?*')[:LONGEST_NAME].strip(". ")


class Files:
    """Fetches, each file once at a time."""

    def __init__(self, api: Api, largest: int, types: Sequence[str]) -> None:
        self._api = api
        self._largest = largest
        self._types = types
        self._tasks: dict[str, asyncio.Task[MessagePart]] = {}

    async def parts(self, refs: Sequence[FileRef], *, last_try: bool) -> tuple[list[MessagePart], list[str]]:
        """The files, and what is to be said of those that cannot be had.

        Raises NotYet for what takes longer, or has failed for now; at the last try that cannot be had.
        """
        found: list[MessagePart] = []
        missing: list[str] = []
        late = False
        wanted = []
        for ref in refs:
            try:
                self._check(ref)
            except NoFile as exc:
                missing.append(f"{safe_name(ref.name) or 'A file'}: {exc}")
                found.append(_empty(ref))
            else:
                wanted.append((ref, self._task(ref)))
        if wanted:
            await asyncio.wait([task for _, task in wanted], timeout=PATIENCE)
        for ref, task in wanted:
            name = safe_name(ref.name) or "A file"
            try:
                if not task.done():
                    raise TimeoutError
                found.append(task.result())
            except NoFile as exc:
                missing.append(f"{name}: {exc}")
                found.append(_empty(ref))
            except (aiohttp.ClientError, OSError, asyncio.CancelledError) as exc:
                log.info("file %s of a message is not here yet: %s", ref.id, type(exc).__name__)
                late = True
                if task.done():
                    self._tasks.pop(ref.id, None)
                missing.append(f"{name}: it could not be fetched")
                found.append(_empty(ref))
        if late and not last_try:
            raise NotYet
        self._tidy()
        return found, missing

    def _check(self, ref: FileRef) -> None:
        if ref.size > self._largest:
            raise NoFile(
                f"it is too large for me ({self._largest:,} bytes at most)" if self._largest else "I take no files"
            )
        if not any(fnmatch(ref.media_type.lower(), pattern.lower()) for pattern in self._types):
            raise NoFile("I do not take files of this kind")
        if not trusted(ref.url, self._api.base):
            raise NoFile("it is not kept by Slack, so I cannot fetch it")

    def _task(self, ref: FileRef) -> asyncio.Task[MessagePart]:
        task = self._tasks.get(ref.id)
        if task is None:
            if sum(not other.done() for other in self._tasks.values()) >= MOST_AT_ONCE:
                raise NotYet
            task = self._tasks[ref.id] = asyncio.create_task(self._fetch(ref))
            # Whoever waited may have gone.
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
        return task

    def _tidy(self) -> None:
        """Forget the oldest of what is here."""
        done = [(key, task) for key, task in self._tasks.items() if task.done()]
        size = sum(len(task.result().binary) for _, task in done if not task.cancelled() and task.exception() is None)
        while done and (len(done) > MOST_KEPT or size > MOST_BYTES):
            key, task = done.pop(0)
            if not task.cancelled() and task.exception() is None:
                size -= len(task.result().binary)
            del self._tasks[key]

    async def _fetch(self, ref: FileRef) -> MessagePart:
        async with asyncio.timeout(FETCH_TIMEOUT):
            url = ref.url
            for _ in range(MOST_REDIRECTS + 1):
                if not trusted(url, self._api.base):
                    raise NoFile("it is not kept by Slack, so I cannot fetch it")
                headers = {"Authorization": f"Bearer {self._api.open().token}"}
                async with self._api.session.get(
                    url, headers=headers, allow_redirects=False, proxy=self._api.proxy
                ) as response:
                    if response.status in (301, 302, 303, 307, 308) and "Location" in response.headers:
                        url = urljoin(url, response.headers["Location"])
                        continue
                    return await self._read(ref, response)
        raise NoFile("it could not be found")

    async def _read(self, ref: FileRef, response: aiohttp.ClientResponse) -> MessagePart:
        if response.status >= 500 or response.status == 429:
            raise aiohttp.ClientError(f"status {response.status}")
        if response.status != 200:
            raise NoFile("Slack does not give it to me")
        data = bytearray()
        async for chunk in response.content.iter_chunked(CHUNK):
            data += chunk
            if len(data) > self._largest:
                raise NoFile(f"it is too large for me ({self._largest:,} bytes at most)")
        # Without a good token Slack answers with a page to log in at, and status 200.
        if response.content_type == "text/html" and not (ref.media_type == "text/html" and len(data) == ref.size):
            log.error("a file was answered with a login page: the bot's token needs the scope files:read")
            raise NoFile("Slack does not give it to me")
        return MessagePart("", bytes(data), ref.media_type, safe_name(ref.name))

    async def close(self) -> None:
        """Give up what is under way."""
        tasks = list(self._tasks.values())
        self._tasks.clear()
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)


def _empty(ref: FileRef) -> MessagePart:
    """What is left of a file that is not here."""
    return MessagePart("", b"", ref.media_type, safe_name(ref.name))
