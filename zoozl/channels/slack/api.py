"""Slack's Web API: calls by slack-sdk's client over one session, its errors as ours, and pauses that are kept."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiohttp

from zoozl.channels.pace import ANY, Pace
from zoozl.channels.slack.options import API, Options
from zoozl.errors import ConfigError, DeliveryError, Undeliverable

if TYPE_CHECKING:
    from slack_sdk.web.async_client import AsyncWebClient

log = logging.getLogger(__name__)

# Seconds for one call, and for connecting.
CALL_TIMEOUT, CONNECT_TIMEOUT = 20.0, 10.0
# Seconds to wait when Slack says "too many" without saying how long.
USUAL_PAUSE = 30.0
LONGEST_PAUSE = 3_600.0
# Calls of a method a minute that Slack takes at least (its tiers); a quarter of them may come at once.
USUAL_RATE = 50.0
RATES = {"chat.startStream": 20.0, "chat.stopStream": 20.0}
RATES |= dict.fromkeys(("chat.appendStream", "chat.postEphemeral", "files.upload", "views.open"), 100.0)
AT_ONCE = 0.25
# Posts in one channel are counted by the second; a few more at once are forgiven.
POST, POSTS_AT_ONCE = "chat.postMessage", 5.0
# Codes that may be gone at the next try. An operator can mend the credentials while replies wait.
TEMPORARY = {"accesslimited", "fatal_error", "internal_error", "ratelimited", "rate_limited", "request_timeout"}
TEMPORARY |= {"service_unavailable", "team_added_to_org"}
CREDENTIALS = {"account_inactive", "invalid_auth", "missing_scope", "no_permission", "not_allowed_token_type"}
CREDENTIALS |= {"not_authed", "token_expired", "token_revoked"}


class Refused(Undeliverable):
    """Slack has understood a call and refuses it; `code` is its reason, like "channel_not_found"."""

    def __init__(self, method: str, code: str) -> None:
        super().__init__(f"Slack refuses {method}: {code}")
        self.code = code


class Unauthorized(DeliveryError):
    """Slack does not take the token, or it lacks a scope; `code` is its reason."""

    def __init__(self, method: str, code: str, needed: str = "") -> None:
        super().__init__(f"Slack refuses {method}: {code}{f', it needs {needed}' if needed else ''}")
        self.code = code


@dataclass(frozen=True, slots=True)
class Me:
    """Who the bot is: its user (U...), bot (B...) and workspace (T...)."""

    user: str
    bot: str
    team: str


class Api:
    """The calls. To be used in one event loop, and closed."""

    def __init__(self, options: Options) -> None:
        """Raises ConfigError if slack-sdk is not installed."""
        try:
            from slack_sdk.web.async_client import AsyncWebClient  # noqa: F401
        except ImportError as exc:
            raise ConfigError("needs slack-sdk: pip install 'zoozl[slack]'") from exc
        self._options = options
        self._base = (options.base_url or API).rstrip("/") + "/"
        self._client: AsyncWebClient | None = None
        self._pace = Pace(self._limit)
        self.me: Me | None = None

    @property
    def base(self) -> str:
        """Where the Web API is, with a slash at the end."""
        return self._base

    def open(self) -> AsyncWebClient:
        """The client; made at the first use, in the event loop."""
        if self._client is None:
            from slack_sdk.web.async_client import AsyncWebClient

            timeout = aiohttp.ClientTimeout(total=CALL_TIMEOUT, connect=CONNECT_TIMEOUT)
            self._client = AsyncWebClient(
                self._options.token,
                base_url=self._base,
                session=aiohttp.ClientSession(timeout=timeout),
                # The outbox tries again, in order.
                retry_handlers=[],
                # The client's own would tell what is said as soon as the root logger's level is low enough.
                logger=log,
            )
            if self._base.startswith("http://"):
                self._client.proxy = None
        return self._client

    @property
    def session(self) -> aiohttp.ClientSession:
        """For what is not a call."""
        session = self.open().session
        assert session is not None
        return session

    @property
    def proxy(self) -> str | None:
        """The proxy that the environment names."""
        return self.open().proxy

    async def call(self, method: str, body: Mapping[str, Any], *, read: bool = False, key: str = "") -> dict[str, Any]:
        """Slack's answer, once it is the turn of this call. `read` for methods that take no JSON.

        Raises Refused, Unauthorized, or DeliveryError with what Slack asks to wait, also for a pause that it has asked
        for before. Who comes again with the same `key` has kept the place in the line.
        """
        name = _name(method, str(body.get("channel", "")))
        await self._pace.turn(name, key)
        filled = {key: value for key, value in body.items() if value is not None}
        with self.translated(method, name):
            client = self.open()
            if read:
                response = await client.api_call(method, http_verb="GET", params=filled)
            else:
                response = await client.api_call(method, json=filled)
        return dict(response.data) if isinstance(response.data, dict) else {}

    def free(self, method: str, channel: str = "") -> bool:
        """Whether a call would not have to wait: for what is better left undone than late."""
        return self._pace.free(_name(method, channel))

    async def turn(self, method: str) -> None:
        """Wait until more of `method` is taken, for what is not done by `call`. Raises DeliveryError."""
        await self._pace.turn(_name(method))

    def _limit(self, name: str) -> tuple[float, float]:
        if name.startswith(POST):
            rate = self._options.room_rate
            return (max(POSTS_AT_ONCE, rate), max(POSTS_AT_ONCE, rate) / rate) if rate else ANY
        rate = RATES.get(name, USUAL_RATE)
        return rate * AT_ONCE, 60.0 * AT_ONCE

    @contextlib.contextmanager
    def translated(self, method: str, name: str = "") -> Iterator[None]:
        """What slack-sdk and aiohttp raise within, as Refused, Unauthorized or DeliveryError.

        `name` is what has to wait if Slack says "too many", if not the method.
        """
        from slack_sdk.errors import SlackApiError, SlackClientError

        try:
            yield
        except SlackApiError as exc:
            raise self._error(method, name or method, exc.response) from exc
        except SlackClientError as exc:
            raise DeliveryError(f"Slack's {method} failed: {type(exc).__name__}") from exc
        except TimeoutError as exc:
            raise DeliveryError(f"Slack's {method} took too long") from exc
        except (aiohttp.ClientError, OSError, ValueError) as exc:
            # Their texts may hold addresses with secrets in them.
            raise DeliveryError(f"Slack's {method} cannot be reached: {type(exc).__name__}") from exc

    def _error(self, method: str, name: str, response: Any) -> Exception:
        status = getattr(response, "status_code", None) or getattr(response, "status", 0)
        data = getattr(response, "data", None)
        code = str(data.get("error") or "") if isinstance(data, dict) else ""
        if status == 429 or code in ("ratelimited", "rate_limited"):
            seconds = _seconds(getattr(response, "headers", {}))
            self._pace.pause(name, seconds)
            return DeliveryError(f"Slack takes no more {method} for {seconds:.0f} s", seconds)
        if code in CREDENTIALS:
            needed = str(data.get("needed") or "") if isinstance(data, dict) else ""
            return Unauthorized(method, code, needed[:100])
        if code in TEMPORARY or not code:
            return DeliveryError(f"Slack's {method} failed: {code or f'status {status}'}")
        return Refused(method, code[:100])

    async def introduce(self) -> Me:
        """Ask who the bot is. Raises as `call`."""
        return (await self.introduce_with_scopes())[0]

    async def introduce_with_scopes(self) -> tuple[Me, frozenset[str]]:
        """The same, with what the token may do; nothing if Slack does not tell. Raises as `call`."""
        with self.translated("auth.test"):
            answer = await self.open().api_call("auth.test")
        self.me = Me(*(str(answer.get(key) or "") for key in ("user_id", "bot_id", "team_id")))
        granted = {name.lower(): value for name, value in dict(answer.headers).items()}.get("x-oauth-scopes", "")
        return self.me, frozenset(str(granted).replace(" ", "").split(",")) - {""}

    async def socket_url(self) -> str:
        """A new address for Socket Mode, good for one connection. Raises as `call`."""
        assert self._options.app_token is not None
        with self.translated("apps.connections.open"):
            answer = await self.open().apps_connections_open(app_token=self._options.app_token.get_secret_value())
        return str(answer.get("url") or "")

    async def close(self) -> None:
        """End the session."""
        if self._client is not None and self._client.session is not None:
            await self._client.session.close()


def _name(method: str, channel: str = "") -> str:
    """What a call is counted as: posts by their channel, all else by its method."""
    return f"{POST} {channel}" if method == POST else method


def _seconds(headers: Any) -> float:
    """What Retry-After says; header names come in any case, and values of some versions in lists."""
    for name, value in dict(headers or {}).items():
        if str(name).lower() == "retry-after":
            first = value[0] if isinstance(value, list) and value else value
            try:
                return min(max(float(first), 0.0), LONGEST_PAUSE)
            except (TypeError, ValueError):
                break
    return USUAL_PAUSE
