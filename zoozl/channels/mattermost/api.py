"""The REST API of Mattermost (version 4): one method for each call, errors as zoozl has them."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote

import aiohttp

from zoozl.channels.pace import ANY, Pace
from zoozl.errors import DeliveryError, Undeliverable

# Seconds.
TIMEOUT = aiohttp.ClientTimeout(total=30, sock_connect=10)
FILE_TIMEOUT = aiohttp.ClientTimeout(total=50, sock_connect=10)
LONGEST_WAIT = 300.0
# Bytes of an answer: a thousand posts of full length.
MOST_BYTES = 80 << 20
PAGE = 200
# Calls a second, and at once, that a server takes which counts them and does not say how many.
RATE, AT_ONCE = 10.0, 100.0
MOST_AT_ONCE = 1e6
CALLS = "a call to the server"


class BadToken(DeliveryError):
    """The token is not accepted; nothing will work until it is changed."""


class Rejected(Undeliverable):
    """The server understood and refuses. `status` is that of HTTP."""

    def __init__(self, text: str, status: int) -> None:
        super().__init__(text)
        self.status = status


class TooLarge(Rejected):
    """A file is larger than is taken."""


class Api:
    """Calls with the bot's token. Every method raises DeliveryError, BadToken or Rejected.

    A server that counts calls says so in its answers; from then on they wait for their turn.
    To be made on the loop it is used on.
    """

    def __init__(self, url: str, token: str) -> None:
        self.url = url
        self._base = f"{url}/api/v4"
        # No cookies: the server would take its session cookie for more than the token, and ask for what no bot has.
        self.session = aiohttp.ClientSession(
            headers={"Authorization": f"Bearer {token}"}, cookie_jar=aiohttp.DummyCookieJar(), timeout=TIMEOUT
        )
        self._pace = Pace(lambda _: ANY)
        self.server_time = 0
        """Milliseconds since the epoch by the server's clock, at its last answer; whole seconds."""

    async def call(self, method: str, path: str, body: Any = None, query: Mapping[str, Any] | None = None) -> Any:
        """One call, its answer read from JSON."""
        return _json(path, await self._send(method, self._base + path, json=body, params=query))

    def free(self) -> bool:
        """Whether a call would not have to wait: for what is better left undone than late."""
        return self._pace.free(CALLS)

    async def _send(self, method: str, url: str, *, most: int = MOST_BYTES, key: str = "", **options: Any) -> bytes:
        """One request; who comes again with the same `key` has kept the place in the line."""
        await self._pace.turn(CALLS, key)
        try:
            async with self.session.request(method, url, allow_redirects=False, **options) as answer:
                self._note_time(answer)
                self._note_limit(answer)
                if answer.status >= 300:
                    raise await _fault(answer)
                return await _read(answer, most)
        except (aiohttp.ClientError, TimeoutError, OSError) as exc:
            raise DeliveryError(f"{method} {_short(url)}: {type(exc).__name__}") from exc

    def _note_time(self, answer: aiohttp.ClientResponse) -> None:
        try:
            self.server_time = int(parsedate_to_datetime(answer.headers["Date"]).timestamp() * 1000)
        except (KeyError, ValueError):
            pass  # a proxy took it away; the time before is good enough

    def _note_limit(self, answer: aiohttp.ClientResponse) -> None:
        try:
            at_once, left = (float(answer.headers[f"X-RateLimit-{name}"]) for name in ("Limit", "Remaining"))
            told = 1 <= at_once <= MOST_AT_ONCE and left >= 0
        except (KeyError, ValueError):
            told = False
        if told:
            self._pace.learn(CALLS, (at_once, at_once / RATE), left)
        if answer.status == 429:
            if not told:
                self._pace.learn(CALLS, (AT_ONCE, AT_ONCE / RATE), 0.0)
            self._pace.pause(CALLS, _retry_after(answer.headers))

    async def me(self) -> Any:
        """The bot's own user."""
        return await self.call("GET", "/users/me")

    async def user(self, user_id: str) -> Any:
        """A user."""
        return await self.call("GET", f"/users/{user_id}")

    async def rooms(self) -> Any:
        """All channels of all teams that the bot is in, direct ones too."""
        return await self.call("GET", "/users/me/channels")

    async def room(self, channel_id: str) -> Any:
        """A channel."""
        return await self.call("GET", f"/channels/{channel_id}")

    async def direct(self, me: str, user_id: str) -> Any:
        """The direct channel of two users, made if there is none."""
        return await self.call("POST", "/channels/direct", [me, user_id])

    async def posts_since(self, channel_id: str, since: int) -> Any:
        """Up to 1,000 posts that were made or changed since then (ms)."""
        return await self.call("GET", f"/channels/{channel_id}/posts", query={"since": since})

    async def posts_before(self, channel_id: str, post_id: str) -> Any:
        """The posts before one, a page of them."""
        return await self.call(
            "GET", f"/channels/{channel_id}/posts", query={"before": post_id, "per_page": PAGE, "page": 0}
        )

    async def latest_posts(self, channel_id: str, number: int) -> Any:
        """The latest posts of a channel."""
        return await self.call("GET", f"/channels/{channel_id}/posts", query={"page": 0, "per_page": min(number, PAGE)})

    async def thread(self, post_id: str) -> Any:
        """A post and all answers to it."""
        return await self.call("GET", f"/posts/{post_id}/thread")

    async def post(self, post_id: str) -> Any:
        """A post."""
        return await self.call("GET", f"/posts/{post_id}")

    async def create_post(self, body: Mapping[str, Any]) -> Any:
        """Say something."""
        key = str(body.get("pending_post_id", ""))
        return _json("/posts", await self._send("POST", f"{self._base}/posts", json=body, key=key))

    async def patch_post(self, post_id: str, body: Mapping[str, Any]) -> Any:
        """Change what a post has of `body`."""
        return await self.call("PUT", f"/posts/{post_id}/patch", body)

    async def open_dialog(self, body: Mapping[str, Any]) -> Any:
        """Show a form to the one who clicked."""
        return await self.call("POST", "/actions/dialogs/open", body)

    async def respond(self, hook: str, body: Mapping[str, Any]) -> None:
        """A later answer to a slash command."""
        await self._send("POST", f"{self.url}/hooks/commands/{hook}", json=body)

    async def upload(self, channel_id: str, name: str, data: bytes, media_type: str) -> str:
        """The id of a new file, which one post in that channel can have."""
        form = aiohttp.FormData()
        form.add_field("channel_id", channel_id)
        # Not the bytes themselves: aiohttp warns of those that are large.
        form.add_field(
            "files", io.BytesIO(data), filename=name or "file", content_type=media_type or "application/octet-stream"
        )
        answer = _json("/files", await self._send("POST", f"{self._base}/files", data=form, timeout=FILE_TIMEOUT))
        try:
            return str(answer["file_infos"][0]["id"])
        except (KeyError, IndexError, TypeError) as exc:
            raise DeliveryError("POST /files: the answer names no file") from exc

    async def file_info(self, file_id: str) -> Any:
        """What is known of a file."""
        return await self.call("GET", f"/files/{file_id}/info")

    async def download(self, file_id: str, most: int) -> bytes:
        """The bytes of a file. Raises TooLarge for more than `most` of them."""
        return await self._send("GET", f"{self._base}/files/{file_id}", most=most, timeout=FILE_TIMEOUT)

    async def close(self) -> None:
        """Let go of all connections."""
        await self.session.close()


def _json(path: str, text: bytes) -> Any:
    try:
        return json.loads(text) if text else None
    except (ValueError, RecursionError) as exc:
        raise DeliveryError(f"{path}: the answer is no JSON") from exc


async def _read(answer: aiohttp.ClientResponse, most: int) -> bytes:
    pieces, size = [], 0
    if (answer.content_length or 0) > most:
        raise TooLarge(f"{answer.content_length} bytes are too many", 413)
    async for piece in answer.content.iter_chunked(1 << 16):
        size += len(piece)
        if size > most:
            raise TooLarge(f"more than {most} bytes", 413)
        pieces.append(piece)
        # What is there already is read without waiting: others have their turn as well.
        if size % (1 << 20) < len(piece):
            await asyncio.sleep(0)
    return b"".join(pieces)


async def _fault(answer: aiohttp.ClientResponse) -> DeliveryError:
    """The error that an answer is."""
    status, what = answer.status, f"{answer.method} {_short(str(answer.url))}: {answer.status}"
    if status == 429:
        return DeliveryError(f"{what} too many requests", _retry_after(answer.headers))
    reason = _reason(await answer.content.read(4096))
    text = f"{what} {reason}" if reason else what
    if status == 401:
        return BadToken(text)
    if status < 400:
        return Rejected(f"{what}, it leads elsewhere: is `url` the address of the site itself?", status)
    if status == 413:
        return TooLarge(text, status)
    return DeliveryError(text) if status >= 500 or status == 408 else Rejected(text, status)


def _reason(body: bytes) -> str:
    try:
        error = json.loads(body)
    except (ValueError, RecursionError):
        return ""  # plain text, a page of a proxy
    message = error.get("message") if isinstance(error, dict) else None
    return " ".join(message.split())[:200] if isinstance(message, str) else ""


def _retry_after(headers: Mapping[str, str]) -> float:
    for name in ("Retry-After", "X-RateLimit-Reset"):
        try:
            seconds = float(headers[name])
        except (KeyError, ValueError):
            continue
        if seconds >= 0:
            return min(seconds, LONGEST_WAIT)
    return 1.0


def _short(url: str) -> str:
    path = url.partition("/api/v4")[2] or "/" + url.partition("://")[2].partition("/")[2]
    # The id of a hook is a permission to answer.
    return "/hooks/commands/..." if "/hooks/commands/" in path else quote(path.partition("?")[0], safe="/")
